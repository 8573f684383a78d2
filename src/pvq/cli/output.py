"""What a command prints: rows as JSON or as a table on stdout, progress on stderr."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from pvq.cli.bar import progress_bar

__all__ = ["emit", "json_safe", "note", "progress_bar"]

Row = Mapping[str, Any]


def json_safe(value: Any) -> Any:
    """Return `value` with NaN and infinities as None and arrays as lists, all the way down.

    >>> json_safe({"a": float("nan"), "b": (1, float("inf"))})
    {'a': None, 'b': [1, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_safe(item) for item in value]
    if hasattr(value, "tolist"):
        return json_safe(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def emit(rows: Sequence[Row], as_json: bool, title: str = "", hide: Sequence[str] = ()) -> None:
    """Print rows on stdout.

    Parameters
    ----------
    rows : one mapping a row, all with the same keys in the same order
    as_json : one JSON array and nothing else; otherwise a table for reading
    title : above the table
    hide : columns that only JSON shows
    """
    if as_json:
        json.dump([json_safe(row) for row in rows], sys.stdout, indent=1, allow_nan=False)
        sys.stdout.write("\n")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", header_style="bold")
    columns = [key for key in dict.fromkeys(key for row in rows for key in row) if key not in hide]
    for key in columns:
        numeric = all(isinstance(row.get(key), (int, float, type(None))) for row in rows)
        table.add_column(key, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(key)) for key in columns))
    width = None if sys.stdout.isatty() else 400
    Console(file=sys.stdout, width=width, markup=False, highlight=False).print(table)


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(list(value)) if isinstance(value, (list, tuple)) else str(value)


def note(text: str) -> None:
    """Print one line on stderr."""
    print(text, file=sys.stderr, flush=True)

"""Rows as text: CSV, Markdown, and values that strict JSON can hold."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from pvq.arrays import finite_or_none

__all__ = ["csv_text", "finite_rows", "markdown_table"]

Row = Mapping[str, Any]


def csv_text(names: Sequence[str], rows: Sequence[Row]) -> str:
    r"""Return a CSV table with these columns; None is empty.

    >>> csv_text(["a", "b"], [{"a": 1, "b": None}])
    'a,b\n1,\n'
    """
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def markdown_table(names: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    r"""Return a table with a heading; bars in its cells are escaped.

    >>> markdown_table(["a"], [["x|y"]])
    '| a |\n| --- |\n| x\\|y |'
    """
    rows = [names, ["---"] * len(names), *([cell.replace("|", "\\|") for cell in line] for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def finite_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return rows with None for NaN and infinity.

    >>> finite_rows([{"a": float("inf"), "b": "x"}])
    [{'a': None, 'b': 'x'}]
    """
    return [
        {key: finite_or_none(value) if isinstance(value, float) else value for key, value in row.items()}
        for row in rows
    ]

"""What several tasks found on the same row of a layer, made one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from pvq.errors import PvqError

__all__ = ["merge_rows"]

Record = Mapping[str, Any]


def merge_rows(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Return one record a row: the best bound and the best point that any task proved and found.

    Parameters
    ----------
    records : rows of the records of one camp's tasks, the same row perhaps several times

    Raises
    ------
    PvqError : records of one row speak of different problems, or one's bound exceeds another's point

    >>> about = {"row": 0, "problem": "p", "set": "s", "signal_lower": 1.0, "signal_upper": 1.0,
    ...          "seconds": 1.0, "note": "", "claim": None, "peak_mb": None}
    >>> cheap = {**about, "errors": {"gptq": 0.3}, "error_lower": 0.1, "error_upper": 0.3, "method": "gptq",
    ...          "bound": "hull", "certified": True}
    >>> dear = {**about, "errors": {}, "error_lower": 0.2, "error_upper": 0.4, "method": "exact",
    ...         "bound": "exact", "certified": True}
    >>> (row,) = merge_rows([cheap, dear])
    >>> row["error_lower"], row["bound"], row["error_upper"], row["method"], row["seconds"]
    (0.2, 'exact', 0.3, 'gptq', 2.0)
    """
    ordered = sorted(records, key=lambda record: record["row"])  # stable: the first of equals stays first
    return [_merged(list(same)) for _, same in groupby(ordered, key=lambda record: record["row"])]


def _merged(same: Sequence[Record]) -> dict[str, Any]:
    first = same[0]
    for name in ("problem", "set", "signal_lower", "signal_upper"):
        if any(record[name] != first[name] for record in same):
            raise PvqError(f"row {first['row']} has records with different values of {name}")
    upper = min(same, key=lambda record: _or(record["error_upper"], math.inf))
    lower = max(same, key=lambda record: _or(record["error_lower"], -math.inf))
    if _or(lower["error_lower"], -math.inf) > _or(upper["error_upper"], math.inf):
        raise PvqError(
            f"row {first['row']}: the bound {lower['error_lower']:.17g} of {lower['bound']} exceeds the "
            f"error {upper['error_upper']:.17g} of {upper['method']}; this is a defect of one of them"
        )
    notes = [lower["note"]] if lower["certified"] else [record["note"] for record in same]
    return {
        **first,
        "errors": {name: error for record in same for name, error in record["errors"].items()},
        **{name: upper[name] for name in ("error_upper", "method")},
        **{name: lower[name] for name in ("error_lower", "bound", "certified")},
        "seconds": math.fsum(record["seconds"] for record in same),
        "peak_mb": max((r["peak_mb"] for r in same if r["peak_mb"] is not None), default=None),
        "note": "; ".join(dict.fromkeys(filter(None, notes))),
    }


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value

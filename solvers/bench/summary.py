"""From rows to what a reader wants: times, ratios with their spread, quality, and how time grows with n."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

__all__ = ["growth_exponent", "summarise"]

Row: TypeAlias = Mapping[str, Any]
SERIES = ("suite", "source", "set", "versus", "method")
GROUP = ("suite", "source", "n", "set", "versus", "method")
FEWEST_SIZES = 3
SMALLEST_SHARE = 1 / 8


def summarise(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return one row per suite, source, n, set, ``versus`` and method, over the seeds.

    ``versus`` is the first method of the same cases. Keys beside those:

    - ``seeds`` and, of the runs, ``finished`` and ``certified``
    - ``cpu_median, cpu_min, cpu_max``: processor seconds
    - ``ratio_median, ratio_min, ratio_max``: processor time over that of `versus`, case by case
    - ``ratio_at_least``: whether a run was cut off by its limit, so that the ratios are lower bounds
    - ``bound_share``: median of the proved bound over the error of the best point of the case's methods
    - ``excess``: median of the error of the method's point over that of the best one, minus 1
    - ``claim_share_min, claim_share_max``: the proved bound of `versus` over what this reference claims
    - ``growth``: see `growth_exponent`, over the runs that were not cut off
    - ``note``: of the first seed

    Of a case whose first method did not finish no ratio is formed.
    """
    cases = _by(rows, ("case",))
    measured = [_compared(row, cases[(row["case"],)]) for row in rows]
    series = _by(measured, SERIES)
    slopes = {
        key: growth_exponent((row["n"], row["cpu_seconds"]) for row in group if row["finished"])
        for key, group in series.items()
    }
    return [
        {**dict(zip(GROUP, key, strict=True)), **_over_seeds(group)}
        | {"growth": slopes[_key(group[0], SERIES)], "note": group[0]["note"]}
        for key, group in _by(measured, GROUP).items()
    ]


def growth_exponent(points: Iterable[tuple[int, float | None]]) -> float | None:
    """Return the slope of log(seconds) against log(n), by least squares on the median of each n.

    Sizes below an eighth of the largest are left out: overheads rule there. None for fewer than three sizes.

    >>> round(growth_exponent([(10, 1.0), (20, 8.0), (40, 64.0)]), 9)
    3.0
    """
    times: dict[int, list[float]] = defaultdict(list)
    for n, seconds in points:
        if seconds:
            times[n].append(seconds)
    large = [n for n in times if n >= SMALLEST_SHARE * max(times)]
    if len(large) < FEWEST_SIZES:
        return None
    seconds_of = [statistics.median(times[n]) for n in large]
    return float(np.polyfit(np.log(large), np.log(seconds_of), 1)[0])


def _key(row: Row, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def _by(rows: Sequence[Row], names: Sequence[str]) -> dict[tuple[Any, ...], list[Row]]:
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[_key(row, names)].append(row)
    return dict(groups)


def _compared(row: Row, case: Sequence[Row]) -> Row:
    """Add what compares a row with the others of its case."""
    base = next(other for other in case if other["method"] == row["versus"])
    points = [other["error_upper"] for other in case if other["error_upper"] is not None]
    best = min(points) if points else None
    fair = base["finished"] and row["status"] != "missing"
    return {
        **row,
        "ratio": _over(row["cpu_seconds"], base["cpu_seconds"]) if fair else None,
        "share": _over(row["error_lower"], best),
        "excess": _minus_one(_over(row["error_upper"], best)),
        "claim_share": None if row is base else _over(base["error_lower"], row["claimed"]),
    }


def _over(a: float | None, b: float | None) -> float | None:
    if a is None or not b:
        return None
    return a / b if math.isfinite(a / b) else None


def _minus_one(value: float | None) -> float | None:
    return None if value is None else value - 1.0


def _over_seeds(group: Sequence[Row]) -> dict[str, Any]:
    ratios = [row["ratio"] for row in group if row["ratio"] is not None]
    cut = any(row["ratio"] is not None and not row["finished"] for row in group)
    return {
        "seeds": len({row["seed"] for row in group}),
        "finished": sum(row["finished"] for row in group),
        "certified": sum(row["certified"] for row in group),
        **_spread("cpu", group, "cpu_seconds"),
        **_spread("ratio", group, "ratio"),
        "ratio_at_least": cut if ratios else None,
        "bound_share": _known(statistics.median, group, "share"),
        "excess": _known(statistics.median, group, "excess"),
        "claim_share_min": _known(min, group, "claim_share"),
        "claim_share_max": _known(max, group, "claim_share"),
    }


def _spread(name: str, group: Sequence[Row], column: str) -> dict[str, float | None]:
    kinds: dict[str, Callable[[list[float]], float]] = {"median": statistics.median, "min": min, "max": max}
    return {f"{name}_{kind}": _known(function, group, column) for kind, function in kinds.items()}


def _known(function: Callable[[list[float]], float], group: Sequence[Row], column: str) -> float | None:
    values = [row[column] for row in group if row[column] is not None]
    return float(function(values)) if values else None

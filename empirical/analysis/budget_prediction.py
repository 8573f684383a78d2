"""Whether errors known before fine-tuning order what compressed networks lose, before it and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from pvq.empirical.analysis.prediction import correlation_row
from pvq.empirical.comparison_json import read_comparison_json
from pvq.empirical.compression_run import PREFIX
from pvq.errors import PvqError
from pvq.solvers.multiple_choice import round_down, round_up

__all__ = ["BUDGET_FIELDS", "budget_correlations", "budget_prediction", "read_comparison_rows"]

BUDGET_FIELDS = (
    "set", "method", "camp", "bits", "relative_lower", "relative_upper", "uncompressed", "before", "after",
    "drop_before", "drop_after", "layers",
)  # fmt: skip
BUDGET_PREDICTORS = ("relative_lower", "relative_upper", "bits")
DROPS = ("drop_before", "drop_after")
Row = Mapping[str, Any]


def read_comparison_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a comparison: those of ``comparison.json``, or of that file in a folder.

    Raises
    ------
    PvqError : no such file, or no comparison in it
    """
    content = read_comparison_json(path)
    rows: list[dict[str, Any]] = content["rows"]
    return rows


def budget_prediction(
    run_rows: Sequence[Row], comparison_rows: Sequence[Row], seed: int = 0
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return a row for each trained method and budget that a bound run tells of, and their correlations.

    A method of the camp ``quantize`` or ``prune`` at a budget of b bits is set beside the run's row of that
    camp at b bits in every layer: the sum over layers of certified error / signal, rounded down, and of
    attained error / signal, rounded up. Methods of both camps, of none, and budgets that the run lacks are
    left out, and so are methods without an accuracy.

    Fields: set (``budgets``), method, camp, bits, relative_lower, relative_upper, uncompressed, before and
    after (accuracies in [0, 1], before and after fine-tuning), drop_before and drop_after, layers (summed).

    Parameters
    ----------
    run_rows : of ``bounds.json``
    comparison_rows : of ``comparison.json``
    seed : of the bootstrap

    Raises
    ------
    PvqError : the run has no row that a method of the comparison asks for, or solved some rows only
    """
    if any(row["rows"] != row["rows_total"] for row in run_rows if row["rows"]):
        raise PvqError("the run solved only some rows of a layer: its errors are not those of the network")
    rows = [row for one in comparison_rows if (row := _budget_row(run_rows, one)) is not None]
    if not rows:
        widths = ", ".join(sorted({f"{row['bits']:g}" for row in run_rows}))
        raise PvqError(
            f"the comparison has no method that quantizes or prunes at one of the run's {widths} bits"
        )
    return rows, budget_correlations(rows, seed)


def budget_correlations(rows: Sequence[Row], seed: int = 0) -> list[dict[str, Any]]:
    """Return the correlation of each sum, and of bits, with both drops.

    Methods of one camp at one budget share their sums: where there are such, the bootstrap draws them
    together.
    """
    labels = [f"{row['camp']} {row['bits']:g}" for row in rows]
    groups = labels if len(set(labels)) < len(labels) else None
    about = {"set": "budgets", "camp": "", "bits": None}
    return [
        correlation_row(about, rows, predictor, drop, groups, seed)
        for drop in DROPS
        for predictor in BUDGET_PREDICTORS
        if any(row[drop] is not None for row in rows)
    ]


def _budget_row(run_rows: Sequence[Row], method: Row) -> dict[str, Any] | None:
    camp, bits = method.get("camp"), method.get("budget")
    before, after, whole = (method.get(name) for name in ("before", "accuracy", "uncompressed"))
    mine = [row for row in run_rows if row["bits"] == bits and row["rows"]]
    if camp not in PREFIX or not mine or whole is None or (before is None and after is None):
        return None
    return {
        "set": "budgets",
        "method": method.get("method"),
        "camp": camp,
        "bits": bits,
        "relative_lower": round_down(sum((_share(row, camp, "lower") for row in mine), Fraction())),
        "relative_upper": round_up(sum((_share(row, camp, "upper") for row in mine), Fraction())),
        "uncompressed": whole,
        "before": before,
        "after": after,
        "drop_before": None if before is None else whole - before,
        "drop_after": None if after is None else whole - after,
        "layers": len(mine),
    }


def _share(row: Row, camp: str, end: str) -> Fraction:
    """Return one layer's least or attained error over its signal, on the safe side of what is not known."""
    error = row[f"{PREFIX[camp]}_error_{end}"]
    signal = row["signal_upper" if end == "lower" else "signal_lower"]
    if end == "lower" and error is None:
        return Fraction()
    if error is None or signal is None or (error and not signal):
        raise PvqError(
            f"the run's table has no {camp} error over signal for {row['layer']} at {row['bits']:g} bits"
        )
    return Fraction(error) / Fraction(signal) if error else Fraction()

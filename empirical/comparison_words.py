"""The verdict of a comparison in words. No sentence says more than its interval does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pvq.empirical.comparison_rows import STAGES

__all__ = ["points", "verdicts"]

LEVEL = 0.05
SAME_BITS = 0.01  # relative difference of measured bits that needs no word
Row = Mapping[str, Any]


def verdicts(pairs: Sequence[Row], rows: Sequence[Row] = ()) -> list[str]:
    """Return one sentence for each stage and pair of methods, the budgets side by side, then what to mind.

    A lead is called one where the 95 % interval of the paired difference excludes zero. The sentence says if
    Holm's correction for all tests of the stage takes that away, and if there was one seed only.

    Parameters
    ----------
    pairs : see `pvq.empirical.comparison_rows.pair_rows`
    rows : see `pvq.empirical.comparison_rows.method_rows`
    """
    sentences = []
    for stage in STAGES:
        mine = [row for row in pairs if row["stage"] == stage]
        for first, second in dict.fromkeys((row["first"], row["second"]) for row in mine):
            parts = [_at(row) for row in mine if (row["first"], row["second"]) == (first, second)]
            sentences.append(
                f"{stage.capitalize()} fine-tuning, {first} against {second}: {'; '.join(parts)}."
            )
    return sentences + _unequal_bits(rows) + _few_seeds(pairs)


def points(value: float, half_width: float | None = None) -> str:
    """Return a difference of shares in percentage points, with its uncertainty.

    >>> points(0.0187, 0.0031), points(-0.021), points(0.00042, 0.0001)
    ('1.9 ± 0.3', '-2.1', '0.04 ± 0.01')
    """
    scale = value if half_width is None else half_width
    digits = 1 if abs(scale) >= 0.0005 or scale == 0 else 2
    shown = f"{100 * value:.{digits}f}"
    return shown if half_width is None else f"{shown} ± {100 * half_width:.{digits}f}"


def _at(row: Row) -> str:
    """Return what one budget shows."""
    ahead = row["first"] if row["difference"] > 0 else row["second"]
    lead, where = abs(row["difference"]), f"at {row['budget']:g} bits"
    if row["seeds"] == 1:
        return f"{where} {_lead(ahead, lead)} (one seed, no interval)"
    if row["constant"]:
        return f"{where} {_lead(ahead, lead)}, alike in all {row['seeds']} seeds"
    half = (row["high"] - row["low"]) / 2
    if not row["certain"]:
        leader = f"{ahead} +" if lead else ""
        return f"{where} no difference is shown ({leader}{points(lead, half)} points)"
    return f"{where} {ahead} is ahead by {points(lead, half)} points{_doubt(row)}"


def _lead(ahead: str, lead: float) -> str:
    return f"{ahead} is ahead by {points(lead)} points" if lead else "both are equal"


def _doubt(row: Row) -> str:
    adjusted = row["p_t_holm"]
    if adjusted is None or adjusted < LEVEL:
        return ""
    return f" (no longer after Holm's correction, p = {adjusted:.3g})"


def _unequal_bits(rows: Sequence[Row]) -> list[str]:
    """Say where methods do not really spend the same."""
    found = []
    for budget in dict.fromkeys(row["budget"] for row in rows):
        spent = {
            row["method"]: row["spent_bits"]
            for row in rows
            if row["budget"] == budget and row["spent_bits"] is not None
        }
        if spent and max(spent.values()) > (1 + SAME_BITS) * min(spent.values()):
            shown = ", ".join(f"{method} {bits:.2f}" for method, bits in spent.items())
            found.append(f"at {budget:g} bits {shown}")
    if not found:
        return []
    return [f"Bits per weight really spent, scales and masks included: {'; '.join(found)}."]


def _few_seeds(pairs: Sequence[Row]) -> list[str]:
    """Say what so few seeds cannot show."""
    seeds = max((row["seeds"] for row in pairs), default=0)
    least = 2.0 ** (1 - seeds)
    if seeds < 2 or least <= LEVEL:
        return []
    return [
        f"With {seeds} seeds the exact sign-flip test cannot give less than p = {least:g}: the verdict rests "
        "on the intervals (95 %, Student's t on the paired differences), which take these to be near normal."
    ]

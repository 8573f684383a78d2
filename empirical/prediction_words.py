"""What a prediction found, in words. No sentence says more than its interval does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["NAMES", "TARGET_NAMES", "prediction_words", "told"]

NAMES = {
    "relative_lower": "the certified errors",
    "relative_upper": "the achieved errors",
    "error_lower": "the certified errors not divided by the signal",
    "error_upper": "the achieved errors not divided by the signal",
    "bits": "bits alone",
    "stored_bits": "bits with scales and masks",
    "weight_error": "the weights' error without their inputs",
    "hessian_error": "the weights' error times the Hessian's mean trace",
    "kurtosis": "kurtosis alone",
}
TARGET_NAMES = {
    "loss_increase": "the loss increase",
    "accuracy_drop": "the accuracy drop",
    "drop_before": "the accuracy drop before fine-tuning",
    "drop_after": "the accuracy drop after fine-tuning",
}
SPOKEN = ("relative_lower", "relative_upper", "bits", "weight_error", "hessian_error", "kurtosis")
WITHIN = ("relative_lower", "weight_error")
NOISE = 2.0  # standard errors
Row = Mapping[str, Any]
ENOUGH = 20  # points for a word on which of two predictors is better


def prediction_words(rows: Sequence[Row], correlations: Sequence[Row]) -> list[str]:
    """Return one sentence for each set and target, predictors side by side, then what to mind.

    Errors that are not divided by the signal, and bits with scales and masks, are left to the tables.

    Parameters
    ----------
    rows : see `pvq.empirical.prediction_rows`
    correlations : see `pvq.empirical.analysis.prediction.correlation_rows`; those of a comparison may follow
    """
    sentences = []
    for kind in ("layers", "mixes", "budgets"):
        whole = [row for row in correlations if (row["set"], row["camp"], row["bits"]) == (kind, "", None)]
        for target in dict.fromkeys(row["target"] for row in whole):
            same = [row for row in whole if row["target"] == target and row["predictor"] in SPOKEN]
            sentences.append(_overall(_over(kind, rows, same), same))
        if kind == "layers":
            sentences += _within(correlations)
    return sentences + _cautions(rows, correlations)


def told(row: Row) -> str:
    """Return an estimate with its interval, or why there is none.

    >>> told({"spearman": 0.931, "low": 0.85, "high": 0.97, "note": ""})
    '0.93 (0.85 to 0.97)'
    >>> told({"spearman": None, "note": "fewer than 5 pairs"})
    'unknown (fewer than 5 pairs)'
    """
    if row["spearman"] is None:
        return f"unknown ({row['note']})"
    doubt = "; no order is shown" if row["low"] <= 0 <= row["high"] else ""
    return f"{_two(row['spearman'])} ({_two(row['low'])} to {_two(row['high'])}{doubt})"


def _over(kind: str, rows: Sequence[Row], same: Sequence[Row]) -> str:
    n = max(row["n"] for row in same)
    if kind == "layers":
        layers = len({row["layer"] for row in rows if row["set"] == "layers"})
        return f"Over {n} networks with a single layer compressed ({layers} layers)"
    return f"Over {n} mixes" if kind == "mixes" else f"Over {n} pairs of trained method and budget"


def _overall(start: str, same: Sequence[Row]) -> str:
    first, *others = same
    target = TARGET_NAMES[first["target"]]
    if first["spearman"] is None:
        return f"{start} {target} cannot be ranked by {NAMES[first['predictor']]}: {first['note']}."
    beside = "".join(f"; {NAMES[row['predictor']]} {told(row)}" for row in others)
    rank = f"{start} {NAMES[first['predictor']]} rank {target} with Spearman {told(first)}{beside}."
    return f"{rank}{_against_bits(first)}"


def _against_bits(row: Row) -> str:
    """Say whether a predictor is better than bits alone, on the same draws."""
    if row.get("lead") is None:
        return ""
    if row["n"] < ENOUGH:
        return f" {row['n']} points are too few to set one predictor against another."
    name = NAMES[row["predictor"]].capitalize()
    lead = f"{_two(row['lead'])} ({_two(row['lead_low'])} to {_two(row['lead_high'])}) in absolute value"
    if row["lead_low"] > 0:
        return f" {name} are better than bits alone, by {lead}."
    if row["lead_high"] < 0:
        return f" {name} are worse than bits alone, by {lead}."
    return f" {name} are not shown to be better than bits alone, nor worse: they lead by {lead}."


def _two(value: float) -> str:
    """Return two decimals, without the sign of a zero."""
    return f"{round(value, 2) + 0.0:.2f}"


def _within(correlations: Sequence[Row]) -> list[str]:
    """Say how layers of one camp and width are ordered, where the width cannot do it."""
    sentences = []
    for predictor in WITHIN:
        mine = [
            row
            for row in correlations
            if row["set"] == "layers"
            and row["bits"] is not None
            and (row["predictor"], row["target"]) == (predictor, "loss_increase")
        ]
        camps = []
        for camp in dict.fromkeys(row["camp"] for row in mine):
            parts = [f"{told(row)} at {row['bits']:g} bits" for row in mine if row["camp"] == camp]
            camps.append(f"{camp} {', '.join(parts)}")
        if camps:
            sentences.append(
                f"Layer against layer in one camp at one width, {NAMES[predictor]} and the loss increase: "
                f"{'; '.join(camps)}."
            )
    return sentences


def _cautions(rows: Sequence[Row], correlations: Sequence[Row]) -> list[str]:
    """Say what the ranks cannot show."""
    layers = [row for row in rows if row["set"] == "layers"]
    small = [row for row in layers if abs(row["loss_increase"]) < NOISE * row["loss_increase_se"]]
    lower = [row for row in layers if row["loss_increase"] <= 0]
    found = []
    if layers:
        found.append(
            f"Of {len(layers)} loss increases of single layers {len(small)} are within {NOISE:g} standard "
            f"errors of zero, {len(lower)} are not above zero: how these are ordered is largely chance."
        )
    notes = dict.fromkeys(row["note"] for row in correlations if row["note"] and row["spearman"] is not None)
    return found + [
        f"Some networks have no finite loss or error: {note}." for note in notes if "finite" in note
    ]

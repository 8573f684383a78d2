"""The tables of a comparison: a row for each method and budget, and one for each pair of methods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from pvq.empirical.comparison import UNCOMPRESSED, Comparison
from pvq.empirical.comparison_plan import Cell
from pvq.empirical.comparison_score import Score
from pvq.empirical.seed_statistics import holm, paired, spread

__all__ = ["FIELDS", "PAIR_FIELDS", "STAGES", "method_rows", "pair_rows"]

STAGES = {"after": "accuracy", "before": "before"}  # and the field of `Score` that holds it
FIELDS = (
    "method", "budget", "seeds", "failed", "accuracy", "accuracy_sd", "accuracy_low", "accuracy_high",
    "before", "before_sd", "before_low", "before_high", "uncompressed", "spent_bits", "seconds", "camp",
    "spec", "reason",
)  # fmt: skip
PAIR_FIELDS = (
    "stage", "budget", "first", "second", "seeds", "difference", "sd", "low", "high", "p_t", "p_t_holm",
    "p_flip", "p_flip_least", "constant", "certain",
)  # fmt: skip


def method_rows(comparison: Comparison, scores: Mapping[Cell, Score]) -> list[dict[str, Any]]:
    """Return a row for each method and budget, in the recipe's order; all rows have all fields.

    Fields: method (its label), budget (bits per weight asked for), seeds (runs with an accuracy), failed
    (runs without), accuracy and before (means after and before fine-tuning, shares in [0, 1]), each with _sd
    and the 95 % interval _low and _high (None for one seed), uncompressed (mean accuracy of the weights
    started from), spent_bits (measured, masks and scales included), seconds (training, all seeds), camp,
    spec (of the method), reason (why the first failed run failed).
    """
    return [
        _method_row(comparison, scores, contender.label, budget)
        | {"camp": contender.camp, "spec": contender.method}
        for contender in comparison.methods
        for budget in comparison.budgets
    ]


def _method_row(
    comparison: Comparison, scores: Mapping[Cell, Score], label: str, budget: float
) -> dict[str, Any]:
    mine = [scores[Cell(label, budget, seed)] for seed in comparison.seeds]
    ended = _known(score.accuracy for score in mine)
    row = {
        "method": label,
        "budget": budget,
        "seeds": len(ended),
        "failed": len(mine) - len(ended),
        **_spread_fields("accuracy", ended),
        **_spread_fields("before", _known(score.before for score in mine)),
        "uncompressed": _mean(score.uncompressed for score in mine),
        "spent_bits": _mean(score.spent_bits for score in mine),
        "seconds": sum(score.seconds for score in mine),
        "reason": next((score.failure for score in mine if score.failure), ""),
    }
    return {name: row.get(name) for name in FIELDS}


def pair_rows(comparison: Comparison, scores: Mapping[Cell, Score]) -> list[dict[str, Any]]:
    """Return a row for each stage, budget and pair of methods that share a seed, first less second.

    Training without compression is a reference, not a method at a budget: it is in no pair.

    Fields: stage (``after`` or ``before`` fine-tuning), budget, first, second, seeds (that both have),
    difference (mean, in shares), sd, low, high (95 % interval), p_t (paired t-test), p_t_holm (corrected for
    all tests of the stage), p_flip (exact sign flips) and p_flip_least (the least it can be), constant (all
    differences are equal), certain (the interval excludes zero).
    """
    rows = []
    labels = [contender.label for contender in comparison.methods if contender.method != UNCOMPRESSED]
    for stage in STAGES:
        found = [
            row
            for budget in comparison.budgets
            for first, second in combinations(labels, 2)
            if (row := _pair_row(comparison, scores, stage, budget, (first, second))) is not None
        ]
        for row, adjusted in zip(found, holm([row["p_t"] for row in found]), strict=True):
            row["p_t_holm"] = adjusted
        rows += found
    return rows


def _pair_row(
    comparison: Comparison, scores: Mapping[Cell, Score], stage: str, budget: float, pair: Sequence[str]
) -> dict[str, Any] | None:
    both = []
    for seed in comparison.seeds:
        values = [getattr(scores[Cell(label, budget, seed)], STAGES[stage]) for label in pair]
        if None not in values:
            both.append(values)
    if not both:
        return None
    first, second = zip(*both, strict=True)
    found = paired(first, second)
    difference = found.difference
    return {
        "stage": stage,
        "budget": budget,
        "first": pair[0],
        "second": pair[1],
        "seeds": len(both),
        "difference": difference.mean,
        "sd": difference.sd,
        "low": difference.low,
        "high": difference.high,
        "p_t": found.p_t,
        "p_t_holm": None,
        "p_flip": found.p_flip,
        "p_flip_least": found.p_flip_least,
        "constant": found.constant,
        "certain": found.certain,
    }


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Iterable[float | None]) -> float | None:
    known = _known(values)
    return spread(known).mean if known else None


def _spread_fields(name: str, sample: Sequence[float]) -> dict[str, float | None]:
    if not sample:
        return {}
    found = spread(sample)
    return {name: found.mean, f"{name}_sd": found.sd, f"{name}_low": found.low, f"{name}_high": found.high}

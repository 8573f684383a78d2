"""Tables and words of a comparison, from scores written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from pvq.empirical.comparison import Comparison, comparison_from
from pvq.empirical.comparison_plan import Cell
from pvq.empirical.comparison_rows import FIELDS, PAIR_FIELDS, method_rows, pair_rows
from pvq.empirical.comparison_score import Score
from pvq.empirical.comparison_words import points, verdicts

BASE = {"model": "resnet-cifar", "dataset": "bundled", "epochs": 1}
Scores = dict[Cell, Score]


def of(labels: list[str], budgets: list[float], seeds: int) -> Comparison:
    methods = [{"method": "ptq", "label": label, "camp": "quantize"} for label in labels]
    settings = {"methods": methods, "budgets": budgets, "seeds": list(range(seeds)), "before": True}
    return comparison_from({"name": "c", "base": BASE, **settings})


def scores_of(accuracies: dict[tuple[str, float], list[Any]], **more: Any) -> Scores:
    return {
        Cell(label, bits, seed): value if isinstance(value, Score) else Score(accuracy=value, **more)
        for (label, bits), values in accuracies.items()
        for seed, value in enumerate(values)
    }


def said(comparison: Comparison, scores: Scores) -> list[str]:
    return verdicts(pair_rows(comparison, scores), method_rows(comparison, scores))


def test_a_row_has_the_means_and_the_measured_bits() -> None:
    comparison = of(["a"], [4, 2], 2)
    both = [Score(0.9, 0.6, 0.95, 4.25, 10.0), Score(0.8, 0.7, 0.95, 4.75, 20.0)]
    first, second = method_rows(comparison, scores_of({("a", 4): both, ("a", 2): [0.5, 0.5]}))
    assert tuple(first) == tuple(second) == FIELDS
    assert (first["accuracy"], first["before"], first["uncompressed"]) == pytest.approx((0.85, 0.65, 0.95))
    assert first["accuracy_sd"] == pytest.approx(0.1 / 2**0.5)
    assert first["accuracy_high"] - 0.85 == pytest.approx(
        12.7062 * 0.05, rel=1e-5
    )  # t of 1 degree of freedom
    assert (first["spent_bits"], first["seconds"], first["camp"]) == (4.5, 30.0, "quantize")
    assert (second["before"], second["before_low"], second["spent_bits"]) == (None, None, None)
    assert (second["accuracy_sd"], second["accuracy_low"]) == (0.0, 0.5)


def test_a_failed_run_is_counted_and_told_of_and_the_others_are_paired() -> None:
    comparison = of(["a", "b"], [4], 3)
    failed = Score(failure="PvqError: the loss is nan")
    scores = scores_of({("a", 4): [0.9, failed, 0.8], ("b", 4): [0.7, 0.6, 0.5]})
    first, second = method_rows(comparison, scores)
    assert (first["seeds"], first["failed"], first["reason"]) == (2, 1, "PvqError: the loss is nan")
    assert (second["seeds"], second["failed"], second["reason"]) == (3, 0, "")
    (pair,) = pair_rows(comparison, scores)
    assert tuple(pair) == PAIR_FIELDS
    assert (pair["seeds"], pair["difference"]) == (2, pytest.approx(0.25))  # of seeds 0 and 2 alone


def test_methods_without_a_common_seed_are_not_compared() -> None:
    comparison = of(["a", "b"], [4], 2)
    scores = scores_of({("a", 4): [0.9, Score(failure="x")], ("b", 4): [Score(failure="y"), 0.8]})
    assert pair_rows(comparison, scores) == []
    assert said(comparison, scores) == []


def test_holm_corrects_over_budgets_within_a_stage() -> None:
    comparison = of(["a", "b"], [4, 2], 3)
    scores = scores_of({
        ("a", 4): [0.90, 0.91, 0.93], ("b", 4): [0.80, 0.80, 0.80],
        ("a", 2): [0.50, 0.51, 0.53], ("b", 2): [0.50, 0.52, 0.50],
    })  # fmt: skip
    near, far = pair_rows(comparison, scores)
    assert near["p_t_holm"] == pytest.approx(2 * near["p_t"])
    assert far["p_t_holm"] == pytest.approx(far["p_t"])
    assert (near["p_flip"], near["p_flip_least"]) == (0.25, 0.25)


def test_the_verdict_names_the_leader_with_its_interval_at_each_budget() -> None:
    comparison = of(["quantization", "pruning"], [4, 3, 2], 3)
    scores = scores_of({
        ("quantization", 4): [0.9000, 0.9010, 0.9020], ("pruning", 4): [0.8815, 0.8819, 0.8827],
        ("quantization", 3): [0.87, 0.88, 0.89], ("pruning", 3): [0.88, 0.875, 0.88],
        ("quantization", 2): [0.60, 0.61, 0.62], ("pruning", 2): [0.700, 0.712, 0.719],
    }, spent_bits=4.0)  # fmt: skip
    verdict, caveat = said(comparison, scores)
    assert verdict == (
        "After fine-tuning, quantization against pruning: "
        "at 4 bits quantization is ahead by 1.9 ± 0.1 points; "
        "at 3 bits no difference is shown (quantization +0.2 ± 2.6 points); "
        "at 2 bits pruning is ahead by 10.0 ± 0.4 points."
    )
    assert "With 3 seeds the exact sign-flip test cannot give less than p = 0.25" in caveat


def test_a_lead_that_many_tests_may_give_by_chance_is_marked() -> None:
    comparison = of(["a", "b"], [8, 4, 3, 2], 3)
    table: dict[tuple[str, float], list[Any]] = {("b", bits): [0.5, 0.5, 0.5] for bits in (8, 4, 3, 2)}
    table |= {("a", bits): [0.49, 0.50, 0.52] for bits in (8, 4, 3)}
    table["a", 2] = [0.60, 0.62, 0.67]  # t = 6.2, p = 0.025; four times that is above 0.05
    verdict, _ = said(comparison, scores_of(table))
    assert (
        "at 2 bits a is ahead by 13.0 ± 9.0 points (no longer after Holm's correction, p = 0.0988)."
        in verdict
    )


def test_one_seed_and_equal_differences_are_called_so() -> None:
    once = of(["a", "b"], [4], 1)
    assert said(once, scores_of({("a", 4): [0.9], ("b", 4): [0.8]})) == [
        "After fine-tuning, a against b: at 4 bits a is ahead by 10.0 points (one seed, no interval)."
    ]
    comparison = of(["a", "b"], [4, 2], 2)
    alike = {("a", 4): [0.9, 0.9], ("b", 4): [0.8, 0.8], ("a", 2): [0.1, 0.2], ("b", 2): [0.1, 0.2]}
    assert said(comparison, scores_of(alike))[0] == (
        "After fine-tuning, a against b: at 4 bits a is ahead by 10.0 points, alike in all 2 seeds; "
        "at 2 bits both are equal, alike in all 2 seeds."
    )


def test_training_without_compression_is_a_reference_and_in_no_pair() -> None:
    settings = {"methods": ["ptq", "none", "dense"], "budgets": [4]}
    comparison = comparison_from({"name": "c", "base": BASE, **settings})
    scores = {Cell(contender.label, 4.0, 0): Score(0.9) for contender in comparison.methods}
    assert [(pair["first"], pair["second"]) for pair in pair_rows(comparison, scores)] == [("ptq", "dense")]
    assert len(method_rows(comparison, scores)) == 3


def test_a_mean_difference_of_zero_has_no_leader() -> None:
    comparison = of(["a", "b"], [4], 2)
    verdict, _ = said(comparison, scores_of({("a", 4): [0.5, 0.75], ("b", 4): [0.75, 0.5]}))
    assert verdict.startswith("After fine-tuning, a against b: at 4 bits no difference is shown (0.0 ± 317")


def test_both_stages_and_all_pairs_get_a_sentence() -> None:
    comparison = of(["a", "b", "c"], [4], 1)
    scores = scores_of({(label, 4): [Score(0.9, 0.1)] for label in "abc"})
    heads = [sentence.partition(":")[0] for sentence in said(comparison, scores)]
    assert heads == [
        f"{stage} fine-tuning, {pair}"
        for stage in ("After", "Before")
        for pair in ("a against b", "a against c", "b against c")
    ]


def test_methods_that_spend_unequal_bits_are_called_so() -> None:
    comparison = of(["a", "b"], [4], 1)
    scores = {Cell("a", 4.0, 0): Score(0.9, spent_bits=4.01), Cell("b", 4.0, 0): Score(0.8, spent_bits=4.81)}
    assert said(comparison, scores)[-1] == (
        "Bits per weight really spent, scales and masks included: at 4 bits a 4.01, b 4.81."
    )
    scores[Cell("b", 4.0, 0)] = Score(0.8, spent_bits=4.02)
    assert len(said(comparison, scores)) == 1


def test_small_differences_keep_their_digits() -> None:
    assert points(0.0) == "0.0"
    assert points(-0.0004) == "-0.04"
    assert points(0.123, 0.05) == "12.3 ± 5.0"

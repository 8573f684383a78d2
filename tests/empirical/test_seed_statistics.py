"""Statistics over seeds: by hand, against scipy, and the laws that any such statistics obey."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pvq.empirical.seed_statistics import Paired, holm, paired, sign_flip_p, spread

ACCURACY = st.integers(0, 10_000).map(lambda right: right / 10_000)
PAIRS = st.lists(st.tuples(ACCURACY, ACCURACY), min_size=2, max_size=8)


def test_three_values_by_hand() -> None:
    # mean 2, squared deviations 1 + 0 + 1, sd 1; t of 2 degrees of freedom at 97.5 % is 4.302653 (any table)
    found = spread([1.0, 2.0, 3.0])
    assert (found.n, found.mean, found.sd) == (3, 2.0, 1.0)
    assert found.half_width == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)


def test_a_paired_case_by_hand() -> None:
    # differences 1, 2, 3: t = 2 sqrt 3, and P(|T| > t) = 1 - t / sqrt(2 + t^2) for two degrees of freedom
    found = paired([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert found.p_t == pytest.approx(1 - math.sqrt(12 / 14), rel=1e-12)
    assert (found.p_flip, found.p_flip_least) == (0.25, 0.25)  # of 8 sign choices only +++ and --- reach 6
    assert not found.certain  # 2 ± 2.48


def test_signs_flipped_by_hand() -> None:
    # 1 + 1 - 1 has |sum| 1, which every one of the 8 choices reaches; 4 alike reach 4 in 2 of 16
    assert sign_flip_p([1.0, 1.0, -1.0]) == 1.0
    assert sign_flip_p([1.0, 1.0, 1.0, 1.0]) == 2 / 16
    assert sign_flip_p([0.0, 0.0]) == 1.0
    assert sign_flip_p([0.1] * 21) is None


def test_holm_by_hand() -> None:
    # sorted .01 .02 .03 .04 times 4 3 2 1 is .04 .06 .06 .04; the last may not fall below the one before
    assert holm([0.04, 0.01, None, 0.03, 0.02]) == pytest.approx([0.06, 0.04, None, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(PAIRS)
def test_scipy_agrees(pairs: list[tuple[float, float]]) -> None:
    first, second = (np.array(values) for values in zip(*pairs, strict=True))
    found = paired(first.tolist(), second.tolist())
    if found.constant:
        return
    other = stats.ttest_rel(first, second)
    interval = other.confidence_interval(0.95)
    assert found.p_t == pytest.approx(other.pvalue, rel=1e-9)
    assert (found.difference.low, found.difference.high) == pytest.approx(
        (interval.low, interval.high), abs=1e-12
    )


def test_scipys_permutation_test_agrees() -> None:
    rng = np.random.default_rng(0)
    for n in (3, 5, 8):
        d = rng.normal(0.3, 1.0, n)
        other = stats.permutation_test(
            (d,), np.mean, permutation_type="samples", n_resamples=math.inf, alternative="two-sided"
        )
        assert sign_flip_p(d.tolist()) == pytest.approx(other.pvalue, rel=1e-12)


@given(PAIRS)
def test_swapping_the_methods_negates(pairs: list[tuple[float, float]]) -> None:
    first, second = zip(*pairs, strict=True)
    there, back = paired(first, second), paired(second, first)
    assert there.difference.mean == pytest.approx(-back.difference.mean, abs=1e-15)
    assert there.difference.low == pytest.approx(-(back.difference.high or 0.0), abs=1e-14)
    assert (there.p_flip, there.constant, there.certain) == (back.p_flip, back.constant, back.certain)
    _same_p(there, back)


@given(PAIRS, st.integers(-5000, 5000))
def test_shifting_all_accuracies_changes_nothing(pairs: list[tuple[float, float]], by: int) -> None:
    first, second = (np.array(values) for values in zip(*pairs, strict=True))
    here, there = (paired((first + s).tolist(), (second + s).tolist()) for s in (0.0, by / 10_000))
    assert here.difference.mean == pytest.approx(there.difference.mean, abs=1e-13)
    assert (here.p_flip, here.constant) == (there.p_flip, there.constant)
    _same_p(here, there)


@given(PAIRS, st.randoms())
def test_the_order_of_the_seeds_does_not_matter(pairs: list[tuple[float, float]], random: Any) -> None:
    mixed = list(pairs)
    random.shuffle(mixed)
    here, there = (paired(*zip(*some, strict=True)) for some in (pairs, mixed))
    assert here.difference.mean == pytest.approx(there.difference.mean, abs=1e-15)
    assert here.p_flip == there.p_flip


def _same_p(one: Paired, other: Paired) -> None:
    assert (one.p_t is None) == (other.p_t is None)
    if one.p_t is not None:
        assert one.p_t == pytest.approx(other.p_t, rel=1e-6)


@given(PAIRS)
def test_p_values_stay_in_their_range(pairs: list[tuple[float, float]]) -> None:
    found = paired(*zip(*pairs, strict=True))
    assert found.p_flip is not None
    assert found.p_flip_least <= found.p_flip <= 1
    assert found.p_t is None or 0 <= found.p_t <= 1
    if found.p_t is not None:  # the test and the interval are one statement
        assert found.certain == (found.p_t < 0.05)


def test_intervals_cover_the_mean_as_often_as_they_say() -> None:
    rng, n = np.random.default_rng(1), 2000
    covered = sum(
        s.low < 0.5 < s.high  # type: ignore[operator]
        for s in (spread(rng.normal(0.5, 0.1, 3).tolist()) for _ in range(n))
    )
    assert abs(covered / n - 0.95) < 5 * math.sqrt(0.95 * 0.05 / n)


def test_one_seed_gives_no_interval_and_no_test() -> None:
    found = paired([0.9], [0.8])
    assert found.difference.mean == pytest.approx(0.1)
    assert (found.difference.sd, found.difference.low, found.difference.high) == (None, None, None)
    assert (found.p_t, found.p_flip, found.constant, found.certain) == (None, 1.0, False, False)


def test_equal_differences_are_no_proof() -> None:
    # 0.91 - 0.9 and 0.81 - 0.8 differ in their last digits only; a t of 1e14 would be nonsense
    found = paired([0.91, 0.81, 0.71], [0.9, 0.8, 0.7])
    assert found.constant
    assert (found.p_t, found.certain, found.difference.sd) == (None, False, 0.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spread([]), "sample must hold at least one value"),
        (lambda: spread([math.nan]), "all finite"),
        (lambda: spread([1.0], confidence=1.0), r"confidence must lie in \(0, 1\), got 1.0"),
        (lambda: paired([1.0], [1.0, 2.0]), "one length, got 1 and 2"),
        (lambda: paired([math.inf], [1.0]), "first must hold"),
        (lambda: holm([1.5]), r"p-values must lie in \[0, 1\], got 1.5"),
    ],
)
def test_refusals(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()

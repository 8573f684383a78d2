"""Rank correlations: scipy's values, coverage of the intervals, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from pvq.empirical.analysis.correlation import Interval, Measure, rank_correlation, rank_lead

MEASURES: tuple[Measure, ...] = ("spearman", "kendall")
X = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
Y = [2.0, 1.0, 4.0, 3.0, 7.0, 8.0, 6.0, 5.0]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("y", [Y, [1, 1, 2, 2, 3, 3, 3, 4]])
def test_estimate_and_p_value_are_scipys(measure: Measure, y: list[float]) -> None:
    found = rank_correlation(X, y, measure, rng=rng())
    expected: Any = (stats.spearmanr if measure == "spearman" else stats.kendalltau)(X, y)
    assert (found.estimate, found.p_value) == (expected.statistic, expected.pvalue)
    assert found.low <= found.estimate <= found.high
    assert found.n == 8


@pytest.mark.parametrize("measure", MEASURES)
def test_resampled_values_are_scipys(measure: Measure) -> None:
    """With 100 resamples the interval's ends are quantiles of scipy's own values on the same draws."""
    chosen = rng(3).integers(8, size=(100, 8))
    x, y = np.array(X), np.array(Y)
    kind: Any = stats.spearmanr if measure == "spearman" else stats.kendalltau
    draws = [kind(x[row], y[row]).statistic for row in chosen if len(set(row)) > 1]
    found = rank_correlation(X, Y, measure, confidence=0.8, rng=rng(3), resamples=100)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(draws, [0.1, 0.9])))


@pytest.mark.parametrize("interval", ["bootstrap", "fisher"])
@pytest.mark.parametrize("measure", MEASURES)
def test_intervals_cover_the_truth_as_often_as_they_say(measure: Measure, interval: Interval) -> None:
    """Gaussian pairs with correlation 0.6: rho is 6/pi asin(0.3), tau 2/pi asin(0.6); 60 samples of 40."""
    truth = 6 / np.pi * np.arcsin(0.3) if measure == "spearman" else 2 / np.pi * np.arcsin(0.6)
    source = rng(1)
    hits = 0
    for _ in range(60):
        a, b = source.standard_normal((2, 40))
        found = rank_correlation(a, 0.6 * a + 0.8 * b, measure, interval, 0.9, rng=source, resamples=200)
        hits += found.low <= truth <= found.high
    assert 43 <= hits <= 60  # 54 expected; five standard errors of sqrt(60 * 0.9 * 0.1) = 2.3


def test_the_seed_decides_the_bootstrap() -> None:
    first, again, other = (rank_correlation(X, Y, rng=rng(seed)) for seed in (0, 0, 1))
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)


def test_monotone_maps_change_nothing() -> None:
    ends = [rank_correlation(x, y, rng=rng()) for x, y in ((X, Y), (np.exp(X), np.log(Y)))]
    assert ends[0] == ends[1]


@pytest.mark.parametrize("interval", ["bootstrap", "fisher"])
def test_a_perfect_order_has_an_interval_of_one_point(interval: Interval) -> None:
    found = rank_correlation(X, [-x for x in X], "kendall", interval, rng=rng())
    assert (found.low, found.estimate, found.high) == (-1, -1, -1)
    assert found.p_value == pytest.approx(2 / 40320)  # of 8! orders


def test_groups_of_one_pair_are_pairs() -> None:
    plain, grouped = (
        rank_correlation(X, Y, rng=rng(), groups=g) for g in (None, [f"g{i}" for i in range(8)])
    )
    assert (grouped.low, grouped.estimate, grouped.high) == (plain.low, plain.estimate, plain.high)
    assert np.isnan(grouped.p_value)


def test_whole_groups_are_drawn() -> None:
    """Groups of 2, 2 and 4 pairs: the ends are quantiles of scipy's values on three drawn groups each."""
    groups = np.array(["a", "b", "c", "a", "b", "c", "c", "c"])
    chosen = rng(3).integers(3, size=(100, 3))
    x, y = np.array(X), np.array(Y)
    draws = []
    for row in chosen:
        places = np.concatenate([np.flatnonzero(groups == "abc"[group]) for group in row])
        draws.append(stats.spearmanr(x[places], y[places]).statistic)
    found = rank_correlation(X, Y, confidence=0.8, rng=rng(3), resamples=100, groups=groups)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(draws, [0.1, 0.9])))
    assert found.estimate == rank_correlation(X, Y, rng=rng()).estimate


def test_pairs_that_are_copies_make_the_interval_no_shorter() -> None:
    """Twelve pairs told four times over know no more than the twelve."""
    source = rng(2)
    x = source.standard_normal(12)
    y = x + source.standard_normal(12)
    once = rank_correlation(x, y, rng=rng())
    told = rank_correlation(np.tile(x, 4), np.tile(y, 4), rng=rng(), groups=np.tile(np.arange(12), 4))
    naive = rank_correlation(np.tile(x, 4), np.tile(y, 4), rng=rng())
    assert (told.low, told.high) == pytest.approx((once.low, once.high))
    assert naive.high - naive.low < 0.7 * (told.high - told.low)


def test_a_lead_is_the_difference_on_the_same_draws() -> None:
    z = [1.0, 5.0, 2.0, 4.0, 3.0, 8.0, 7.0, 6.0]
    found = rank_lead(X, z, Y, rng(3), confidence=0.8, resamples=100)
    chosen = rng(3).integers(8, size=(100, 8))
    x, other, y = np.array(X), np.array(z), np.array(Y)

    def lead(row: Any) -> float:
        both = [abs(stats.spearmanr(values[row], y[row]).statistic) for values in (x, other)]
        return float(both[0] - both[1])

    assert found.estimate == pytest.approx(lead(slice(None)))
    draws = [lead(row) for row in chosen]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(draws, [0.1, 0.9])))
    grouped = rank_lead(X, z, Y, rng(3), confidence=0.8, resamples=100, groups=range(8))
    assert grouped == found


def test_it_reads_as_a_sentence() -> None:
    assert str(rank_correlation(X, Y, interval="fisher")) == (
        "spearman 0.74, 95 % interval -0.04 to 0.96 (n = 8, p = 0.037)"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": [1.0] * 8}, "x must not be constant, got 8 times 1"),
        ({"y": [0.0] * 8}, "y must not be constant"),
        ({"x": X[:4], "y": Y[:4]}, "at least 5 pairs, got 4 and 4"),
        ({"x": X[:7]}, "at least 5 pairs, got 7 and 8"),
        ({"x": [*X[:7], np.nan]}, "x must be finite"),
        ({"y": [*X[:7], np.inf]}, "y must be finite"),
        ({"x": [X]}, r"x must have 1 dimension\(s\)"),
        ({"measure": "pearson"}, "measure must be one of spearman, kendall, got 'pearson'"),
        ({"interval": "jackknife"}, "interval must be one of bootstrap, fisher"),
        ({"confidence": 1.0}, r"confidence must lie in \(0, 1\), got 1.0"),
        ({"resamples": 10}, "resamples must be at least 100, got 10"),
        ({"groups": [1, 2]}, r"groups must be one label for each of 8 pairs, got shape \(2,\)"),
        ({"groups": [1] * 8}, "groups must be at least 2, got 1"),
        (
            {"groups": [1, 2] * 4, "interval": "fisher"},
            "groups must go with interval bootstrap, got 'fisher'",
        ),
        ({"rng": None}, "rng must be given for a bootstrap interval"),
    ],
)
def test_refusals(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"x": X, "y": Y, "rng": rng()} | changes
    with pytest.raises(ValueError, match=message):
        rank_correlation(**arguments)

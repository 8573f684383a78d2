"""Linear CKA: its definition, its invariances, both ways to compute it, clear refusals."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvq.arrays import F64
from pvq.empirical.analysis.cka import FeatureCka, GramCka, linear_cka

seeds = st.integers(0, 10_000)


def features(seed: int, n: int = 12, p: int = 5) -> F64:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, p)) * rng.uniform(0.1, 10, p) + rng.uniform(-5, 5, p)


def definition(x: F64, y: F64) -> float:
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    return float(np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)))


def by_features(x: F64, y: F64, batch: int) -> float:
    sums = FeatureCka()
    for at in range(0, len(x), batch):
        sums.update(x[at : at + batch], y[at : at + batch])
    return sums.value()


def by_grams(x: F64, y: F64, block: int) -> float:
    sums = GramCka()
    for at in range(0, x.shape[1], block):
        sums.update(x[:, at : at + block], y[:, at : at + block])
    return sums.value()


@given(seeds, st.integers(2, 20), st.integers(1, 8), st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_both_ways_give_the_definition(seed: int, n: int, p: int, batch: int) -> None:
    x, y = features(seed, n, p), features(seed + 1, n, p)
    expected = definition(x, y)
    assert by_features(x, y, batch) == pytest.approx(expected, rel=1e-9)
    assert by_grams(x, y, batch) == pytest.approx(expected, rel=1e-9)
    assert linear_cka(x, y) == pytest.approx(expected, rel=1e-9)


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_rotations_scale_shift_and_order_of_examples_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = features(seed), features(seed + 1, p=7)
    expected = linear_cka(x, y)
    rotation, _ = np.linalg.qr(rng.standard_normal((5, 5)))
    mixed = -3.7 * x @ rotation + rng.standard_normal(5)
    assert linear_cka(mixed, y) == pytest.approx(expected, rel=1e-9)
    assert linear_cka(y, x) == pytest.approx(expected, rel=1e-12)
    assert linear_cka(mixed, x) == pytest.approx(1, abs=1e-12)
    order = rng.permutation(len(x))
    assert linear_cka(x[order], y[order]) == pytest.approx(expected, rel=1e-12)
    assert 0 <= expected <= 1


def test_other_linear_maps_do_matter() -> None:
    x = features(0)
    assert linear_cka(x, x * [10, 1, 1, 1, 1]) < 0.99


def test_orthogonal_features_are_not_alike() -> None:
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    assert linear_cka(signs[:, :1], signs[:, 1:]) == 0


def test_a_large_mean_does_not_hurt() -> None:
    x, y = features(2), features(3)
    assert by_features(x + 3e5, y - 3e5, 4) == pytest.approx(definition(x, y), rel=1e-8)
    assert by_grams(x + 3e5, y - 3e5, 2) == pytest.approx(definition(x, y), rel=1e-8)


def test_independent_features_have_the_stated_bias() -> None:
    """sqrt(p q / ((n + p) (n + q))): within five standard errors of the mean of 40."""
    rng = np.random.default_rng(0)
    n, p, q = 40, 60, 90
    found = [linear_cka(rng.standard_normal((n, p)), rng.standard_normal((n, q))) for _ in range(40)]
    error = float(np.std(found)) / 40**0.5
    assert np.mean(found) == pytest.approx((p * q / ((n + p) * (n + q))) ** 0.5, abs=5 * error + 1 / n)


@pytest.mark.parametrize("kind", [FeatureCka, GramCka])
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.full((12, 3), 0.1), "x must differ between examples"),
        (np.zeros((12, 3)), "x must differ between examples"),
        (np.full((12, 3), 1e4) + 1e-4 * np.eye(12, 3), "x must differ between examples"),
        (np.full((12, 3), np.nan), r"x must be finite, got 36 NaN"),
        (np.full((12, 3), np.inf), "x must be finite"),
        (np.zeros((12, 0)), "x must not be empty"),
        (np.zeros(12), r"x must have 2 dimension\(s\)"),
        (features(0, n=11), "x and y must be of the same examples, got 11 and 12"),
    ],
)
def test_refusals(kind: type[FeatureCka | GramCka], x: F64, message: str) -> None:
    sums = kind()
    with pytest.raises(ValueError, match=message):
        _ = sums.update(x, features(1)), sums.value()


def test_refusals_of_too_little_or_changing_shapes() -> None:
    for empty in (FeatureCka(), GramCka()):
        with pytest.raises(ValueError, match="at least 2 examples, got 0"):
            empty.value()
    with pytest.raises(ValueError, match="at least 2 examples, got 1"):
        linear_cka(features(0, n=1), features(1, n=1))
    sums, grams = FeatureCka(), GramCka()
    for state in (sums, grams):
        state.update(features(0), features(1))
    with pytest.raises(ValueError, match="y must have 5 features, got 6"):
        sums.update(features(0), features(1, p=6))
    with pytest.raises(ValueError, match="of 12 examples, got 9"):
        grams.update(features(0, n=9), features(1, n=9))


def debiased_definition(x: F64, y: F64) -> float:
    """The average over all orders of four different examples, of which the estimate is one (Song et al.)."""
    n = len(x)

    def unbiased(k: F64, m: F64) -> float:
        total = 0.0
        for i, j, q, r in permutations(range(n), 4):
            total += k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q])
        return total / math.perm(n, 4)

    k, m = x @ x.T, y @ y.T
    return unbiased(k, m) / math.sqrt(unbiased(k, k) * unbiased(m, m))


@pytest.mark.parametrize("n", [4, 7])
def test_the_debiased_value_is_the_mean_over_fours_of_examples(n: int) -> None:
    x, y = features(3, n, 3), features(4, n, 9)
    y[:, :3] += x
    expected = debiased_definition(x, y)
    for sums in (FeatureCka(), GramCka()):
        sums.update(x, y)
        assert sums.debiased() == pytest.approx(expected, rel=1e-7)


@given(seeds, st.integers(5, 20), st.integers(1, 8), st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_both_ways_give_the_same_debiased_value_for_any_batches_and_shift(
    seed: int, n: int, p: int, batch: int
) -> None:
    x, y = features(seed, n, p), features(seed + 1, n, p)
    whole, parts = GramCka(), FeatureCka()
    whole.update(x, y)
    for at in range(0, n, batch):
        parts.update(x[at : at + batch] * -2 + 3, y[at : at + batch])
    assert parts.debiased() == pytest.approx(whole.debiased(), rel=1e-6, abs=1e-8)


def test_independent_features_have_no_debiased_cka_however_many_they_are() -> None:
    """The plain value of 50 examples with 2,000 features each is near 1."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 50, 2000))
    sums = GramCka()
    sums.update(x, y)
    assert sums.value() > 0.97
    assert abs(sums.debiased()) < 0.1
    same = GramCka()
    same.update(x, 5 * x)
    assert same.debiased() == pytest.approx(1, abs=1e-12)


def test_odd_cases_of_the_debiased_value() -> None:
    x = features(0, 3)
    for sums in (FeatureCka(), GramCka()):
        sums.update(x, x)
        with pytest.raises(ValueError, match="at least 4 examples, got 3"):
            sums.debiased()
    alone = np.zeros((6, 2))
    alone[0] = 1.0  # nothing is left when one example is taken away
    for sums in (FeatureCka(), GramCka()):
        sums.update(alone, alone)
        assert math.isnan(sums.debiased())

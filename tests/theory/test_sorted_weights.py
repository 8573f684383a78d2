"""Prefix sums of sorted weights against sums taken directly."""

from __future__ import annotations

import numpy as np
import pytest

from pvq.theory.distributions.empirical import Empirical
from pvq.theory.sorted_weights import STRIDE, SortedWeights


@pytest.mark.parametrize("n", [1, 2, STRIDE - 1, STRIDE, STRIDE + 1, 100, 5000 * STRIDE + 3])
@pytest.mark.parametrize("digits", [1, 17])
def test_counts_and_totals_are_those_of_the_weights_before(n: int, digits: int) -> None:
    """With one digit most weights are repeated."""
    w = np.sort(np.round(np.random.default_rng(n).normal(size=n) + 0.5, digits))
    ordered = SortedWeights.of(w)
    unit = 2.0**ordered.exponent
    assert (np.diff(ordered.values) > 0).all()
    assert 0.5 <= np.abs(ordered.values).max() < 1
    positions = np.unique(np.linspace(0, ordered.values.size, 60).astype(np.int64))
    for position, total in zip(positions, ordered.total(positions), strict=True):
        before = w[: ordered.count[position]]
        assert total * unit == pytest.approx(before.sum(), rel=1e-13, abs=1e-13 * np.abs(w).sum())
    assert ordered.count[-1] == n
    assert ordered.square * unit**2 == pytest.approx(w @ w, rel=1e-13)


def test_positions_of_any_shape() -> None:
    ordered = SortedWeights.of(np.arange(1.0, 41.0))
    positions = np.array([[0, 7, 8], [9, 39, 40]])
    np.testing.assert_allclose(ordered.total(positions) * 64, positions * (positions + 1) / 2, rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int16])
def test_a_law_is_sorted_exactly_in_every_number_type(dtype: type) -> None:
    w = (50 * np.random.default_rng(0).normal(size=(9, 11))).astype(dtype)
    law = Empirical(w)
    assert law.values.dtype == np.float64
    np.testing.assert_array_equal(law.values, np.sort(w.astype(np.float64).ravel()))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_law_refuses_what_is_not_finite(bad: float, dtype: type) -> None:
    with pytest.raises(ValueError, match="values must be finite, got 1 NaN or infinite"):
        Empirical(np.array([1.0, bad, 2.0], dtype=dtype))

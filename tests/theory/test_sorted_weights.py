"""Prefix sums of sorted weights against sums taken directly."""

from __future__ import annotations

import numpy as np
import pytest

from pvq.theory import sorted_weights as module
from pvq.theory.distributions.empirical import Empirical
from pvq.theory.sorted_weights import STRIDE, SortedWeights

CASES = {
    "distinct": lambda rng, n: rng.normal(size=n) + 0.5,
    "few values": lambda rng, n: np.round(rng.normal(size=n) + 0.5, 1),
    "many zeros": lambda rng, n: rng.normal(size=n) * (rng.random(n) > 0.3),
    "pairs": lambda rng, n: np.repeat(rng.normal(size=n), np.arange(n) % 8 // 7 + 1)[:n],
    "tiny": lambda rng, n: 1e-300 * rng.normal(size=n),
    "huge": lambda rng, n: 1e300 * rng.normal(size=n),
}


@pytest.mark.parametrize("chunk", [STRIDE, module.CHUNK])
@pytest.mark.parametrize("n", [1, 2, STRIDE - 1, STRIDE, STRIDE + 1, 100, 5000])
@pytest.mark.parametrize("case", CASES)
def test_counts_and_totals_are_those_of_the_weights_before(
    case: str, n: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    w = np.sort(CASES[case](np.random.default_rng(n), n))
    if not w.any():
        w[-1] = 1.0
    ordered = SortedWeights.of(w)
    unit = np.ldexp(w, -ordered.exponent)
    assert 0.5 <= np.abs(unit).max() < 1
    assert ordered.square == pytest.approx(unit @ unit, rel=1e-13)
    assert ordered.size == n
    positions = np.unique(np.linspace(0, ordered.values.size, 60).astype(np.int64))
    for total, count in zip(ordered.total(positions), ordered.count(positions), strict=True):
        assert total == pytest.approx(unit[:count].sum(), rel=1e-13, abs=1e-13 * np.abs(unit).sum())
    inside = positions[:-1]
    np.testing.assert_array_equal(ordered.scaled(inside), unit[ordered.count(inside)])
    np.testing.assert_array_equal(ordered.count(ordered.border(unit)), np.searchsorted(unit, unit))


@pytest.mark.parametrize(("case", "together"), [("distinct", False), ("pairs", False), ("few values", True),
                                               ("many zeros", True)])  # fmt: skip
def test_equal_weights_are_taken_together_where_it_pays(case: str, together: bool) -> None:
    w = np.sort(CASES[case](np.random.default_rng(0), 2000))
    ordered = SortedWeights.of(w)
    assert (ordered.before is not None) is together
    assert (ordered.values is w) is not together


@pytest.mark.parametrize(("run", "together"), [(module.FEW, False), (module.FEW + 1, True)])
@pytest.mark.parametrize("at", [0, 3, 900, 1990])
def test_a_long_run_is_noticed_across_parts(
    run: int, together: bool, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", STRIDE)
    w = np.sort(np.random.default_rng(0).normal(size=2000))
    w = np.concatenate([w[:at], np.full(run, w[at]), w[at + 1 :]])
    assert (SortedWeights.of(w).before is not None) is together


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

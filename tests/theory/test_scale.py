"""The scale of least error is the global one; other rules."""

from __future__ import annotations

import numpy as np
import pytest

from pvq.arrays import F64
from pvq.theory.cells import cell_error
from pvq.theory.codebook import Codebook
from pvq.theory.distribution import WeightDistribution
from pvq.theory.distributions.empirical import Empirical
from pvq.theory.laws import law
from pvq.theory.optimal_scale import optimal_scale
from pvq.theory.scale import best_scale, choose_scale
from pvq.theory.snr import quantization_error, signal_power

INT = {bits: np.arange(-(2 ** (bits - 1)), 2 ** (bits - 1), dtype=float) for bits in (2, 3, 4, 6, 8)}
LAWS = [
    "gaussian",
    "uniform",  # its error has many local minima
    "truncated[law=student-t[nu=2],r=1000]",
    "clipped[law=student-t[nu=2],r=30]",
    "student-t[nu=2.2]",
    "mixture[laws=gaussian[sigma=0.01];clipped[law=gaussian,r=0.001],weights=1;1]",
    "mixture[laws=uniform[low=0.9,high=1.1];uniform[low=-1.3,high=-1.25];gaussian[sigma=0.1],weights=1;1;1]",
]


def error(source: WeightDistribution, levels: F64, scale: float) -> float:
    return quantization_error(source, Codebook(scale * levels))


def least_possible(source: WeightDistribution, levels: F64, scales: F64) -> float:
    """Bound the error between neighbouring `scales` from below, with E (Q_a)^2 itself, not a bound of it."""
    at, edges = scales[:, None], Codebook(levels).edges
    lo, hi = at * edges[:-1], at * edges[1:]
    errors = cell_error(source, at * levels, lo, hi).sum(axis=1)
    square = ((at * levels) ** 2 * source.partial_moment(0, lo, hi)).sum(axis=1)
    t = np.linspace(0, 1, 101)[:, None]
    chord = (1 - t) * errors[:-1] + t * errors[1:]
    return float((chord - square[:-1] * (scales[1:] / scales[:-1] - 1) ** 2 * t * (1 - t)).min())


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("spec", LAWS)
def test_no_scale_anywhere_is_better(spec: str, bits: int) -> None:
    """Proved on a grid of its own: between neighbours the error is above its chord less a parabola."""
    source, levels = law(spec), INT[bits]
    best = best_scale(source, levels)
    attained = error(source, levels, best)
    scales = best * np.concatenate(
        [np.geomspace(1e-3, 0.9, 500), np.linspace(0.9, 1.1, 501)[1:-1], np.geomspace(1.1, 1e3, 500)]
    )
    assert least_possible(source, levels, scales) >= attained * (1 - 2e-3)


@pytest.mark.parametrize("bits", [2, 4, 6, 8])
@pytest.mark.parametrize("spec", LAWS[:5])
def test_the_scale_is_stationary(spec: str, bits: int) -> None:
    source, levels = law(spec), INT[bits]
    best = best_scale(source, levels)
    attained = error(source, levels, best)
    for step in (1e-3, 1e-5):
        for other in (best * (1 - step), best * (1 + step)):
            assert error(source, levels, other) >= attained * (1 - 1e-12)


def test_a_tensor_gets_the_scale_that_is_exact_for_tensors() -> None:
    w = np.random.default_rng(0).normal(size=200)
    assert best_scale(Empirical(w), INT[4]) == optimal_scale(w, INT[4])


def test_a_scale_beyond_the_search_is_never_needed() -> None:
    """Far too small a scale leaves the whole signal, far too large a one too."""
    source = law("student-t[nu=3]")
    power = signal_power(source)
    for scale in (1e-6, 1e12):
        assert error(source, INT[4], scale) > 0.99 * power


def test_rules_by_hand() -> None:
    uniform, levels = law("uniform[low=-2,high=2]"), INT[4]
    assert choose_scale(uniform, levels, 7.0, "absmax", 50.0) == pytest.approx(2 / 7)
    assert choose_scale(uniform, levels, 7.0, "percentile", 50.0) == pytest.approx(1 / 7)
    assert choose_scale(uniform, levels, 7.0, 0.25, 50.0) == 0.25
    assert choose_scale(uniform, levels, 7.0, "aciq", 50.0) == pytest.approx(
        2.5591365 * (4 / 3) ** 0.5 / 7, rel=1e-7
    )


def test_refusals() -> None:
    with pytest.raises(ValueError, match="must hold one that is not zero"):
        best_scale(law("gaussian"), np.array([0.0]))
    with pytest.raises(ValueError, match="second moment"):
        best_scale(law("student-t[nu=2]"), INT[4])
    with pytest.raises(ValueError, match="scale=absmax must find a positive finite range, got inf"):
        choose_scale(law("gaussian"), INT[4], 7.0, "absmax", 99.9)

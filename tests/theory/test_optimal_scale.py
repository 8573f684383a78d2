"""The scale search is global: against every breakpoint, against a grid, and under change of unit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvq.arrays import F64
from pvq.theory import optimal_scale as module
from pvq.theory.codebook import Codebook
from pvq.theory.optimal_scale import optimal_scale
from pvq.theory.sorted_weights import SortedWeights

INT4 = np.arange(-8.0, 8.0)


def error(w: F64, levels: F64, s: float) -> float:
    return float(((w - s * Codebook(levels).nearest(w / s)) ** 2).sum())


def best_over_breakpoints(w: F64, levels: F64) -> float:
    """The least error over all pieces: between neighbouring breakpoints the assignment is one parabola."""
    edges = Codebook(levels).edges[1:-1]
    at = (w[:, None] / edges[edges != 0]).ravel()
    at = np.unique(at[at > 0])
    inside = np.concatenate([[at[0] / 2], 0.5 * (at[1:] + at[:-1]), [2 * at[-1]]])
    errors = []
    for s in inside:
        q = Codebook(levels).nearest(w / s)
        if w @ q > 0:
            errors.append(error(w, levels, float((w @ q) / (q @ q))))
    return min(errors)


def level_sets() -> list[F64]:
    rng = np.random.default_rng(5)
    return [
        INT4,
        INT4 + 0.5,
        np.array([-1.0, 0.0, 1.0]),
        np.unique(rng.normal(size=7)),
        np.array([0.5, 2.0, 3.0]),
    ]


@pytest.mark.parametrize("levels", level_sets(), ids=["int4", "mid-rise", "ternary", "random", "positive"])
@pytest.mark.parametrize("leaf", [0, 8, module.LEAF])
def test_equals_the_best_over_all_breakpoints(levels: F64, leaf: int) -> None:
    rng = np.random.default_rng(1)
    tensors = [rng.standard_t(2, 60), rng.normal(size=200), np.round(rng.normal(size=80), 1), rng.random(30)]
    for w in tensors:
        ordered = SortedWeights.of(np.sort(w))
        s = np.ldexp(module._search(module._Tensor(ordered, levels), leaf), ordered.exponent)
        assert error(w, levels, s) <= best_over_breakpoints(w, levels) + 1e-13 * (w @ w)


@given(st.lists(st.integers(-40, 40), min_size=1, max_size=25).filter(any), st.integers(2, 4))
@settings(max_examples=60, deadline=None)
def test_repeated_weights_and_ties(weights: list[int], bits: int) -> None:
    w, levels = np.array(weights, dtype=float), np.arange(-(2.0 ** (bits - 1)), 2 ** (bits - 1))
    assert error(w, levels, optimal_scale(w, levels)) <= best_over_breakpoints(w, levels) + 1e-12 * (w @ w)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_no_scale_of_a_dense_grid_is_better_on_many_weights(bits: int) -> None:
    w = np.random.default_rng(bits).laplace(size=50_000)
    levels = np.arange(-(2.0 ** (bits - 1)), 2 ** (bits - 1))
    best = optimal_scale(w, levels)
    least = error(w, levels, best)
    grid = np.concatenate([best * (1 + np.linspace(-0.02, 0.02, 51)), np.geomspace(best / 8, best * 8, 50)])
    assert all(error(w, levels, float(s)) >= least * (1 - 1e-12) for s in grid)


@pytest.mark.parametrize("unit", [2.0**-1060, 1e-300, 1e-9, 1e300])
def test_follows_the_unit_of_the_weights(unit: float) -> None:
    w = np.random.default_rng(0).normal(size=1000)
    scaled = w * unit
    expected = optimal_scale(scaled / unit, INT4)  # a denormal unit rounds the weights
    assert optimal_scale(scaled, INT4) / unit == pytest.approx(expected, rel=1e-9 if unit > 1e-305 else 1e-2)


def test_one_weight_is_represented_exactly() -> None:
    s = optimal_scale([0.37], INT4)
    assert error(np.array([0.37]), INT4, s) <= 1e-30


def test_smallest_denormal() -> None:
    assert optimal_scale([5e-324], INT4) == 5e-324


def test_constant_tensor_of_many_equal_weights() -> None:
    w = np.full(50_000, -0.1)
    assert error(w, INT4, optimal_scale(w, INT4)) <= 1e-25


@pytest.mark.parametrize(
    ("w", "levels", "message"),
    [
        ([0.0, 0.0], INT4, "w must hold a weight that is not zero"),
        ([], INT4, "w must not be empty"),
        ([1.0, np.nan], INT4, "w must be finite"),
        ([1.0], [1.0, 1.0], "strictly increasing"),
        ([1.0], [-1.0, 0.0], "no scale is better than all zeros"),
        ([1e300], [0.0, 1e-300], "finite scale"),
        ([1.0], [0.0, 1e-200, 1.0], "must not leave edges"),
    ],
)
def test_refusals(w: list[float], levels: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        optimal_scale(w, levels)


def test_lower_bound_holds_between_its_ends() -> None:
    w = np.random.default_rng(3).standard_t(3, 500)
    tensor = module._Tensor(SortedWeights.of(np.sort(w)), INT4)
    unit = 2.0**tensor.weights.exponent
    cuts = np.geomspace(0.05, 3.0, 40) / unit
    points = tensor.at(cuts)
    lo, hi = points.take(np.arange(39)), points.take(np.arange(1, 40))
    bound = module._lower_bound(lo, hi)
    inside = np.linspace(cuts[:-1], cuts[1:], 50)
    lowest = [min(error(w / unit, INT4, float(s)) for s in column) for column in inside.T]
    assert (np.array(lowest) >= bound - 1e-12).all()

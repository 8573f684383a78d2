"""Sets of sparse weights in groups and in boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvq.errors import SpecError
from pvq.solvers.box_refit import refit_in_box
from pvq.solvers.catalogue import CATALOGUE, brute_force, catalogue_problem
from pvq.solvers.feasible import STORED_SETS, FeasibleSet, FiniteSet, SparseSet, fit_rows, fit_set
from pvq.solvers.problem import LayerProblem
from pvq.solvers.sets.boxed_sparse import BoxedSparseSet
from pvq.solvers.sets.n_of_m import NOfMSet
from pvq.theory.codebook import Codebook


def test_groups_of_the_row_may_end_short() -> None:
    chosen = fit_set("n_of_m[n=2,m=4]", np.ones(7))
    assert isinstance(chosen, NOfMSet)
    np.testing.assert_array_equal(chosen.group_of, [0, 0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(chosen.removed, [2, 1])
    assert chosen.contains(np.array([1.0, 0, 0, 2.0, 0, 0, 3.0]))
    assert not chosen.contains(np.array([1.0, 1.0, 1.0, 0, 0, 0, 0]))
    assert not chosen.contains(np.array([np.nan, 0, 0, 0, 0, 0, 0]))
    assert not chosen.contains(np.zeros(8))


def test_box_is_that_of_the_row_and_holds_zero() -> None:
    W = np.array([[0.5, 2.0, 1.0], [-3.0, 1.0, -1.0]])
    first, second = fit_rows("boxed-sparse[density=0.34]", W)
    assert first == BoxedSparseSet(3, 1, 0.0, 2.0)
    assert second == BoxedSparseSet(3, 1, -3.0, 1.0)
    assert fit_set("boxed-sparse[k=2,low=-1,high=0.5]", W) == BoxedSparseSet(3, 2, -1.0, 0.5)
    with pytest.raises(ValueError, match="one row"):
        fit_set("boxed-sparse[k=1]", W)
    assert first.contains(np.array([0.0, 2.0, 0.0]))
    for outside in ([0, 2.1, 0], [-0.1, 0, 0], [1, 1, 0], [np.nan, 0, 0], [1, 0]):
        assert not first.contains(np.array(outside, dtype=float))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_nearest_is_nearest(seed: int, n: int) -> None:
    """With H = I the least error is the least distance."""
    rng = np.random.default_rng(seed)
    problem = LayerProblem(np.eye(n), np.round(rng.standard_normal(n), 1))
    for chosen in (
        NOfMSet(n, int(rng.integers(0, 3)), int(rng.integers(2, 5))),
        BoxedSparseSet(n, min(n, 2), -float(rng.uniform()), float(rng.uniform())),
    ):
        near = chosen.nearest(problem.w)
        assert chosen.contains(near)
        assert problem.error(near) == pytest.approx(brute_force(problem, chosen)[0], abs=1e-15)


@pytest.mark.parametrize("chosen", [NOfMSet(9, 2, 4), BoxedSparseSet(9, 3, -0.1, 1e-300)])
def test_stored_sets_come_back(chosen: FeasibleSet) -> None:
    kind = STORED_SETS.get(STORED_SETS.name_of(chosen))
    assert kind.restore(9, chosen.arrays(), chosen.facts()) == chosen  # type: ignore[attr-defined]
    for name in chosen.facts():
        with pytest.raises(ValueError, match="stored as int"):
            kind.restore(9, chosen.arrays(), {**chosen.facts(), name: 2.0})  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "spec",
    [
        "n_of_m[n=5,m=4]",
        "n_of_m[n=-1,m=4]",
        "n_of_m[n=0,m=0]",
        "boxed-sparse",
        "boxed-sparse[k=1,density=0.5]",
        "boxed-sparse[k=1,low=0.1]",
        "boxed-sparse[k=1,high=-1]",
        "boxed-sparse[k=1,high=inf]",
        "boxed-sparse[k=1,high=nan]",
    ],
)
def test_nonsense_is_refused(spec: str) -> None:
    with pytest.raises(SpecError):
        fit_set(spec, np.ones(4))


@pytest.mark.parametrize("name", CATALOGUE)
def test_optima_of_nested_sets_are_ordered(name: str) -> None:
    """2:4 is sparse, a box takes freedom, and a wide one takes none."""
    problem = catalogue_problem(name, 6)
    sparse, grouped = SparseSet(6, 4), NOfMSet(6, 2, 4)
    tight = BoxedSparseSet(6, 4, -0.5, 0.5)
    wide = BoxedSparseSet(6, 4, -1e6, 1e6)
    noise = 1e-10 * problem.signal
    best = brute_force(problem, sparse)[0]
    assert best <= brute_force(problem, grouped)[0] + noise
    assert best <= brute_force(problem, tight)[0] + noise
    assert best == pytest.approx(brute_force(problem, wide)[0], rel=1e-6, abs=noise)


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize("width", [0.1, 0.7])
def test_refit_in_a_box_is_optimal(name: str, width: float) -> None:
    """By the slope: no point of the box can be lower by more than the linear part of the error is."""
    problem = catalogue_problem(name, 12, seed=3)
    for kept in (np.arange(6), np.arange(0, 12, 2), np.array([1, 2, 3, 7])):
        x = refit_in_box(problem, kept, -width, 2 * width)
        assert BoxedSparseSet(12, len(kept), -width, 2 * width).contains(x)
        assert set(np.flatnonzero(x)) <= set(kept)
        slope = 2.0 * (problem.H @ (x - problem.w))[kept]
        possible = np.maximum(slope * (x[kept] + width), slope * (x[kept] - 2 * width)).sum()
        assert possible <= 1e-6 * problem.signal


def test_brute_force_reads_scaled_levels() -> None:
    problem = LayerProblem(np.eye(2), np.array([0.9, 3.0]))
    chosen = FiniteSet(Codebook(np.array([0.0, 1.0])), np.array([1.0, 4.0]))
    np.testing.assert_array_equal(brute_force(problem, chosen)[1], [1.0, 4.0])

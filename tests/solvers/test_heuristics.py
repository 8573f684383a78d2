"""Each heuristic does what its source says, checked by definition."""

from __future__ import annotations

import numpy as np
import pytest

from pvq.arrays import F64
from pvq.solvers.catalogue import brute_force, catalogue_problem
from pvq.solvers.feasible import FiniteSet, SparseSet, fit_set
from pvq.solvers.problem import LayerProblem
from pvq.solvers.refit import refit
from pvq.solvers.solver import solve

REGULAR = ["conv", "condition-1e2", "condition-1e6", "dead-inputs", "unequal"]


def _point(problem: LayerProblem, spec: str, method: str) -> F64:
    point = solve(problem, spec, method).point
    assert point is not None
    return point


@pytest.mark.parametrize("name", REGULAR)
@pytest.mark.parametrize("method", ["coordinate-descent", "gptq[descent=true]", "hull", "sdp"])
def test_no_single_change_improves(name: str, method: str) -> None:
    problem = catalogue_problem(name, 16)
    feasible = fit_set("int[bits=3]", problem.w)
    assert isinstance(feasible, FiniteSet)
    x = _point(problem, "int[bits=3]", method)
    error = problem.error(x)
    for i in range(problem.n):
        for level in feasible.levels:
            changed = x.copy()
            changed[i] = level
            assert problem.error(changed) >= error * (1 - 1e-9)


def _conditional_rounding(problem: LayerProblem, feasible: FiniteSet) -> F64:
    """Round one weight after another; those still to come take their least-squares values in between."""
    H, x = problem.H, problem.w.copy()
    for i in range(problem.n):
        x[i] = feasible.nearest(x[i : i + 1])[0]
        rest = slice(i + 1, None)
        pull = H[rest, : i + 1] @ (x[: i + 1] - problem.w[: i + 1])
        x[rest] = problem.w[rest] - np.linalg.solve(H[rest, rest], pull)
    return x


@pytest.mark.parametrize("name", ["conv", "condition-1e2", "unequal"])
def test_gptq_is_rounding_with_conditional_least_squares(name: str) -> None:
    problem = catalogue_problem(name, 16)
    feasible = fit_set("int[bits=3]", problem.w)
    assert isinstance(feasible, FiniteSet)
    x = _point(problem, "int[bits=3]", "gptq[damping=0,order=natural]")
    np.testing.assert_array_equal(x, _conditional_rounding(problem, feasible))


def test_gptq_in_activation_order_is_gptq_of_the_sorted_problem() -> None:
    problem = catalogue_problem("unequal", 16)
    order = np.argsort(-np.diagonal(problem.H), kind="stable")
    ordered = LayerProblem(problem.H[np.ix_(order, order)], problem.w[order])
    x = _point(ordered, "int[bits=3]", "gptq[order=natural]")
    np.testing.assert_array_equal(_point(problem, "int[bits=3]", "gptq")[order], x)


@pytest.mark.parametrize("name", ["conv", "condition-1e2", "condition-1e6", "unequal"])
def test_obs_removes_the_cheapest_weight_each_time(name: str) -> None:
    """Removing one weight is optimal; every further removal is the best one given those before."""
    problem = catalogue_problem(name, 8)
    gone: set[int] = set()
    for k in range(7, 0, -1):
        x = _point(problem, f"sparse[k={k}]", "obs")
        options = [sorted(set(range(8)) - gone - {i}) for i in range(8) if i not in gone]
        errors = [problem.error(refit(problem, np.array(kept))) for kept in options]
        assert problem.error(x) == pytest.approx(min(errors), rel=1e-6)
        gone = set(np.flatnonzero(x == 0).tolist())
    first = solve(problem, "sparse[k=7]", "obs").error_upper
    assert first == pytest.approx(brute_force(problem, SparseSet(8, 7))[0], rel=1e-6)


@pytest.mark.parametrize("name", REGULAR)
def test_no_exchange_improves_on_swap(name: str) -> None:
    problem = catalogue_problem(name, 12, seed=3)
    x = _point(problem, "sparse[k=5]", "swap")
    kept, removed = set(np.flatnonzero(x).tolist()), set(np.flatnonzero(x == 0).tolist())
    error = problem.error(x)
    for out in kept:
        for into in removed:
            exchanged = refit(problem, np.array(sorted(kept - {out} | {into})))
            assert problem.error(exchanged) >= error * (1 - 1e-6)


def test_swap_finds_what_obs_misses() -> None:
    """Over forty problems exchanges help somewhere, and nowhere hurt."""
    gains = []
    for seed in range(40):
        problem = catalogue_problem("condition-1e2", 12, seed)
        obs, swap = (problem.error(_point(problem, "sparse[k=4]", method)) for method in ("obs", "swap"))
        gains.append(obs / swap)
    assert min(gains) >= 1 - 1e-9
    assert max(gains) > 1.01


@pytest.mark.parametrize("name", ["conv", "condition-1e2", "dead-inputs", "repeated-columns", "unequal"])
def test_refit_leaves_no_slope_on_the_support(name: str) -> None:
    problem = catalogue_problem(name, 12)
    kept = np.array([0, 3, 4, 8, 11])
    x = refit(problem, kept)
    slope = problem.H @ (x - problem.w)
    size = problem.gram.magnitude @ np.abs(problem.w)
    assert (np.abs(slope[kept]) <= 1e-9 * np.maximum(size[kept], 1e-300)).all()
    assert (np.delete(x, kept) == 0).all()

"""Bounds against an independent interior-point solver on the same relaxations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pvq.arrays import F64
from pvq.solvers.catalogue import catalogue_problem
from pvq.solvers.feasible import FiniteSet, fit_set
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import Limits, solve

cp = pytest.importorskip("cvxpy")
pytest.importorskip("clarabel")

TIGHT = Limits(tolerance=1e-6)
SIZES = [("conv", 9), ("condition-1e2", 6), ("condition-1e2", 12), ("unequal", 8), ("conv", 27)]


def _value(problem: Any) -> float:
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)
    assert problem.status == "optimal"
    return float(problem.value)


def _lifted(problem: LayerProblem, levels: F64, hull: bool) -> float:
    """min of the error over (x, X) with X - xx' semidefinite and (x_i, X_ii) above the edges of the levels.

    Coordinates are scaled to unit diagonal of H, in which the reference is accurate.
    """
    r = np.sqrt(np.diagonal(problem.H))
    A, w = problem.H / np.outer(r, r), problem.w * r
    lifted = cp.Variable((problem.n + 1, problem.n + 1), PSD=True)
    X, x = lifted[:-1, :-1], lifted[:-1, -1]
    constraints = [lifted[-1, -1] == 1]
    k = np.clip(np.searchsorted(levels, problem.w, side="right") - 1, 0, len(levels) - 2)
    edges = [np.full(problem.n, j) for j in range(len(levels) - 1)] if hull else [k]
    for j in edges:
        a, b = levels[j] * r, levels[j + 1] * r
        constraints.append(cp.diag(X) - cp.multiply(a + b, x) + a * b >= 0)
    if hull:
        low, high = levels[0] * r, levels[-1] * r
        constraints.append(cp.diag(X) - cp.multiply(low + high, x) + low * high <= 0)
    return _value(cp.Problem(cp.Minimize(cp.trace(A @ X) - 2 * (A @ w) @ x + w @ A @ w), constraints))


def _perspective(problem: LayerProblem, removed: int) -> float:
    """The dual of the optimal perspective relaxation, on unit diagonal."""
    n, r = problem.n, np.sqrt(np.diagonal(problem.H))
    A, w = problem.H / np.outer(r, r), problem.w * r
    d, u, theta, t, tau = cp.Variable(n), cp.Variable(n), cp.Variable(n), cp.Variable(), cp.Variable()
    constraints = [
        cp.bmat([[A - cp.diag(d), u[:, None]], [u[None, :], cp.reshape(tau, (1, 1), order="F")]]) >> 0,
        cp.multiply(w**2, d) - 2 * cp.multiply(w, u) - t - theta >= 0,
        cp.SOC(d - theta, cp.vstack([2 * u, d + theta]), axis=0),
        d - theta >= 0,
    ]
    return _value(cp.Problem(cp.Maximize(removed * t + cp.sum(theta) - tau), constraints))


@pytest.mark.parametrize(("name", "n"), SIZES)
@pytest.mark.parametrize("bits", [2, 3])
def test_sdp_is_park_and_boyds_relaxation(name: str, n: int, bits: int) -> None:
    problem = catalogue_problem(name, n)
    feasible = fit_set(f"int[bits={bits}]", problem.w)
    assert isinstance(feasible, FiniteSet)
    reference = _lifted(problem, feasible.levels, hull=False)
    bound = solve(problem, feasible, "sdp", TIGHT).error_lower
    assert bound == pytest.approx(reference, rel=1e-4, abs=1e-7 * problem.signal)
    assert bound <= reference + 1e-7 * problem.signal


@pytest.mark.parametrize(("name", "n"), SIZES)
@pytest.mark.parametrize("bits", [2, 3])
def test_hull_is_just_below_the_full_hull(name: str, n: int, bits: int) -> None:
    """The edges left out cost at most a few per cent."""
    problem = catalogue_problem(name, n)
    feasible = fit_set(f"int[bits={bits}]", problem.w)
    assert isinstance(feasible, FiniteSet)
    reference = _lifted(problem, feasible.levels, hull=True)
    bound = solve(problem, feasible, "hull", TIGHT).error_lower
    assert bound is not None
    assert 0.9 * reference - 1e-7 * problem.signal <= bound <= reference + 1e-7 * problem.signal


@pytest.mark.parametrize(("name", "n"), SIZES)
@pytest.mark.parametrize("density", [0.25, 0.5])
def test_perspective_is_the_optimal_perspective_relaxation(name: str, n: int, density: float) -> None:
    problem = catalogue_problem(name, n)
    k = round(density * n)
    reference = _perspective(problem, n - k)
    bound = solve(problem, f"sparse[k={k}]", "perspective", TIGHT).error_lower
    assert bound == pytest.approx(reference, rel=1e-4, abs=1e-7 * problem.signal)
    assert bound <= reference + 1e-7 * problem.signal

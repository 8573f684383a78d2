"""Pruning bounds against an independent interior-point solver on relaxations written down differently."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from pvq.solvers.catalogue import catalogue_problem
from pvq.solvers.problem import LayerProblem
from pvq.solvers.sets.boxed_sparse import BoxedSparseSet
from pvq.solvers.sets.n_of_m import NOfMSet
from pvq.solvers.solver import Limits, solve

cp = pytest.importorskip("cvxpy")
pytest.importorskip("clarabel")

TIGHT = Limits(tolerance=1e-6)


def _value(problem: Any) -> float:
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-8, tol_gap_rel=1e-8, tol_feas=1e-8)
    assert problem.status == "optimal"
    return float(problem.value)


def _lifted(problem: LayerProblem, keep: list[tuple[range, int]], low: float, high: float) -> float:
    """min of the error over (x, X, z): X - xx' >= 0, x_i^2 <= X_ii z_i, x in z [low, high], sums of z.

    In a box, also x_i x_i <= (low + high) x_i - low high z_i, lifted.
    """
    n, H, w = problem.n, problem.H, problem.w
    lifted, z = cp.Variable((n + 1, n + 1), PSD=True), cp.Variable(n)
    X, x = lifted[:n, :n], lifted[:n, n]
    constraints = [lifted[n, n] == 1, z >= 0, z <= 1]
    constraints += [cp.sum(z[members]) <= most for members, most in keep]
    constraints += [cp.quad_over_lin(x[i], z[i]) <= X[i, i] for i in range(n)]
    if np.isfinite(high):
        constraints.append(cp.diag(X) <= (low + high) * x - low * high * z)
    return _value(cp.Problem(cp.Minimize(cp.trace(H @ X) - 2 * (H @ w) @ x + w @ H @ w), constraints))


def _with_blocks(problem: LayerProblem, removed: int, blocks: list[list[int]]) -> float:
    """The best block-diagonal D: one linear matrix inequality for each subset of each block."""
    n, w = problem.n, problem.w
    u, t, tau, theta = cp.Variable(n), cp.Variable(), cp.Variable(), cp.Variable(len(blocks))
    whole, constraints = cp.Constant(np.zeros((n, n))), []
    for b, block in enumerate(blocks):
        E = np.eye(n)[:, block]
        D = cp.Variable((len(block), len(block)), symmetric=True)
        whole = whole + E @ D @ E.T
        corner = cp.bmat([[D, (E.T @ u)[:, None]], [(E.T @ u)[None, :], np.zeros((1, 1))]])
        for gone in product((False, True), repeat=len(block)):
            v = np.append(np.where(gone, -w[block], 0.0), 1.0)
            T = np.column_stack([*np.eye(len(block) + 1)[:, :-1].T[~np.array(gone)], v])
            M = T.T @ corner @ T
            last = np.zeros((T.shape[1], T.shape[1]))
            last[-1, -1] = 1.0
            M = M - (theta[b] + t * sum(gone)) * last
            constraints.append(0.5 * (M + M.T) >> 0)
    M = cp.bmat([[problem.H - whole, u[:, None]], [u[None, :], cp.reshape(tau, (1, 1), order="F")]])
    constraints.append(0.5 * (M + M.T) >> 0)
    return _value(cp.Problem(cp.Maximize(removed * t + cp.sum(theta) - tau), constraints))


def _agrees(problem: LayerProblem, feasible: Any, method: str, reference: float) -> None:
    """Within 1e-4 of the reference, and above it by no more than the reference's own accuracy."""
    bound = solve(problem, feasible, method, TIGHT).error_lower
    assert bound is not None
    assert reference * (1 - 1e-4) <= bound <= reference * (1 + 1e-6)


@pytest.mark.parametrize(("name", "n"), [("conv", 12), ("condition-1e2", 11)])
def test_groups(name: str, n: int) -> None:
    problem = catalogue_problem(name, n)
    keep = [(range(start, min(n, start + 4)), 2) for start in range(0, n, 4)]
    _agrees(problem, NOfMSet(n, 2, 4), "perspective", _lifted(problem, keep, -np.inf, np.inf))


@pytest.mark.parametrize(("name", "n"), [("conv", 12), ("condition-1e2", 10)])
@pytest.mark.parametrize("width", [0.2, 1.0, 3.0])
def test_boxes(name: str, n: int, width: float) -> None:
    problem = catalogue_problem(name, n)
    reference = _lifted(problem, [(range(n), n // 2)], -width, 0.5 * width)
    _agrees(problem, BoxedSparseSet(n, n // 2, -width, 0.5 * width), "perspective", reference)


@pytest.mark.parametrize(("name", "n"), [("conv", 9), ("condition-1e2", 8)])
def test_blocks(name: str, n: int) -> None:
    """The bound of the certificate counts removals exactly, and may exceed the relaxation's by that."""
    from pvq.solvers._dual.partition import partition
    from pvq.solvers._dual.prepared import prepare

    problem = catalogue_problem(name, n)
    blocks: list[list[int]] = [block.tolist() for block in partition(prepare(problem.gram).A, 3)]
    reference = _with_blocks(problem, n - 3, blocks)
    bound = solve(problem, "sparse[k=3]", "block-perspective[size=3]", TIGHT).error_lower
    assert bound is not None
    assert reference * (1 - 1e-4) <= bound <= reference * (1 + 1e-2)

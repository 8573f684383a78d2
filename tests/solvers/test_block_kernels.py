"""Kernels of the block bound against plain NumPy and finite differences."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest

from pvq.arrays import F64
from pvq.solvers._dual.block_path import BlockPath, least_total
from pvq.solvers._dual.block_system import Point, newton

STARTS = np.array([0, 3, 5, 7])
REMOVED, MU, T = 3, 0.03, 0.1


def _path() -> BlockPath:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 7))
    return BlockPath(np.asfortranarray(X.T @ X / 20), rng.standard_normal(7), REMOVED, STARTS)


def _variables(path: BlockPath) -> F64:
    """u, the entries of D and t at a point inside, none of them special."""
    rng = np.random.default_rng(1)
    d = 0.3 * np.linalg.eigvalsh(path.A)[0]
    _, i, j, _ = path.layout.entries
    D = np.where(i == j, d, 0.05 * d * rng.standard_normal(len(i)))
    return np.concatenate([0.1 * rng.standard_normal(7), D, [T]])


def _point(path: BlockPath, x: F64) -> Point:
    b, i, j, _ = path.layout.entries
    D = np.zeros((3, 3, 3))
    D[b, i, j] = D[b, j, i] = x[7:-1]
    point = path._point(D, x[:7].copy(), float(x[-1]))
    assert point is not None
    return point


def _phi(path: BlockPath, x: F64, mu: float) -> float:
    """The smoothed bound, with theta found by bisection."""
    point = _point(path, x)
    R = path.A - path.layout.dense(point.D)
    total = -point.u @ np.linalg.solve(R, point.u) + mu * np.linalg.slogdet(R)[1] + REMOVED * point.t
    for b, (first, last) in enumerate(pairwise(STARTS)):
        s = last - first
        D = point.D[b, :s, :s]
        costs = _costs(D, point.u[first:last], path.w[first:last]) - point.t * path.layout.size[: 1 << s]
        low, high = costs.min() - mu * len(costs), costs.min() - mu
        for _ in range(60):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if (mu / (costs - middle)).sum() < 1 else (low, middle)
        total += low + mu * np.log(costs - low).sum() + mu * np.linalg.slogdet(D)[1]
    return float(total)


def _costs(D: F64, u: F64, w: F64) -> F64:
    """The least cost of each subset, by plain linear algebra."""
    found = []
    for bits in product((0, 1), repeat=len(w)):
        gone = np.array(bits[::-1], dtype=bool)
        v = np.where(gone, -w, 0.0)
        kept = np.flatnonzero(~gone)
        if len(kept):
            v[kept] = -np.linalg.solve(D[np.ix_(kept, kept)], (u + D @ v)[kept])
        found.append(v @ D @ v + 2 * u @ v)
    return np.array(found)


def test_subsets_cost_what_linear_algebra_says() -> None:
    path = _path()
    point = _point(path, _variables(path))
    for b, (first, last) in enumerate(pairwise(STARTS)):
        s = last - first
        plain = _costs(point.D[b, :s, :s], point.u[first:last], path.w[first:last])
        np.testing.assert_allclose(point.q[b, : 1 << s], plain, rtol=1e-12)


def test_value_is_that_of_the_definition() -> None:
    path = _path()
    x = _variables(path)
    assert path._value(_point(path, x), MU) == pytest.approx(_phi(path, x, MU), rel=1e-12)


def _derivatives(path: BlockPath, x: F64, mu: float) -> tuple[F64, F64]:
    """Gradient and Hessian of phi by central differences."""
    h, eye = 1e-4, np.eye(len(x))
    up = np.array([_phi(path, x + h * e, mu) for e in eye])
    down = np.array([_phi(path, x - h * e, mu) for e in eye])
    hessian = np.zeros((len(x), len(x)))
    for a in range(len(x)):
        for b in range(a + 1):
            corners = [
                p * q * _phi(path, x + h * (p * eye[a] + q * eye[b]), mu) for p in (1, -1) for q in (1, -1)
            ]
            hessian[a, b] = hessian[b, a] = sum(corners) / (4 * h * h)
    return (up - down) / (2 * h), hessian


def test_step_and_tangent_are_newtons() -> None:
    path = _path()
    x = _variables(path)
    point = _point(path, x)
    path._value(point, MU)
    move = newton(path.layout, point, path.share, REMOVED, MU)
    assert move is not None
    gradient, hessian = _derivatives(path, x, MU)
    b, i, j, _ = path.layout.entries
    step = np.concatenate([move.step.u, move.step.D[b, i, j], [move.step.t]])
    np.testing.assert_allclose(step, -np.linalg.solve(hessian, gradient), atol=2e-4 * np.abs(step).max())
    change = (_derivatives(path, x, MU * 1.001)[0] - _derivatives(path, x, MU * 0.999)[0]) / (0.002 * MU)
    tangent = np.concatenate([move.tangent.u, move.tangent.D[b, i, j], [move.tangent.t]])
    np.testing.assert_allclose(tangent, -np.linalg.solve(hessian, change), atol=2e-4 * np.abs(tangent).max())
    assert move.decrement == pytest.approx(gradient @ step / MU, rel=1e-4)


def test_least_total_looks_at_every_split() -> None:
    rng = np.random.default_rng(0)
    cost = rng.uniform(size=(4, 4))
    cost[1, 3] = np.inf
    for removed in range(12):
        totals = [
            cost[range(4), split].sum() for split in product(range(4), repeat=4) if sum(split) == removed
        ]
        assert least_total(cost, removed) == pytest.approx(min(totals))

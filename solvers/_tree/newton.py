"""One Newton step of the barrier method for the dual of the perspective relaxation.

Variables are (u, d, t) with R = H - diag(d), P = inv(R) and e = Pu; the barrier is mu (logdet R + sum log d).
u is eliminated first, in a form that cancels nothing: with D = curvature of the weights' contributions in u,

    S = mu P o P + diag(mu / d^2 + c sigma (w + v)^4 / D) + C Q C / D^2,   Q = inv(inv(D) + R / 2),

bordered by one row per group price t.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pvq.arrays import F64
from pvq.solvers._kernels.jit import kernel

from .branches import Branches, Region
from .lapack import factor, invert, solve

__all__ = ["Direction", "direction", "empty_direction"]


class Direction(NamedTuple):
    """A step, and gradient times step: twice the gain that the model promises; nan where there is none."""

    d: F64
    u: F64
    t: F64
    gain: float


class _System(NamedTuple):
    """Gradient and Hessian coefficients at a point."""

    gu: F64
    gd: F64
    gt: F64
    tu: F64  # second derivative by u and the group's t
    td: F64
    tt: F64  # (G,)
    inverse: F64  # 1 / D
    cross: F64  # C / D
    diagonal: F64


@kernel
def empty_direction(m: int, groups: int) -> Direction:
    """Return what says that no step was found."""
    return Direction(np.zeros(m), np.zeros(m), np.zeros(groups), np.nan)


@kernel
def direction(region: Region, P: F64, d: F64, e: F64, mu: float, at: Branches) -> Direction:
    """Return the Newton step at the point whose inverse P, e = Pu and contributions are given."""
    m, groups = len(d), len(region.quota)
    system = _system(region, P, d, e, mu, at)
    Q = 0.5 * region.H
    for i in range(m):
        Q[i, i] += system.inverse[i] - 0.5 * d[i]
    if not factor(Q):
        return empty_direction(m, groups)
    invert(Q)
    S = np.empty((m, m))
    for i in range(m):
        for j in range(i + 1):
            S[i, j] = mu * P[i, j] * P[i, j] + system.cross[i] * system.cross[j] * Q[i, j]
        S[i, i] += system.diagonal[i]
    if not factor(S):
        return empty_direction(m, groups)
    return _solved(region, system, Q, S, e)


@kernel
def _system(region: Region, P: F64, d: F64, e: F64, mu: float, at: Branches) -> _System:
    m, groups = len(d), len(region.quota)
    out = _System(
        np.empty(m),
        np.empty(m),
        region.quota.astype(np.float64),
        np.empty(m),
        np.empty(m),
        np.zeros(groups),
        np.empty(m),
        np.empty(m),
        np.empty(m),
    )
    for i in range(m):
        s, k, v, w, sigma, c = at.s[i], at.k[i], at.v[i], region.w[i], at.mixing[i], at.curvature[i]
        qu, qd = -2.0 * (w + v), w * w - v * v
        out.gu[i] = 2.0 * (k * v - s * w - e[i])
        out.gd[i] = k * v * v + s * w * w - e[i] * e[i] + mu * (1.0 / d[i] - P[i, i])
        if region.undecided[i]:
            out.gt[region.group[i]] -= s
            out.tt[region.group[i]] += sigma
        out.inverse[i] = 1.0 / (c + sigma * qu * qu)
        out.tu[i], out.td[i] = -sigma * qu, -sigma * qd
        out.cross[i] = (sigma * qu * (qd - e[i] * qu) + c * (v - e[i])) * out.inverse[i]
        out.diagonal[i] = mu / (d[i] * d[i]) + c * sigma * (w + v) ** 4 * out.inverse[i]
    return out


@kernel
def _solved(region: Region, system: _System, Q: F64, S: F64, e: F64) -> Direction:
    """Solve the bordered system, with the gradient and each group's column as right-hand sides."""
    m, groups = len(e), len(region.quota)
    U, D = np.zeros((groups + 1, m)), np.zeros((groups + 1, m))
    U[0], D[0] = system.gu, system.gd
    for i in range(m):
        if region.undecided[i]:
            U[1 + region.group[i], i], D[1 + region.group[i], i] = system.tu[i], system.td[i]
    rest = U - (U * system.inverse) @ Q
    D -= e * U + system.cross * rest
    solve(S, D)
    lifted = D * system.cross
    U = rest * system.inverse - e * D - (lifted - (lifted @ Q) * system.inverse)
    border, right = np.zeros((groups, groups)), system.gt.copy()
    for g in range(groups):
        border[g, g] = max(system.tt[g], 1e-300)
    for i in range(m):
        g = region.group[i]
        if region.undecided[i]:
            right[g] -= system.tu[i] * U[0, i] + system.td[i] * D[0, i]
            for h in range(groups):
                border[g, h] -= system.tu[i] * U[1 + h, i] + system.td[i] * D[1 + h, i]
    t = _small_solve(border, right)
    d, u = D[0] - t @ D[1:], U[0] - t @ U[1:]
    gain = np.sum(system.gu * u) + np.sum(system.gd * d) + np.sum(system.gt * t)
    return Direction(d, u, t, gain)


@kernel
def _small_solve(A: F64, b: F64) -> F64:
    if len(b) == 1:
        return b / A[0, 0]
    B = b.copy().reshape(1, len(b))
    M = 0.5 * (A + A.T)
    for i in range(len(b)):
        M[i, i] *= 1.0 + 1e-12
    if not factor(M):
        return np.full(len(b), np.nan)
    solve(M, B)
    return B[0]

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
from .vectors import add_multiple, add_product, dot

__all__ = ["Direction", "branching_gains", "direction", "empty_direction"]


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


class _Factored(NamedTuple):
    """The eliminated system; Q is an inverse, S a factor, columns solve for each group's price."""

    system: _System
    Q: F64
    S: F64
    u: F64  # (G + 1, m), the gradient first
    d: F64
    border: F64  # (G, G)
    right: F64  # (G,)


@kernel
def direction(region: Region, P: F64, d: F64, e: F64, mu: float, at: Branches) -> Direction:
    """Return the Newton step at the point with inverse P (its lower part), e = Pu and contributions `at`."""
    system = _system(region, P, d, e, mu, at)
    Q, S, definite = _eliminated(region, system, P, d, mu)
    if not definite:
        return empty_direction(len(d), len(region.quota))
    F = _bordered(region, system, Q, S, e)
    t = _small_solve(F.border, F.right.copy().reshape(1, len(F.right)))[0].copy()
    step_d, step_u = F.d[0].copy(), F.u[0].copy()
    for g in range(len(t)):
        add_multiple(step_d, -t[g], F.d[1 + g])
        add_multiple(step_u, -t[g], F.u[1 + g])
    gain = dot(system.gu, step_u) + dot(system.gd, step_d) + dot(system.gt, t)
    return Direction(step_d, step_u, t, gain)


@kernel
def branching_gains(
    region: Region, P: F64, d: F64, e: F64, mu: float, at: Branches, when_kept: F64, when_removed: F64
) -> bool:
    """Fill in the rise of the barrier's quadratic model if a weight is kept, or removed; return success.

    With q the gradient of beta - alpha by (u, d, t) and v = q'K^-1 q, the optimum's second derivative by the
    removed fraction is -1 / (sigma - sigma^2 v); moving s to 0 or 1 costs s^2 or (1 - s)^2 over twice that.
    """
    m, groups = len(d), len(region.quota)
    system = _system(region, P, d, e, mu, at)
    Q, S, definite = _eliminated(region, system, P, d, mu)
    if not definite:
        return False
    F = _bordered(region, system, Q, S, e)
    qu, qd = np.empty(m), np.empty(m)
    Y, price = np.empty((m, m)), np.empty((m, groups))
    for i in range(m):
        qu[i], qd[i] = -2.0 * (region.w[i] + at.v[i]), region.w[i] ** 2 - at.v[i] ** 2
        for j in range(m):
            Y[i, j] = system.cross[j] * Q[i, j] * system.inverse[i] * qu[i]
        Y[i, i] += qd[i] - (e[i] + system.cross[i]) * qu[i]
        for g in range(groups):
            price[i, g] = -qu[i] * F.u[1 + g, i] - qd[i] * F.d[1 + g, i]
        price[i, region.group[i]] -= 1.0
    Z = Y.copy()
    solve(S, Z)
    through = _small_solve(F.border, price)
    for i in range(m):
        own = system.inverse[i] - system.inverse[i] * Q[i, i] * system.inverse[i]
        v = qu[i] * qu[i] * own + dot(Y[i], Z[i]) + dot(price[i], through[i])
        second = max(at.mixing[i] - at.mixing[i] * at.mixing[i] * v, 1e-300)
        when_kept[i] = at.s[i] * at.s[i] / (2.0 * second)
        when_removed[i] = at.k[i] * at.k[i] / (2.0 * second)
    return True


@kernel
def _eliminated(region: Region, system: _System, P: F64, d: F64, mu: float) -> tuple[F64, F64, bool]:
    """Return Q and the factor of S, and whether both exist."""
    m = len(d)
    Q, S = np.empty((m, m)), np.empty((m, m))
    for i in range(m):
        for j in range(i + 1):
            Q[i, j] = 0.5 * region.H[i, j]
        Q[i, i] += system.inverse[i] - 0.5 * d[i]
    if not factor(Q):
        return Q, S, False
    invert(Q)
    cross = system.cross
    for i in range(m):
        p, q, s, c = P[i], Q[i], S[i], cross[i]
        for j in range(i + 1):
            s[j] = mu * p[j] * p[j] + c * cross[j] * q[j]
        s[i] += system.diagonal[i]
    return Q, S, factor(S)


@kernel
def _system(region: Region, P: F64, d: F64, e: F64, mu: float, at: Branches) -> _System:
    m, groups = len(d), len(region.quota)
    out = _System(
        np.empty(m),
        np.empty(m),
        np.empty(groups),
        np.empty(m),
        np.empty(m),
        np.zeros(groups),
        np.empty(m),
        np.empty(m),
        np.empty(m),
    )
    for g in range(groups):
        out.gt[g] = region.quota[g]
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
def _bordered(region: Region, system: _System, Q: F64, S: F64, e: F64) -> _Factored:
    """Solve for the gradient and for each group's column, and return the system that is left for t."""
    m, groups = len(e), len(region.quota)
    U, D = np.zeros((groups + 1, m)), np.zeros((groups + 1, m))
    for i in range(m):
        U[0, i], D[0, i] = system.gu[i], system.gd[i]
        if region.undecided[i]:
            U[1 + region.group[i], i], D[1 + region.group[i], i] = system.tu[i], system.td[i]
    rest, lifted = U.copy(), np.empty((groups + 1, m))
    _scale(U, system.inverse, lifted)
    add_product(rest, -1.0, lifted, Q)
    for r in range(groups + 1):
        for i in range(m):
            D[r, i] -= e[i] * U[r, i] + system.cross[i] * rest[r, i]
    solve(S, D)
    _scale(D, system.cross, lifted)
    through = np.zeros((groups + 1, m))
    add_product(through, 1.0, lifted, Q)
    for r in range(groups + 1):
        for i in range(m):
            U[r, i] = (rest[r, i] + through[r, i]) * system.inverse[i] - e[i] * D[r, i] - lifted[r, i]
    border, right = np.zeros((groups, groups)), system.gt.copy()
    for g in range(groups):
        border[g, g] = max(system.tt[g], 1e-300)
    for i in range(m):
        g = region.group[i]
        if region.undecided[i]:
            right[g] -= system.tu[i] * U[0, i] + system.td[i] * D[0, i]
            for h in range(groups):
                border[g, h] -= system.tu[i] * U[1 + h, i] + system.td[i] * D[1 + h, i]
    return _Factored(system, Q, S, U, D, border, right)


@kernel
def _scale(A: F64, factors: F64, out: F64) -> None:
    """Write A with its columns times factors."""
    for r in range(A.shape[0]):
        for i in range(A.shape[1]):
            out[r, i] = A[r, i] * factors[i]


@kernel
def _small_solve(A: F64, B: F64) -> F64:
    """Return B inv(A), nan where A has none."""
    X, M = B.copy(), np.empty(A.shape)
    for i in range(len(A)):
        for j in range(len(A)):
            M[i, j] = 0.5 * (A[i, j] + A[j, i])
        M[i, i] *= 1.0 + 1e-14
    if factor(M):
        solve(M, X)
    else:
        X[:, :] = np.nan
    return X

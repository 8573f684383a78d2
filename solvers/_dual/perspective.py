"""The optimal perspective relaxation of pruning, by a primal-dual interior-point method.

For sparse x with at least p zeros, over all diagonals D with A - D semidefinite (X. Zheng, X. Sun, D. Li,
INFORMS J. Comput. 26, 2014; H. Dong, K. Chen, J. Linderoth, arXiv 1510.06421), the bound is

    max  p t + sum_i theta_i - tau   over (u, d, theta, t, tau) subject to
    [[A - D, u], [u', tau]] >= 0,   [[d_i, u_i], [u_i, -theta_i]] >= 0,
    d_i w_i^2 - 2 u_i w_i - t - theta_i >= 0.

Helmberg-Rendl-Vanderbei-Wolkowicz / Kojima-Shindoh-Hara / Monteiro directions with Mehrotra's corrector; the
Schur complement has order 2n + 2, its entries are products of those of the primal matrix and of the
inverse of the slack, and theta is eliminated beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import blas

from pvq.arrays import F64
from pvq.solvers.outcome import Status

from .blocks import Blocks, longest_step, pair_inverse, symmetric_product
from .linalg import cholesky, inverse, largest_eigenvalue, solve_factored

__all__ = ["Perspective", "Relaxed"]

MOST_STEPS = 60
TOWARDS_BOUNDARY = 0.95


class Relaxed(NamedTuple):
    """Best dual point met: diagonal d, e estimating x - w, the bound, and why the method stopped."""

    d: F64
    e: F64
    bound: float
    status: Status
    iterations: int


class _Dual(NamedTuple):
    """Dual variables, or a change of them."""

    u: F64
    d: F64
    theta: F64
    t: float
    tau: float

    def moved(self, step: float, change: _Dual) -> _Dual:
        return _Dual(
            self.u + step * change.u,
            self.d + step * change.d,
            self.theta + step * change.theta,
            self.t + step * change.t,
            self.tau + step * change.tau,
        )


class _Schur(NamedTuple):
    """Factored Schur complement in (u, d, t, tau) and the eliminated theta's column."""

    factor: F64
    pivot: F64  # (n,) of theta
    column: F64  # (3, n): theta with u, d, t


@dataclass
class Perspective:
    """State of the method on one normalised problem.

    Parameters
    ----------
    A : (n, n) positive definite
    w : (n,) weights
    p : how many weights are zero at least, 1 <= p <= n - 1
    inside : (n,) a diagonal d > 0 with A - diag(d) positive definite
    """

    A: F64
    w: F64
    p: int
    inside: F64

    def __post_init__(self) -> None:
        d, w = self.inside, self.w
        cost = d * w * w
        ordered = np.sort(cost)
        self.mu = max(0.75 * float(ordered[: self.p].sum()) / len(w), 1e-12 * float(cost.max()), 1e-280)
        t = float(ordered[self.p - 1])
        theta = np.minimum(0.0, cost - t) - 2.0 * self.mu
        self.dual = _Dual(np.zeros(len(w)), d, theta, t, self.mu)
        self.slack = self._slack(self.dual)
        factor = cholesky(self.slack.big)
        assert factor is not None, "the start is strictly feasible"
        self.factor = factor
        self.primal = Blocks(*(self.mu * part for part in self._inverse()))
        primal_factor = cholesky(self.primal.big)
        if primal_factor is None:
            raise np.linalg.LinAlgError("the inverse of the first slack is not positive definite")
        self.primal_factor = primal_factor
        self.best = Relaxed(d, np.zeros(len(w)), -np.inf, Status.ITERATION_LIMIT, 0)

    def solve(self, tolerance: float, floor: float, expired: Callable[[], bool], seed: int) -> Relaxed:
        """Iterate until the gap is below tolerance * bound or below floor; return the best dual point."""
        rng, status, steps = np.random.default_rng(seed), Status.ITERATION_LIMIT, 0
        while steps < MOST_STEPS:
            steps += 1
            self._record()
            gap = self.primal.inner(self.slack)
            self.mu = gap / (4 * len(self.w) + 1)
            if gap < max(tolerance * self.best.bound, floor) and self._residual() < tolerance:
                status = Status.BOUND
                break
            if expired():
                status = Status.TIME_LIMIT
                break
            if not self._iterate(rng):
                status = Status.STALLED
                break
        self._record()
        return self.best._replace(status=status, iterations=steps)

    def _slack(self, y: _Dual) -> Blocks:
        """Return the three constraint matrices at y."""
        n, change = len(self.w), self._change(y)
        change.big[:n, :n] += self.A
        return change

    def _change(self, y: _Dual) -> Blocks:
        """Return the linear part of the constraints."""
        n = len(self.w)
        big = np.zeros((n + 1, n + 1))
        big[np.arange(n), np.arange(n)] = -y.d
        big[:n, n] = big[n, :n] = y.u
        big[n, n] = y.tau
        line = y.d * self.w**2 - 2.0 * y.u * self.w - y.t - y.theta
        return Blocks(big, np.array([y.d, y.u, -y.theta]), line)

    def _gradient(self, X: Blocks) -> _Dual:
        """Return objective + adjoint of the constraints at X; zero at a feasible X."""
        n, w, (a, b, c), s = len(self.w), self.w, X.pairs, X.line
        return _Dual(
            2.0 * X.big[:n, n] + 2.0 * b - 2.0 * w * s,
            a - np.diagonal(X.big)[:n] + w * w * s,
            1.0 - c - s,
            self.p - float(s.sum()),
            float(X.big[n, n]) - 1.0,
        )

    def _residual(self) -> float:
        """Return how far the primal is from feasible, relative to its size."""
        r, n = self._gradient(self.primal), len(self.w)
        d = np.abs(r.d).max() / max(1.0, float(np.diagonal(self.primal.big)[:n].max()))
        u = np.abs(r.u).max() / max(1.0, float(np.abs(self.w).max()))
        return max(float(d), float(u), float(np.abs(r.theta).max()), abs(r.t) / self.p, abs(r.tau))

    def _inverse(self) -> Blocks:
        return Blocks(inverse(self.factor), pair_inverse(self.slack.pairs), 1.0 / self.slack.line)

    def _record(self) -> None:
        """Keep (d, e) with e = (A - D)^-1 u if its bound is the best so far.

        The factor of A - D is the leading part of the slack's factor.
        """
        n, d, u, w = len(self.w), self.dual.d, self.dual.u, self.w
        e = solve_factored(np.asfortranarray(self.factor[:n, :n]), u)
        delta = np.sort((d * w - u) ** 2 / d)
        bound = float(-e @ u - (u * u / d).sum() + delta[: self.p].sum())
        if bound > self.best.bound:
            self.best = self.best._replace(d=d, e=e, bound=bound)

    def _iterate(self, rng: np.random.Generator) -> bool:
        """Take one predictor-corrector step; False where the numerics allow none."""
        inverse_slack = self._inverse()
        schur = self._schur(inverse_slack)
        if schur is None:
            return False
        zero = Blocks(*(0.0 * part for part in inverse_slack))
        predictor = self._direction(schur, inverse_slack, zero)
        reach = self._reach(predictor, rng)
        after = self.primal.moved(reach[0], predictor[1]).inner(self.slack.moved(reach[1], predictor[2]))
        share = (after / (self.mu * (4 * len(self.w) + 1))) ** 2 if reach[0] > 0.1 else 0.5
        target = Blocks(*(min(1.0, max(1e-4, share)) * self.mu * part for part in inverse_slack))
        correction = symmetric_product(predictor[1], predictor[2], inverse_slack)
        corrector = self._direction(schur, inverse_slack, target.moved(-1.0, correction))
        reach = self._reach(corrector, rng)
        return self._step(corrector, TOWARDS_BOUNDARY * reach[0], TOWARDS_BOUNDARY * reach[1])

    def _direction(self, schur: _Schur, Zi: Blocks, target: Blocks) -> tuple[_Dual, Blocks, Blocks]:
        """Return the changes of dual variables, primal and slack towards X = target - sym(X dZ Z^-1)."""
        n, g = len(self.w), self._gradient(target)
        eliminated = g.theta / schur.pivot
        u, d, t = schur.column
        rhs = np.concatenate(
            [g.u - u * eliminated, g.d - d * eliminated, [g.t - float(t @ eliminated), g.tau]]
        )
        x = solve_factored(schur.factor, rhs)
        theta = (g.theta - u * x[:n] - d * x[n : 2 * n] - t * x[2 * n]) / schur.pivot
        dual = _Dual(x[:n], x[n : 2 * n], theta, float(x[2 * n]), float(x[2 * n + 1]))
        slack = self._change(dual)
        primal = target.moved(-1.0, self.primal).moved(-1.0, symmetric_product(self.primal, slack, Zi))
        return dual, primal, slack

    def _reach(self, move: tuple[_Dual, Blocks, Blocks], rng: np.random.Generator) -> F64:
        """Return the longest primal and dual steps, at most 1."""
        steps = []
        for factor, values, change in (
            (self.primal_factor, self.primal, move[1]),
            (self.factor, self.slack, move[2]),
        ):
            top = largest_eigenvalue(_congruence(factor, change.big), len(factor), rng)
            steps.append(min(1.0, 1.0 / top if top > 0 else 1.0, longest_step(values, change)))
        return np.array(steps)

    def _step(self, move: tuple[_Dual, Blocks, Blocks], primal: float, dual: float) -> bool:
        """Move, shortening both steps until floating point agrees that slack and primal are definite."""
        for _ in range(60):
            y = self.dual.moved(dual, move[0])
            slack = self._slack(y)
            factor = cholesky(slack.big)
            if factor is not None and _small_blocks_positive(slack):
                break
            dual *= 0.8
        else:
            return False
        for _ in range(60):
            X = self.primal.moved(primal, move[1])
            primal_factor = cholesky(X.big)
            if primal_factor is not None and _small_blocks_positive(X):
                break
            primal *= 0.8
        else:
            return False
        self.dual, self.slack, self.factor = y, slack, factor
        self.primal, self.primal_factor = X, primal_factor
        return True

    def _schur(self, Zi: Blocks) -> _Schur | None:
        """Assemble and factor the Schur complement."""
        n, K = len(self.w), _large_part(self.primal.big, Zi.big)
        (xa, xb, xc), (ia, ib, ic) = self.primal.pairs, Zi.pairs
        q, w = self.primal.line * Zi.line, self.w
        pivot = xc * ic + q
        column = np.array([2.0 * q * w - xb * ic - xc * ib, -xb * ib - q * w * w, q])
        u, d, t = column
        i = np.arange(n)
        K[i, i] += xa * ic + xc * ia + 2.0 * xb * ib + 4.0 * q * w * w - u * u / pivot
        K[n + i, n + i] += xa * ia + q * w**4 - d * d / pivot
        cross = xa * ib + xb * ia - 2.0 * q * w**3 - u * d / pivot
        K[i, n + i] += cross
        K[n + i, i] += cross
        K[2 * n, :n] = K[:n, 2 * n] = 2.0 * q * w - u * t / pivot
        K[2 * n, n : 2 * n] = K[n : 2 * n, 2 * n] = -q * w * w - d * t / pivot
        K[2 * n, 2 * n] = float((q - t * t / pivot).sum())
        for ridge in (0.0, 1e-13, 1e-11, 1e-9):
            factor = cholesky(K + np.diag(ridge * np.diagonal(K)))
            if factor is not None:
                return _Schur(factor, pivot, column)
        return None


def _large_part(X: F64, Y: F64) -> F64:
    """Return the large block's share tr(A_i X A_j Y), ordered u, d, t, tau; Y is the inverse slack."""
    n = len(X) - 1
    x, y, x0, y0, XX, YY = X[:n, n], Y[:n, n], X[n, n], Y[n, n], X[:n, :n], Y[:n, :n]
    K = np.zeros((2 * n + 2, 2 * n + 2), order="F")
    cross = np.outer(x, y)
    K[:n, :n] = cross + cross.T + x0 * YY + y0 * XX
    K[:n, n : 2 * n] = -(YY * x + XX * y)
    K[n : 2 * n, :n] = K[:n, n : 2 * n].T
    K[n : 2 * n, n : 2 * n] = XX * YY
    K[2 * n + 1, :n] = K[:n, 2 * n + 1] = x * y0 + x0 * y
    K[2 * n + 1, n : 2 * n] = K[n : 2 * n, 2 * n + 1] = -x * y
    K[2 * n + 1, 2 * n + 1] = x0 * y0
    return K


def _congruence(L: F64, change: F64) -> Callable[[F64], F64]:
    """Return v -> -L^-1 change L^-T v."""

    def apply(v: F64) -> F64:
        return blas.dtrsv(L, -(change @ blas.dtrsv(L, v, lower=1, trans=1)), lower=1)

    return apply


def _small_blocks_positive(slack: Blocks) -> bool:
    a, b, c = slack.pairs
    return bool((a > 0).all() and (c > 0).all() and (a * c > b * b).all() and (slack.line > 0).all())

"""The optimal perspective relaxation of pruning, by a primal-dual interior-point method.

For x with at least p_g zeros in each group g, over all diagonals D with A - D semidefinite (X. Zheng, X. Sun,
D. Li, INFORMS J. Comput. 26, 2014; H. Dong, K. Chen, J. Linderoth, arXiv 1510.06083), the bound is

    max  sum_g p_g t_g + sum_i theta_i - tau   over (u, d, theta, t, tau) subject to
    [[A - D, u], [u', tau]] >= 0   and the constraints of each weight (`weightwise`).

Helmberg-Rendl-Vanderbei-Wolkowicz / Kojima-Shindoh-Hara / Monteiro directions with Mehrotra's corrector; the
Schur complement has order 2n + G + 1, its entries are products of those of the primal matrix and of the
inverse of the slack, and what concerns one weight alone is eliminated beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import blas, lapack

from pvq.arrays import F64
from pvq.solvers.outcome import Status

from .blocks import Blocks, longest_step, pair_inverse, symmetric_product
from .groups import Groups
from .linalg import cholesky, inverse, largest_eigenvalue, solve_factored
from .schur import factored, schur_complement
from .weightwise import SHARED, Eliminated, Weightwise

__all__ = ["Perspective", "Relaxed", "kept_cost"]

MOST_STEPS = 60
DIRECT = 150  # order up to which all eigenvalues cost less than a Lanczos process
TOWARDS_BOUNDARY = 0.9
BOXED_START = 3e-2


class Relaxed(NamedTuple):
    """Best dual point met: diagonal d, e estimating x - w, the bound, and why the method stopped."""

    d: F64
    e: F64
    bound: float
    status: Status
    iterations: int


class _Dual(NamedTuple):
    """Dual variables, or a change of them: u, d, theta (and z) of each weight, t of each group, and tau."""

    each: F64  # (m - 1, n)
    t: F64  # (G,)
    tau: float

    def moved(self, step: float, change: _Dual) -> _Dual:
        return _Dual(self.each + step * change.each, self.t + step * change.t, self.tau + step * change.tau)


class _Schur(NamedTuple):
    """Factored Schur complement in (u, d, t, tau), and what was eliminated."""

    factor: F64
    weight: Eliminated


@dataclass
class Perspective:
    """State of the method on one normalised problem.

    Parameters
    ----------
    A : (n, n) positive definite
    w : (n,) weights
    groups : how many weights are zero at least
    inside : (n,) a diagonal d > 0 with A - diag(d) positive definite
    box : (2, n) bounds of x - w, each with -w inside, or None
    """

    A: F64
    w: F64
    groups: Groups
    inside: F64
    box: F64 | None = None

    def __post_init__(self) -> None:
        self.weights = Weightwise.of(self.w, self.box)
        self.dual = self._start()
        self.slack = self._slack(self.dual)
        factor = cholesky(self.slack.big)
        assert factor is not None, "the start is strictly feasible"
        self.factor = factor
        self.primal = Blocks(*(self.mu * part for part in self._inverse()))
        primal_factor = cholesky(self.primal.big)
        if primal_factor is None:
            raise np.linalg.LinAlgError("the inverse of the first slack is not positive definite")
        self.primal_factor = primal_factor
        self.order = len(self.A) + 1 + 2 * len(self.w) + self.primal.line.size
        self.best = Relaxed(self.inside, np.zeros(len(self.w)), -np.inf, Status.ITERATION_LIMIT, 0)

    def _start(self) -> _Dual:
        """Return a strictly feasible point with u = 0 and set mu to fit its bound."""
        d, n = self.inside, len(self.w)
        cost = d * self.w**2
        removed = float(cost[self.groups.smallest(cost)].sum())
        self.mu = max(0.75 * removed / n, 1e-12 * float(cost.max()), 1e-280)
        if self.box is not None:  # which may cost as much as the signal, whatever d allows
            self.mu = max(self.mu, BOXED_START)
        t = self.groups.thresholds(cost)
        z = np.full((self.weights.variables - 4, n), self.mu)
        corner = self.weights.pair[:, :, 4:] @ z.T[:, :, None]
        x, y, c = corner[:, :, 0].T
        theta = np.minimum(0.0, cost - self.groups.spread(t)) + np.minimum(0.0, c - y * y / (d + x))
        return _Dual(np.vstack([np.zeros(n), d, theta - 2.0 * self.mu, z]), t, self.mu)

    def solve(self, tolerance: float, floor: float, expired: Callable[[], bool], seed: int) -> Relaxed:
        """Iterate until the gap is below tolerance * bound or below floor; return the best dual point."""
        rng, status, steps = np.random.default_rng(seed), Status.ITERATION_LIMIT, 0
        while steps < MOST_STEPS:
            steps += 1
            self._record()
            gap = self.primal.inner(self.slack)
            self.mu = gap / self.order
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
        """Return the constraint matrices at y."""
        n, change = len(self.w), self._change(y)
        change.big[:n, :n] += self.A
        return change

    def _change(self, y: _Dual) -> Blocks:
        """Return the linear part of the constraints."""
        n = len(self.w)
        big = np.zeros((n + 1, n + 1))
        big[np.arange(n), np.arange(n)] = -y.each[1]
        big[:n, n] = big[n, :n] = y.each[0]
        big[n, n] = y.tau
        each = np.empty((self.weights.variables, n))
        each[:2], each[2], each[3:] = y.each[:2], self.groups.spread(y.t), y.each[2:]
        return Blocks(big, *self.weights.apply(each))

    def _gradient(self, X: Blocks) -> tuple[F64, F64, float]:
        """Return objective + adjoint of the constraints at X, 0 at a feasible X: (m, n), (G,) and tau's."""
        n = len(self.w)
        each = self.weights.adjoint(X.pairs, X.line)
        each[0] += 2.0 * X.big[:n, n]
        each[1] -= np.diagonal(X.big)[:n]
        each[3] += 1.0
        return each, self.groups.removed + self.groups.gather(each[2]), float(X.big[n, n]) - 1.0

    def _residual(self) -> float:
        """Return how far the primal is from feasible, relative to its size."""
        each, t, tau = self._gradient(self.primal)
        size = np.array([np.abs(self.w).max(), np.diagonal(self.primal.big)[:-1].max(), 1.0])
        parts = np.abs(each[[0, 1, 3]]).max(axis=1) / np.maximum(1.0, size)
        return float(max(parts.max(), np.abs(t / self.groups.removed).max(initial=0.0), abs(tau)))

    def _inverse(self) -> Blocks:
        return Blocks(inverse(self.factor), pair_inverse(self.slack.pairs), 1.0 / self.slack.line)

    def _record(self) -> None:
        """Keep (d, e) with e = (A - D)^-1 u if its bound is the best so far.

        The factor of A - D is the leading part of the slack's factor.
        """
        n, w, (u, d) = len(self.w), self.w, self.dual.each[:2]
        e = solve_factored(np.asfortranarray(self.factor[:n, :n]), u)
        kept = kept_cost(d, u, self.box)
        extra = d * w * w - 2.0 * u * w - kept
        bound = float(kept.sum() - e @ u + extra[self.groups.smallest(extra)].sum())
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
        share = (after / (self.mu * self.order)) ** 2 if reach[0] > 0.1 else 0.5
        target = Blocks(*(min(1.0, max(1e-4, share)) * self.mu * part for part in inverse_slack))
        correction = symmetric_product(predictor[1], predictor[2], inverse_slack)
        corrector = self._direction(schur, inverse_slack, target.moved(-1.0, correction))
        reach = self._reach(corrector, rng)
        return self._step(corrector, TOWARDS_BOUNDARY * reach[0], TOWARDS_BOUNDARY * reach[1])

    def _direction(self, schur: _Schur, Zi: Blocks, target: Blocks) -> tuple[_Dual, Blocks, Blocks]:
        """Return the changes of dual variables, primal and slack towards X = target - sym(X dZ Z^-1)."""
        n, (each, t, tau) = len(self.w), self._gradient(target)
        coupling = schur.weight.coupling
        own = np.linalg.solve(schur.weight.own, each[SHARED:].T[:, :, None])
        u, d, spent = each[:SHARED] - (each[SHARED:].T[:, None, :] @ coupling)[:, 0, :].T
        t = self.groups.removed + self.groups.gather(spent)
        x = solve_factored(schur.factor, np.concatenate([u, d, t, [tau]]))
        t = x[2 * n : -1]
        shared = np.array([x[:n], x[n : 2 * n], self.groups.spread(t)])
        own = (own - coupling @ shared.T[:, :, None])[:, :, 0].T
        dual = _Dual(np.vstack([shared[:2], own]), t, float(x[-1]))
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
            top = _largest_loss(factor, change.big, rng)
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
        weight = self.weights.eliminated(self.primal.pairs, Zi.pairs, self.primal.line * Zi.line)
        factor = factored(schur_complement(self.primal.big, Zi.big, weight.shared, self.groups))
        return None if factor is None else _Schur(factor, weight)


def kept_cost(d: F64, g: F64, box: F64 | None) -> F64:
    """Return the least of d v^2 + 2 g v over the box, or over all v, per weight."""
    if box is None:
        return -g * g / d
    low, high = box
    inner = np.clip(-g / np.where(d > 0, d, 1.0), low, high)
    values = [d * v * v + 2.0 * g * v for v in (low, high, inner)]
    return np.minimum(np.minimum(values[0], values[1]), values[2])


def _largest_loss(L: F64, change: F64, rng: np.random.Generator) -> float:
    """Return the largest eigenvalue of -L^-1 change L^-T, from above where it is estimated."""
    n = len(L)
    if n > DIRECT:
        return largest_eigenvalue(_congruence(L, change), n, rng)
    product = lapack.dsygst(-change, L, itype=1, lower=1)[0]
    return float(lapack.dsyevr(product, compute_v=0, range="I", il=n, iu=n, lower=1)[0][0])


def _congruence(L: F64, change: F64) -> Callable[[F64], F64]:
    """Return v -> -L^-1 change L^-T v."""

    def apply(v: F64) -> F64:
        return blas.dtrsv(L, -(change @ blas.dtrsv(L, v, lower=1, trans=1)), lower=1)

    return apply


def _small_blocks_positive(slack: Blocks) -> bool:
    a, b, c = slack.pairs
    return bool((a > 0).all() and (c > 0).all() and (a * c > b * b).all() and (slack.line > 0).all())

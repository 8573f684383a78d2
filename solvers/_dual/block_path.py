"""The block-diagonal perspective bound, by following its central path.

Over block-diagonal D with R = A - D positive definite, u and t, with P = inv(R), e = Pu,

    phi = -u'e + mu logdet R + p t + sum over blocks of F_B(u, D, t; mu)      (F_B of `block_oracle`)

is maximised for mu falling to 0. From a centred point the next one is predicted along the tangent of the
path, with mu falling as far as no matrix or cost under a logarithm loses more than REACH of itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import blas

from pvq.arrays import F64, I64
from pvq.solvers.outcome import Status

from .block_newton import block_costs, block_reach, share_all, solve_all
from .block_system import Layout, Move, Newton, Point, newton
from .linalg import cholesky, largest_eigenvalue, solve_factored

__all__ = ["BlockPath", "BlockRelaxed", "least_total"]

MOST_STEPS = 150
CENTRED = 1.5  # squared decrement below which mu may fall
REACH = 0.7
START = 4.0  # mu over the mean share of the first bound; twice as many steps follow where it is too small
FALL = 0.9  # most that mu falls in one step, relative


class BlockRelaxed(NamedTuple):
    """Best dual point met: blocks of D, e estimating x - w, the bound, and why the method stopped."""

    D: F64
    e: F64
    removal: F64  # (n,) share of the subsets that remove each weight, where the method stopped
    bound: float
    status: Status
    iterations: int


@dataclass
class BlockPath:
    """State of the method on one normalised problem whose weights are ordered by blocks.

    Parameters
    ----------
    A : (n, n) positive definite
    w : (n,) weights
    removed : how many weights are zero at least, 1 <= removed <= n - 1
    starts : (blocks + 1,) first weight of each block
    """

    A: F64
    w: F64
    removed: int
    starts: I64

    def __post_init__(self) -> None:
        self.layout = Layout(self.starts)
        blocks, s = len(self.starts) - 1, self.layout.widest
        D, e = np.zeros((blocks, s, s)), np.zeros(len(self.w))
        self.best = BlockRelaxed(D, e, e, -np.inf, Status.ITERATION_LIMIT, 0)
        self.share = np.zeros((blocks, 1 << s))

    def solve(
        self, d: F64, tolerance: float, floor: float, expired: Callable[[], bool], seed: int
    ) -> BlockRelaxed:
        """Follow the path until the gap is below tolerance * bound or below floor.

        Parameters
        ----------
        d : (n,) positive, with A - diag(d) positive definite
        """
        rng, status, steps = np.random.default_rng(seed), Status.ITERATION_LIMIT, 0
        point, mu = self._start(d)
        while steps < MOST_STEPS:
            steps += 1
            self._record(point)
            value = self._value(point, mu)
            move = newton(self.layout, point, self.share, self.removed, mu)
            if expired() or move is None:
                status = Status.STALLED if move is None else Status.TIME_LIMIT
                break
            centred = move.decrement < CENTRED
            if centred and self._gap(point, mu) < max(tolerance * self.best.bound, floor):
                status = Status.BOUND
                break
            step = self._predicted if centred else self._centred
            moved = step(point, move, mu, value, rng)
            if moved is None:
                status = Status.STALLED
                break
            point, mu = moved
        return self.best._replace(removal=self._removal(), status=status, iterations=steps)

    def _start(self, d: F64) -> tuple[Point, float]:
        """Return diag(d) with u = 0, and a mu that fits its bound."""
        D = np.zeros_like(self.best.D)
        D[self.layout.block, self.layout.place, self.layout.place] = d
        cost = np.sort(d * self.w**2)
        point = self._point(D, np.zeros(len(d)), float(cost[self.removed - 1]))
        assert point is not None, "the start is strictly feasible"
        return point, max(START * float(cost[: self.removed].sum()) / len(d), 1e-12 * float(cost[-1]), 1e-280)

    def _removal(self) -> F64:
        """Return the share of the subsets that remove each weight, (n,)."""
        bits = (np.arange(len(self.layout.size))[:, None] >> np.arange(self.layout.widest)) & 1
        return np.asarray((self.share @ bits)[self.layout.block, self.layout.place])

    def _point(self, D: F64, u: F64, t: float) -> Point | None:
        """Return the point at (D, u, t), None where R or D is not positive definite."""
        blocks, N, s = len(D), len(self.layout.size), self.layout.widest
        factor = cholesky(np.asfortranarray(self.A - self.layout.dense(D)))
        if factor is None:
            return None
        V, G, q = np.zeros((blocks, N, s)), np.zeros((blocks, N, s, s)), np.zeros((blocks, N))
        if not solve_all(D, u, self.w, self.starts, V, G, q):
            return None
        return Point(D, u, t, factor, solve_factored(factor, u), V, G, q)

    def _moved(self, point: Point, move: Move, step: float) -> Point | None:
        return self._point(point.D + step * move.D, point.u + step * move.u, point.t + step * move.t)

    def _value(self, point: Point, mu: float) -> float:
        """Return phi and leave the shares of the subsets in `share`."""
        shares = share_all(point.q, point.G, self.layout.size, self.starts, point.t, mu, self.share)
        logdet = 2.0 * float(np.log(np.diagonal(point.factor)).sum())
        return float(-point.u @ point.e + self.removed * point.t + mu * logdet + shares)

    def _gap(self, point: Point, mu: float) -> float:
        """Return the primal value of the shares, which must be up to date, less the best bound."""
        costs = np.vdot(self.share, point.q - point.t * self.layout.size)
        primal = -point.u @ point.e + self.removed * point.t + costs + 2.0 * mu * len(self.w)
        return float(primal) - self.best.bound

    def _record(self, point: Point) -> None:
        """Keep (D, e) if its bound is the best so far."""
        cost = np.empty((len(point.D), self.layout.widest + 1))
        block_costs(point.q, self.layout.size, self.starts, cost)
        bound = least_total(cost, self.removed) - float(point.e @ point.u)
        if bound > self.best.bound:
            self.best = self.best._replace(D=point.D, e=point.e, bound=bound)

    def _reach(
        self, point: Point, move: Move, slopes: F64, mu: float, drift: float, rng: np.random.Generator
    ) -> float:
        """Return the largest relative loss of R, D and of the costs under logarithms, to first order."""
        change, L = self.layout.dense(move.D), point.factor
        top = largest_eigenvalue(
            lambda v: blas.dtrsv(L, change @ blas.dtrsv(L, v, lower=1, trans=1), lower=1), len(L), rng
        )
        i = np.arange(self.layout.widest)
        Z = point.G[:, 0].copy()
        Z[:, i, i] += Z[:, i, i] == 0  # padding
        root = np.linalg.cholesky(Z)
        blocks = np.linalg.eigvalsh(-(root.transpose(0, 2, 1) @ move.D @ root))[:, -1]
        costs = block_reach(self.share, slopes, self.starts, move.local, mu, drift)
        return max(top, float(blocks.max()), costs, 1e-300)

    def _predicted(
        self, point: Point, move: Newton, mu: float, value: float, rng: np.random.Generator
    ) -> tuple[Point, float] | None:
        """Step along the tangent of the path, to a smaller mu."""
        fall = FALL
        for _ in range(20):
            total = move.step.plus(-fall * mu, move.tangent)
            reach = self._reach(point, total, move.slopes, mu, -fall, rng)
            new = self._moved(point, total, 1.0) if reach <= REACH else None
            if new is not None:
                return new, (1.0 - fall) * mu
            fall *= min(0.8, 0.95 * REACH / reach)
        return None

    def _centred(
        self, point: Point, move: Newton, mu: float, value: float, rng: np.random.Generator
    ) -> tuple[Point, float] | None:
        """Take a Newton step at this mu, short enough to raise phi from `value`."""
        step = min(1.0, 0.5 / self._reach(point, move.step, move.slopes, mu, 0.0, rng))
        for _ in range(30):
            new = self._moved(point, move.step, step)
            if new is not None:
                gain = self._value(new, mu) - value
                if gain >= 0.1 * step * move.decrement * mu - 1e-12 * abs(value):
                    return new, mu
            step *= 0.5
        return None


def least_total(cost: F64, removed: int) -> float:
    """Return the least total cost of removing exactly `removed` weights, over how many each block loses.

    Parameters
    ----------
    cost : (blocks, s + 1), inf where a block has fewer weights

    >>> least_total(np.array([[0.0, 3.0, 4.0], [0.0, 1.0, 9.0]]), 2)
    4.0
    """
    best = np.full(removed + 1, np.inf)
    best[0] = 0.0
    for row in cost:
        longer = np.full((len(row), removed + 1), np.inf)
        for j, value in enumerate(row[: removed + 1]):
            longer[j, j:] = best[: removed + 1 - j] + value
        best = longer.min(axis=0)
    return float(best[removed])

"""Diagonals that bound what the positions left must add, whatever was decided before.

With i positions left and centres c, the least that they can add is min over levels of (y - c)' A_i (y - c),
A_i the leading block of the ordered A. For any diagonal 0 <= D <= A_i that is at least
sum_j d_j dist(c_j, levels)^2: an O(i) bound that sees how far from the levels the decisions so far have
moved the centres (the idea of M. Stojnic, H. Vikalo and B. Hassibi, IEEE Trans. Signal Processing 56, 2008).
A centre between the levels is equally likely anywhere between two of them, where the squared distance is 1/12
on average; one that starts outside, at a weight that is clipped, tends to stay there. So D maximises the sum
of d_j (1/12 + squared distance of weight j to the levels' range): against the trace alone that halves the
nodes at 2 and 3 bits (conv, n = 64 and 72).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pvq.arrays import F64, I64
from pvq.solvers._dual.linalg import cholesky, inverse, solve_factored

__all__ = ["Remaining", "remaining_of"]

DENSE, KNOTS = 32, 16  # a diagonal for each of the first blocks, where most nodes are, and so many beyond
NEWTON_STEPS = 60
BARRIER_CUT = 0.2
ACCURACY = 0.01  # of the sum; the last per cent costs more than it prunes


@dataclass(frozen=True, eq=False)
class Remaining:
    """Diagonals by the number of positions left.

    Parameters
    ----------
    knots : (k,) increasing numbers of positions left
    shares : (k, m); the first i entries of row r serve i positions left, knots[r - 1] < i <= knots[r]
    """

    knots: I64
    shares: F64

    @cached_property
    def depth(self) -> I64:
        """The row that serves i positions left, for i = 0, ..., m - 1."""
        return np.searchsorted(self.knots, np.arange(self.shares.shape[1]))


def remaining_of(A: F64, outside: F64) -> Remaining:
    """Return nearly the best diagonals for leading blocks of the ordered A.

    Parameters
    ----------
    A : (m, m)
    outside : (m,) distances of the weights to the levels' range, in level spacings

    >>> remaining_of(np.diag([2.0, 3.0, 1.0]), np.zeros(3)).shares[-1].round(1)
    array([2., 3., 0.])
    """
    m = len(A)
    beyond = np.linspace(DENSE, m - 1, KNOTS + 1) if m > DENSE else np.zeros(0)
    knots = np.unique(np.append(np.arange(min(DENSE, m - 1) + 1), np.ceil(beyond)).astype(np.int64))
    shares = np.zeros((len(knots), m))
    d = np.zeros(0)
    for row in range(len(knots) - 1, -1, -1):
        k = int(knots[row])
        d = _largest_sum(A[:k, :k], 1.0 + 12.0 * outside[:k] ** 2, d[:k])
        shares[row, :k] = d
    return Remaining(knots, shares)


def _largest_sum(A: F64, value: F64, start: F64) -> F64:
    """Maximise sum value d over 0 <= d, A - diag(d) positive semidefinite, by a barrier; 0 if A is singular.

    A start that serves a larger block is feasible here, but small where only the larger block is nearly
    singular; the mean with a rough interior point is not.
    """
    inner = _interior(A)
    d = 0.5 * (0.98 * start + inner) if len(start) else inner
    lower = cholesky(A - np.diag(d)) if (d > 0).all() else None
    if lower is None or len(A) == 0:
        return np.zeros(len(A))
    mu = 0.1 * float(value @ d) / len(d)
    for _ in range(NEWTON_STEPS):
        Z = inverse(lower)
        gradient = value - mu * np.diagonal(Z) + mu / d
        curvature = cholesky(mu * (Z * Z + np.diag(1.0 / d**2)))
        if curvature is None:
            break
        step = solve_factored(curvature, gradient)
        moved = _stepped(A, d, step)
        if moved is None:
            break
        d, lower = moved
        if 2 * mu * len(d) < ACCURACY * float(value @ d):
            break
        if float(gradient @ step) < mu:
            mu *= BARRIER_CUT
    return d


def _interior(A: F64) -> F64:
    """Return a strictly feasible diagonal: row sums of the inverse's magnitudes bound its eigenvalues."""
    lower = cholesky(A) if len(A) else None
    return np.zeros(len(A)) if lower is None else 0.5 / np.abs(inverse(lower)).sum(axis=1)


def _stepped(A: F64, d: F64, step: F64) -> tuple[F64, F64] | None:
    """Return the diagonal after 0.95 times the largest of the steps 1, 1/2, 1/4, ... that stays inside."""
    size = 1.0
    while size > 1e-6:
        moved = d + size * step
        if (moved > 0).all() and cholesky(A - np.diag(moved)) is not None:
            inside = d + 0.95 * size * step
            lower = cholesky(A - np.diag(inside))
            return None if lower is None else (inside, lower)
        size *= 0.5
    return None

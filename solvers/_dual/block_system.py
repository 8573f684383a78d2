"""Newton's system of the smoothed block bound: assembled from the kernels, factored, solved twice.

With du = dx - dD e the curvature of `block_path`'s phi is that of 2 dx'P dx + mu tr(P dD P dD) plus the
blocks' own; dx is eliminated without cancellation. With C the blocks' curvature in (x; D, t) and
B = inv(C_xx) C_xz, the system in z = (D_ij of all blocks, i <= j; t) has the matrix

    S = mu (P o P terms) + (C_zz - C_zx inv(C_xx) C_xz) + B'QB,    Q = inv(R / 2 + inv(C_xx)).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from pvq.arrays import F64, I64

from .block_newton import add_couplings, block_systems, eliminate
from .linalg import cholesky, inverse, solve_factored

__all__ = ["Layout", "Move", "Newton", "Point", "newton"]


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the weights, entries of D and subsets of each block lie; blocks follow one another.

    Parameters
    ----------
    starts : (blocks + 1,) first weight of each block
    """

    starts: I64

    @cached_property
    def widest(self) -> int:
        """Weights of the largest block."""
        return int(np.diff(self.starts).max())

    @cached_property
    def block(self) -> I64:
        """Block of each weight, (n,)."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    @cached_property
    def place(self) -> I64:
        """Place of each weight in its block, (n,)."""
        return np.arange(self.starts[-1]) - self.starts[self.block]

    @cached_property
    def size(self) -> I64:
        """How many weights each subset of the largest block holds, (2^s,); bit i stands for weight i."""
        return np.array([bin(subset).count("1") for subset in range(1 << self.widest)])

    @cached_property
    def entries(self) -> tuple[I64, I64, I64, I64]:
        """Block, row, column and place among the block's local variables of each D_ij, i <= j, in order."""
        found = [
            (b, i, j, s + place)
            for b, s in enumerate(np.diff(self.starts))
            for place, (i, j) in enumerate((i, j) for i in range(s) for j in range(i, s))
        ]
        b, i, j, local = np.array(found, dtype=np.int64).T
        return b, i, j, local

    @cached_property
    def offsets(self) -> I64:
        """First entry of D of each block, (blocks,)."""
        return np.searchsorted(self.entries[0], np.arange(len(self.starts) - 1))

    @property
    def locals(self) -> int:
        """Local variables of the largest block: u, entries of D, t."""
        return self.widest + self.widest * (self.widest + 1) // 2 + 1

    def times(self, D: F64, e: F64) -> F64:
        """Return the product of the block-diagonal D (blocks, s, s) with e (n,)."""
        padded = np.zeros((len(D), self.widest))
        padded[self.block, self.place] = e
        return np.asarray((D @ padded[:, :, None])[self.block, self.place, 0])

    def dense(self, D: F64) -> F64:
        """Return the block-diagonal matrix, (n, n)."""
        full = np.zeros((len(self.block), len(self.block)), order="F")
        for b, first, last in zip(range(len(D)), self.starts[:-1], self.starts[1:], strict=True):
            full[first:last, first:last] = D[b, : last - first, : last - first]
        return full


class Point(NamedTuple):
    """Variables of the path, and what follows from them without mu."""

    D: F64  # (blocks, s, s)
    u: F64  # (n,)
    t: float
    factor: F64  # Cholesky factor of R = A - D
    e: F64  # inv(R) u
    V: F64  # (blocks, 2^s, s) minimisers of the subsets
    G: F64  # (blocks, 2^s, s, s) inverses of D_KK
    q: F64  # (blocks, 2^s) costs


class Move(NamedTuple):
    """A change of the variables; `local` (blocks, m) holds the same by blocks, as the kernels order it."""

    D: F64
    u: F64
    t: float
    local: F64

    def plus(self, step: float, other: Move) -> Move:
        """Return self + step * other."""
        return Move(
            self.D + step * other.D,
            self.u + step * other.u,
            self.t + step * other.t,
            self.local + step * other.local,
        )


class Newton(NamedTuple):
    """Newton's step for phi, the tangent of the path, and the squared decrement."""

    step: Move
    tangent: Move  # d(variables)/d(mu)
    decrement: float
    slopes: F64  # (blocks, 2^s, m)


def newton(layout: Layout, point: Point, share: F64, removed: int, mu: float) -> Newton | None:
    """Return step and tangent; None where rounding leaves no definite system."""
    blocks, m, s = len(point.D), layout.locals, layout.widest
    slopes = np.zeros((blocks, len(layout.size), m))
    sides, C = np.zeros((blocks, 2, m)), np.zeros((blocks, m, m))
    block_systems(point.V, point.G, share, layout.size, layout.starts, mu, slopes, sides, C)
    P = inverse(point.factor)
    _add_global(layout, sides, P, point.e, mu)
    plain = sides.copy()
    Cinv, B, rest = np.zeros((blocks, s, s)), np.zeros((blocks, s, m - s)), np.zeros((blocks, m - s, m - s))
    if not eliminate(C, sides, point.e, layout.starts, Cinv, B, rest):
        return None
    R = point.factor @ point.factor.T
    Q_factor = cholesky(np.asfortranarray(0.5 * R + layout.dense(Cinv)))
    if Q_factor is None:
        return None
    Q = inverse(Q_factor)
    S = np.zeros((len(layout.entries[0]) + 1,) * 2, order="F")
    add_couplings(S, P, Q, B, rest, layout.starts, layout.offsets, mu)
    factor = cholesky(S)
    if factor is None:
        return None
    step, tangent = (
        _solved(layout, factor, Q, Cinv, B, sides[:, k], point.e, float(removed if k == 0 else 0))
        for k in range(2)
    )
    return Newton(step, tangent, _inner(layout, plain[:, 0], removed, step) / mu, slopes)


def _add_global(layout: Layout, sides: F64, P: F64, e: F64, mu: float) -> None:
    """Add the slopes of -u'inv(R)u + mu logdet R, and their change with mu."""
    b, i, j, local = layout.entries
    row, column = layout.starts[b] + i, layout.starts[b] + j
    twice = np.where(i == j, 1.0, 2.0)
    sides[layout.block, 0, layout.place] -= 2.0 * e
    sides[b, 0, local] -= twice * (e[row] * e[column] + mu * P[row, column])
    sides[b, 1, local] -= twice * P[row, column]


def _stacked(layout: Layout, sides: F64) -> tuple[F64, F64]:
    """Return right sides by weights (n,) and by z (entries + 1,), from (blocks, m)."""
    b, _, _, local = layout.entries
    last = np.diff(layout.starts)
    last = last + last * (last + 1) // 2
    t = sides[np.arange(len(sides)), last].sum()
    return sides[layout.block, layout.place], np.append(sides[b, local], t)


def _inner(layout: Layout, sides: F64, removed: int, move: Move) -> float:
    u, z = _stacked(layout, sides)
    b, i, j, _ = layout.entries
    return float(u @ move.u + z[:-1] @ move.D[b, i, j] + (z[-1] + removed) * move.t)


def _solved(
    layout: Layout, factor: F64, Q: F64, Cinv: F64, B: F64, sides: F64, e: F64, removed: float
) -> Move:
    """Return the solution of Newton's system for one right side (blocks, m), sheared as `eliminate` does."""
    (b, i, j, local), s = layout.entries, layout.widest
    gx, gz = _stacked(layout, sides)
    gz[-1] += removed
    y = layout.times(Cinv, gx)
    gz -= _transposed(layout, B, gx - Q @ y)
    z = solve_factored(factor, gz)
    y = y - _expanded(layout, B, z)
    x = y - layout.times(Cinv, Q @ y)
    D = np.zeros((len(B), s, s))
    D[b, i, j] = D[b, j, i] = z[:-1]
    move = np.zeros((len(B), layout.locals))
    u = x - layout.times(D, e)
    move[layout.block, layout.place] = u
    move[b, local] = z[:-1]
    widths = np.diff(layout.starts)
    move[np.arange(len(B)), widths + widths * (widths + 1) // 2] = z[-1]
    return Move(D, u, float(z[-1]), move)


def _transposed(layout: Layout, B: F64, v: F64) -> F64:
    """Return B'v by z."""
    padded = np.zeros((len(B), 1, layout.widest))
    padded[layout.block, 0, layout.place] = v
    local = (padded @ B)[:, 0, :]
    b, _, _, place = layout.entries
    widths = np.diff(layout.starts)
    t = local[np.arange(len(B)), widths * (widths + 1) // 2].sum()
    return np.append(local[b, place - widths[b]], t)


def _expanded(layout: Layout, B: F64, z: F64) -> F64:
    """Return Bz by weights."""
    b, _, _, place = layout.entries
    widths = np.diff(layout.starts)
    local = np.zeros((len(B), B.shape[2], 1))
    local[b, place - widths[b], 0] = z[:-1]
    local[np.arange(len(B)), widths * (widths + 1) // 2, 0] = z[-1]
    return np.asarray((B @ local)[layout.block, layout.place, 0])

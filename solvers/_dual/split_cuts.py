"""Quadratic inequalities along sparse integer directions that every point of a lattice obeys.

With integers y, t = a'y for an integer vector a, c = a'(w in lattice units) and u = y - w, a cut reads
``alpha (a'u)^2 - beta a'u - rho >= 0``:

=======================  ======  ===========  ================
cut                      alpha   beta         rho
=======================  ======  ===========  ================
(t - lo)(t - hi) >= 0      1     lo + hi - 2c (c - lo)(hi - c)
t <= hi                    0     1            c - hi
t >= lo                    0     -1           lo - c
(t - lo)(hi - t) >= 0     -1     2c - lo - hi -(c - lo)(hi - c)
=======================  ======  ===========  ================

The first holds where no value of t lies strictly between lo and hi: the *splits* hi = lo + 1, and the gaps
between the levels of a single weight. The others are used for single weights, with lo and hi the ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from pvq.arrays import F64, I64, Bool

from .split_kernels import along, gather, images, weighted_square

__all__ = ["Directions", "Kind", "SplitCuts"]


class Kind(IntEnum):
    """What a cut says about t."""

    GAP = 0
    TOP = 1
    BOTTOM = 2
    ARCH = 3


@dataclass(frozen=True, eq=False)
class Directions:
    """N sparse integer vectors: m has the entries start_m ... start_m+1 - 1 of index and coefficient."""

    start: I64
    index: I64
    coefficient: F64

    def __len__(self) -> int:
        return len(self.start) - 1

    @staticmethod
    def units(index: I64) -> Directions:
        """Return the unit vectors of the given coordinates."""
        return Directions(np.arange(len(index) + 1), index, np.ones(len(index)))

    @staticmethod
    def of(index: I64, coefficient: F64) -> Directions:
        """Return N vectors of r entries each from (N, r) arrays."""
        count, entries = index.shape
        return Directions(entries * np.arange(count + 1), index.ravel(), coefficient.ravel())

    @property
    def entries(self) -> I64:
        """Number of entries of each vector, (N,)."""
        return np.diff(self.start)

    def __add__(self, other: Directions) -> Directions:
        return Directions(
            np.concatenate([self.start, self.start[-1] + other.start[1:]]),
            np.concatenate([self.index, other.index]),
            np.concatenate([self.coefficient, other.coefficient]),
        )

    def take(self, keep: Bool) -> Directions:
        """Return the vectors that are marked."""
        entries = np.repeat(keep, self.entries)
        start = np.concatenate([[0], np.cumsum(self.entries[keep])])
        return Directions(start, self.index[entries], self.coefficient[entries])

    def along(self, u: F64) -> F64:
        """Return a_m'u, (N,)."""
        return np.asarray(along(self.start, self.index, self.coefficient, np.ascontiguousarray(u)))

    def gather(self, y: F64, n: int) -> F64:
        """Return sum_m y_m a_m, (n,)."""
        return np.asarray(gather(self.start, self.index, self.coefficient, y, n))

    def weighted_square(self, y: F64, n: int) -> F64:
        """Return sum_m y_m a_m a_m', (n, n)."""
        return np.asarray(weighted_square(self.start, self.index, self.coefficient, y, n))

    def images(self, Z: F64) -> F64:
        """Return the rows a_m'Z, (N, n)."""
        return np.asarray(images(self.start, self.index, self.coefficient, np.ascontiguousarray(Z)))

    def variances(self, Z: F64) -> F64:
        """Return a_m'Z a_m, (N,)."""
        owner = np.repeat(np.arange(len(self)), self.entries)
        parts = self.coefficient * self.images(Z)[owner, self.index]
        return np.bincount(owner, parts, len(self)).astype(np.float64)


@dataclass(frozen=True, eq=False)
class SplitCuts:
    """A list of N cuts: directions and, as arrays of length N, what is said along them."""

    directions: Directions
    kind: I64
    lo: I64
    alpha: F64
    beta: F64
    rho: F64

    @staticmethod
    def of(directions: Directions, c: F64, kind: I64, lo: I64, hi: I64) -> SplitCuts:
        """Return cuts of the given kinds along directions, for weights c (n,) in lattice units."""
        t = directions.along(c)
        one, inside = np.ones(len(t)), (t - lo) * (hi - t)
        alpha = np.choose(kind, [one, 0.0 * one, 0.0 * one, -one])
        beta = np.choose(kind, [lo + hi - 2.0 * t, one, -one, 2.0 * t - lo - hi])
        rho = np.choose(kind, [inside, t - hi, lo - t, -inside])
        return SplitCuts(directions, kind, lo, alpha, beta, rho)

    def __len__(self) -> int:
        return len(self.alpha)

    def __add__(self, other: SplitCuts) -> SplitCuts:
        return SplitCuts(
            self.directions + other.directions,
            np.concatenate([self.kind, other.kind]),
            np.concatenate([self.lo, other.lo]),
            np.concatenate([self.alpha, other.alpha]),
            np.concatenate([self.beta, other.beta]),
            np.concatenate([self.rho, other.rho]),
        )

    def take(self, keep: Bool) -> SplitCuts:
        """Return the cuts that are marked."""
        return SplitCuts(
            self.directions.take(keep),
            self.kind[keep],
            self.lo[keep],
            self.alpha[keep],
            self.beta[keep],
            self.rho[keep],
        )

    def names(self) -> list[tuple[int, ...]]:
        """Return what tells cuts apart: kind, lo, then indices and coefficients."""
        a, start = self.directions, self.directions.start
        index, coefficient = a.index.tolist(), a.coefficient.astype(np.int64).tolist()
        ends = zip(start[:-1].tolist(), start[1:].tolist(), strict=True)
        said = zip(self.kind.tolist(), self.lo.tolist(), strict=True)
        return [
            (kind, lo, *index[i:j], *coefficient[i:j]) for (i, j), (kind, lo) in zip(ends, said, strict=True)
        ]

"""Quadratic inequalities, each about one weight, that every point of a finite set obeys.

A cut at coordinate i reads ``alpha u_i^2 - beta u_i - rho >= 0`` in the change u = y - w:

===================  ======  =========  ================
cut                  alpha   beta       rho
===================  ======  =========  ================
(y - a)(y - b) >= 0    1     a + b - 2w  (w - a)(b - w)
y <= U                 0     1           w - U
y >= L                 0     -1          L - w
(y - L)(U - y) >= 0    -1    2w - L - U  -(w - L)(U - w)
===================  ======  =========  ================

The first, for neighbouring levels a < b, is the lower edge of the hull of {(y, y^2)} over the levels
(J. Park, S. Boyd, arXiv 1504.07672, for integers); the last is the hull's upper edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64, I64, Bool

__all__ = ["Cuts", "Grid"]


@dataclass(frozen=True, eq=False)
class Cuts:
    """A list of N cuts, as arrays of length N."""

    index: I64
    alpha: F64
    beta: F64
    rho: F64

    def __len__(self) -> int:
        return len(self.index)

    def __add__(self, other: Cuts) -> Cuts:
        return Cuts(
            np.concatenate([self.index, other.index]),
            np.concatenate([self.alpha, other.alpha]),
            np.concatenate([self.beta, other.beta]),
            np.concatenate([self.rho, other.rho]),
        )

    def diagonal(self, x: F64, n: int) -> F64:
        """Return the diagonal of D = sum of x_m alpha_m over the cuts at each coordinate, (n,)."""
        return np.bincount(self.index, self.alpha * x, n).astype(np.float64)

    def linear(self, x: F64, n: int) -> F64:
        """Return p = sum of x_m beta_m over the cuts at each coordinate, (n,)."""
        return np.bincount(self.index, self.beta * x, n).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Grid:
    """The weights and their L >= 2 levels in coordinates of their own: weight i is stretched by `stretch_i`.

    Parameters
    ----------
    w : (n,) stretched weights
    levels : (L,) levels before stretching
    stretch : (n,) positive
    """

    w: F64
    levels: F64
    stretch: F64

    @property
    def low(self) -> F64:
        """Lowest level of each coordinate."""
        return np.asarray(self.levels[0] * self.stretch)

    @property
    def high(self) -> F64:
        """Highest level of each coordinate."""
        return np.asarray(self.levels[-1] * self.stretch)

    def cell(self, y: F64) -> I64:
        """Return k such that y lies between level k and level k + 1, the outermost pair beyond the ends."""
        position = np.searchsorted(self.levels, y / self.stretch, side="right") - 1
        return np.clip(position, 0, len(self.levels) - 2)

    def gap(self) -> F64:
        """Width of the cell of each weight."""
        k = self.cell(self.w)
        return (self.levels[k + 1] - self.levels[k]) * self.stretch

    def lower_edges(self, index: I64, k: I64) -> Cuts:
        """Return (y - level k)(y - level k+1) >= 0 at the given coordinates."""
        w, r = self.w[index], self.stretch[index]
        a, b = self.levels[k] * r, self.levels[k + 1] * r
        return Cuts(index, np.ones(len(index)), a + b - 2.0 * w, (w - a) * (b - w))

    def below_top(self, where: Bool) -> Cuts:
        """Return y <= highest level."""
        index = np.flatnonzero(where)
        one = np.ones(len(index))
        return Cuts(index, 0.0 * one, one, (self.w - self.high)[index])

    def above_bottom(self, where: Bool) -> Cuts:
        """Return y >= lowest level."""
        index = np.flatnonzero(where)
        one = np.ones(len(index))
        return Cuts(index, 0.0 * one, -one, (self.low - self.w)[index])

    def upper_edges(self, where: Bool) -> Cuts:
        """Return (y - lowest level)(highest level - y) >= 0."""
        index = np.flatnonzero(where)
        w, low, high = self.w[index], self.low[index], self.high[index]
        return Cuts(index, -np.ones(len(index)), 2.0 * w - low - high, -(w - low) * (high - w))

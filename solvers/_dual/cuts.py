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

from pvq.arrays import F64, I64

__all__ = ["Cuts", "Grid"]


@dataclass(frozen=True, eq=False)
class Cuts:
    """A list of N cuts, as arrays of length N; an equation's multiplier may have any sign.

    Parameters
    ----------
    index : coordinates
    alpha, beta, rho : as in the table above
    equation : 1.0 where the cut holds with equality, 0.0 elsewhere
    """

    index: I64
    alpha: F64
    beta: F64
    rho: F64
    equation: F64

    def __len__(self) -> int:
        return len(self.index)

    def __add__(self, other: Cuts) -> Cuts:
        return Cuts(
            np.concatenate([self.index, other.index]),
            np.concatenate([self.alpha, other.alpha]),
            np.concatenate([self.beta, other.beta]),
            np.concatenate([self.rho, other.rho]),
            np.concatenate([self.equation, other.equation]),
        )

    def take(self, which: I64) -> Cuts:
        """Return the cuts at the given places."""
        floats = (self.alpha, self.beta, self.rho, self.equation)
        return Cuts(self.index[which], *(column[which] for column in floats))

    def slope(self, u: F64) -> F64:
        """Return rho + beta u - alpha u^2, (N,): how far u breaks each cut."""
        return self.excess(u, u * u)

    def excess(self, u: F64, second: F64) -> F64:
        """Return by how much each cut is broken, (N,), if E y - w = u and E(y - w)^2 = `second`."""
        return self.rho + self.beta * u[self.index] - self.alpha * second[self.index]

    def diagonal(self, x: F64, n: int) -> F64:
        """Return the diagonal of D = sum of x_m alpha_m over the cuts at each coordinate, (n,)."""
        return np.bincount(self.index, self.alpha * x, n).astype(np.float64)

    def linear(self, x: F64, n: int) -> F64:
        """Return p = sum of x_m beta_m over the cuts at each coordinate, (n,)."""
        return np.bincount(self.index, self.beta * x, n).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Grid:
    """The weights and their L >= 2 levels in coordinates of their own: `stretch_i` times `levels`.

    The cuts of one coordinate are numbered: k = 0 ... L - 2 is the lower edge of levels k and k + 1, then
    come `top` (y <= highest level), `bottom` (y >= lowest level) and `upper`, the upper edge.

    Parameters
    ----------
    w : (n,) weights in their coordinates
    levels : (L,) levels before stretching
    stretch : (n,) positive, what a unit of the levels is in each coordinate
    """

    w: F64
    levels: F64
    stretch: F64

    @property
    def top(self) -> int:
        """Number of the cut y <= highest level."""
        return len(self.levels) - 1

    @property
    def bottom(self) -> int:
        """Number of the cut y >= lowest level."""
        return len(self.levels)

    @property
    def upper(self) -> int:
        """Number of the upper edge."""
        return len(self.levels) + 1

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

    def width(self, k: I64) -> F64:
        """Distance of levels k and k + 1 at each coordinate, k of shape (n,)."""
        return np.asarray((self.levels[k + 1] - self.levels[k]) * self.stretch)

    def cuts(self, index: I64, number: I64) -> Cuts:
        """Return the cuts with the given numbers at the given coordinates."""
        w, low, high, r = self.w[index], self.low[index], self.high[index], self.stretch[index]
        k = np.minimum(number, len(self.levels) - 2)
        a, b = self.levels[k] * r, self.levels[k + 1] * r
        kinds = [number < self.top, number == self.top, number == self.bottom]
        one = np.ones(len(index))
        alpha = np.select(kinds, [one, 0.0 * one, 0.0 * one], -one)
        beta = np.select(kinds, [a + b - 2.0 * w, one, -one], 2.0 * w - low - high)
        rho = np.select(kinds, [(w - a) * (b - w), w - high, low - w], -(w - low) * (high - w))
        return Cuts(index, alpha, beta, rho, np.zeros(len(index)))

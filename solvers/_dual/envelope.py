"""The convex envelope of d (y - w)^2 over a grid, for many rows at once: its proximal map, and its minimum
with a linear term over the levels themselves.

In units of the levels' stretch, with e = (y - w) d (y - w) interpolated linearly between neighbouring levels
a < b, the slope on their cell is d (a + b - 2w).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from pvq.arrays import F64

from .cuts import Grid

__all__ = ["Envelopes"]


@dataclass(frozen=True, eq=False)
class Envelopes:
    """R rows of m weights over grids of their own.

    Parameters
    ----------
    W, stretch : (R, m) weights and what a unit of the levels is, see `Grid`
    levels : (L,) levels of each row
    """

    W: F64
    stretch: F64
    levels: tuple[F64, ...]

    @classmethod
    def of(cls, grids: Sequence[Grid]) -> Self:
        """Stack the grids of rows."""
        return cls(
            np.array([grid.w for grid in grids]),
            np.array([grid.stretch for grid in grids]),
            tuple(grid.levels for grid in grids),
        )

    def clip(self, Y: F64) -> F64:
        """Return Y moved into the range of the levels, (R, m)."""
        low, high = (np.array([levels[end] for levels in self.levels])[:, None] for end in (0, -1))
        return np.clip(Y, low * self.stretch, high * self.stretch)

    def prox(self, V: F64, kappa: float) -> F64:
        """Return argmin over y of e(y) + (d / 2 kappa) (y - V)^2, (R, m).

        The optimum y plus kappa (a + b - 2w) is V: with kappa (a + b) added to both ends of each cell, the
        cells and the gaps between them, which belong to the levels, part the line.
        """
        S = (V + 2.0 * kappa * self.W) / self.stretch
        out = np.empty_like(S)
        for row, s, levels in zip(out, S, self.levels, strict=True):
            shift = kappa * (levels[:-1] + levels[1:])
            parts = np.column_stack([levels[:-1] + shift, levels[1:] + shift]).ravel()
            place = np.searchsorted(parts, s)
            cell = np.minimum(place // 2, len(shift) - 1)
            row[:] = np.where(place % 2 == 1, s - shift[cell], levels[place // 2])
        return np.asarray(out * self.stretch)

    def least(self, D: F64, G: F64) -> F64:
        """Return for each row the sum of min over levels l of d (l - w)^2 + 2 g (l - w), (R,), d > 0."""
        best = (self.W - G / D) / self.stretch
        nearest = np.empty_like(best)
        for row, target, levels in zip(nearest, best, self.levels, strict=True):
            row[:] = levels[np.searchsorted(0.5 * (levels[1:] + levels[:-1]), target)]
        a = nearest * self.stretch - self.W
        return np.asarray((D * a * a + 2.0 * G * a).sum(axis=1))

"""Which of the hull's many inequalities are worth their multipliers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pvq.arrays import F64, I64, Bool

from .cuts import Cuts, Grid

__all__ = ["HullCuts"]

VIOLATED = 0.02  # in widths of a cell
HANDED_OVER = 0.2  # share of the multipliers of a coordinate's lower edges that a new cut there starts with


@dataclass(eq=False)
class HullCuts:
    """The cuts in use, and those that the relaxation's minimiser breaks.

    Parameters
    ----------
    grid : the weights and levels
    taken : numbers ``coordinate * (L + 2) + cut`` of what is in use, in the order of the multipliers
    """

    grid: Grid
    taken: I64 = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def nearest_edges(self) -> Cuts:
        """Return the lower edge around each weight: Park and Boyd's inequalities."""
        return self._take(np.arange(len(self.grid.w)), self.grid.cell(self.grid.w))

    def ends(self) -> Cuts:
        """Return the box for weights in the outermost cells, the upper edge for weights beyond the ends."""
        grid, k = self.grid, self.grid.cell(self.grid.w)
        top, bottom = k == len(grid.levels) - 2, k == 0
        outside = (grid.w > grid.high) | (grid.w < grid.low)
        return self._select({grid.top: top, grid.bottom: bottom, grid.upper: outside})

    def broken(self, u: F64, second: F64) -> Cuts:
        """Return the unused cuts that are broken at y = w + u with E(y - w)^2 = `second`."""
        grid = self.grid
        y, home = grid.w + u, grid.cell(grid.w)
        cell, slack = grid.cell(y), VIOLATED * grid.width(home)
        centre, reach = 0.5 * (grid.levels[home] + grid.levels[home + 1]) * grid.stretch, grid.width(home)
        away = np.abs(y - centre) > 0.5 * reach + slack
        edges = self._take(np.flatnonzero(away), cell[away])
        spread = second - u * u  # (y - L)(U - y) in expectation is that of the mean less the variance
        over = (y - grid.low) * (grid.high - y) - spread < -slack * grid.width(home)
        high, low = y > grid.high + slack, y < grid.low - slack
        return edges + self._select({grid.top: high, grid.bottom: low, grid.upper: over})

    def start(self, cuts: Cuts, d: F64) -> F64:
        """Return multipliers that weigh as much as d does at lower edges: times a length for a box."""
        width = self.grid.width(self.grid.cell(self.grid.w))
        return np.asarray(d[cuts.index] * np.where(cuts.alpha == 0, width[cuts.index], 1.0))

    def hand_over(self, used: Cuts, x: F64, extra: Cuts) -> tuple[F64, F64]:
        """Return multipliers of the cuts in use and of new ones; lower edges share theirs, so D stays."""
        n = len(self.grid.w)
        lower = np.bincount(used.index, np.where(used.alpha > 0, x, 0.0), n).astype(np.float64)
        new = HANDED_OVER * self.start(extra, lower)
        given = np.bincount(extra.index, np.where(extra.alpha > 0, new, 0.0), n) / lower
        return np.where(used.alpha > 0, x * (1.0 - given[used.index]), x), new

    def _select(self, masks: dict[int, Bool]) -> Cuts:
        index = np.concatenate([np.flatnonzero(mask) for mask in masks.values()])
        number = np.concatenate([np.full(np.count_nonzero(mask), cut) for cut, mask in masks.items()])
        return self._take(index, number)

    def _take(self, index: I64, number: I64) -> Cuts:
        """Return the cuts that are not in use yet, and note them as used.

        Of two levels the upper edge is the lower one reversed. Both at once would be an equation, whose
        multipliers can grow together without end, and the path would have no centre to follow.
        """
        keys = index * (len(self.grid.levels) + 2) + number
        new = ~np.isin(keys, self.taken) & ((number != self.grid.upper) | (len(self.grid.levels) > 2))
        self.taken = np.concatenate([self.taken, keys[new]])
        return self.grid.cuts(index[new], number[new])

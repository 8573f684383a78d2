"""Which of the hull's many inequalities are worth their multipliers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from pvq.arrays import F64, I64, Bool

from .cuts import Cuts, Grid

__all__ = ["HullCuts"]

VIOLATED = 0.01  # in widths of a cell, or their squares
NEAR_END = 0.5  # widths of a cell: weights nearer to an end have its box from the start
HANDED_OVER = 0.1  # share of the multipliers of a coordinate's lower edges that a new cut there starts with


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

    def pair_equations(self) -> Cuts:
        """Return (y - a)(y - b) = 0 for each weight of a set of two levels: all that its hull says.

        Lower and upper edge at once would be two multipliers that can grow together without end.
        """
        edges = self.nearest_edges()
        return replace(edges, equation=np.ones(len(edges)))

    def ends(self) -> Cuts:
        """Return the box for weights near the ends, the upper edge for weights beyond them."""
        grid, near = self.grid, NEAR_END * self.grid.width(self.grid.cell(self.grid.w))
        top, bottom = grid.w > grid.high - near, grid.w < grid.low + near
        outside = (grid.w > grid.high) | (grid.w < grid.low)
        return self._select({grid.top: top, grid.bottom: bottom, grid.upper: outside})

    def broken(self, u: F64, second: F64) -> Cuts:
        """Return the unused cuts that are broken in expectation, E y = w + u and E(y - w)^2 = `second`.

        With the variance v of y, E (y - a)(y - b) = (Ey - a)(Ey - b) + v: of the lower edges, at most that of
        the cell around Ey is broken.
        """
        grid, variance = self.grid, second - u * u
        y = grid.w + u
        home, cell = grid.cell(grid.w), grid.cell(y)
        slack = VIOLATED * grid.width(home)
        a, b = grid.levels[cell] * grid.stretch, grid.levels[cell + 1] * grid.stretch
        edge = (y - a) * (y - b) + variance < -slack * grid.width(home)
        over = (y - grid.low) * (grid.high - y) - variance < -slack * grid.width(home)
        edges = self._take(np.flatnonzero(edge), cell[edge])
        high, low = y > grid.high + slack, y < grid.low - slack
        return edges + self._select({grid.top: high, grid.bottom: low, grid.upper: over})

    def start(self, cuts: Cuts, d: F64) -> F64:
        """Return multipliers that weigh as much as d does at lower edges: times a length for a box."""
        width = self.grid.width(self.grid.cell(self.grid.w))
        return np.asarray(d[cuts.index] * np.where(cuts.alpha == 0, width[cuts.index], 1.0))

    def hand_over(self, used: Cuts, x: F64, extra: Cuts, most: F64) -> tuple[F64, F64]:
        """Return multipliers of the cuts in use and of new ones, at most `most`.

        Lower edges share theirs, so that D stays.
        """
        n = len(self.grid.w)
        lower = np.bincount(used.index, np.where(used.alpha > 0, x, 0.0), n).astype(np.float64)
        new = np.minimum(most, HANDED_OVER * self.start(extra, lower))
        given = np.bincount(extra.index, np.where(extra.alpha > 0, new, 0.0), n) / lower
        return np.where(used.alpha > 0, x * (1.0 - given[used.index]), x), new

    def _select(self, masks: dict[int, Bool]) -> Cuts:
        index = np.concatenate([np.flatnonzero(mask) for mask in masks.values()])
        number = np.concatenate([np.full(np.count_nonzero(mask), cut) for cut, mask in masks.items()])
        return self._take(index, number)

    def _take(self, index: I64, number: I64) -> Cuts:
        """Return the cuts that are not in use yet, and note them as used."""
        keys = index * (len(self.grid.levels) + 2) + number
        new = ~np.isin(keys, self.taken)
        self.taken = np.concatenate([self.taken, keys[new]])
        return self.grid.cuts(index[new], number[new])

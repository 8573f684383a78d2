"""The levels of all weights of a layer, in a form that kernels and matrix operations read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64, I64

from .feasible import FeasibleSet, FiniteSet

__all__ = ["RowLevels"]


@dataclass(frozen=True, eq=False)
class RowLevels:
    """Levels of R rows of n weights: weight i of row r takes ``scales[r, i] * levels[book[r]]``.

    Parameters
    ----------
    levels : (U, L) the different codebooks, shorter ones padded with their last level
    edges : (U, L - 1) midpoints of neighbouring levels, inf where padded
    book : (R,) which codebook is the row's
    scales : (R, n), 1 where a set has none
    """

    levels: F64
    edges: F64
    book: I64
    scales: F64

    @staticmethod
    def of(sets: Sequence[FeasibleSet], n: int) -> RowLevels:
        """Return the levels of finite sets, one per row.

        >>> from pvq.solvers.feasible import fit_rows
        >>> RowLevels.of(fit_rows("levels[0;1]", np.ones((3, 2))), 2).nearest(np.full((3, 2), 0.7))[0]
        array([1., 1.])
        """
        finite = [chosen for chosen in sets if isinstance(chosen, FiniteSet)]
        assert len(finite) == len(sets), "methods refuse other sets"
        books = {id(chosen.codebook): chosen.codebook for chosen in finite}
        number = {key: k for k, key in enumerate(books)}
        width = max(len(book.levels) for book in books.values())
        levels, edges = np.empty((len(books), width)), np.full((len(books), width - 1), np.inf)
        for k, book in enumerate(books.values()):
            count = len(book.levels)
            levels[k, :count], levels[k, count:] = book.levels, book.levels[-1]
            edges[k, : count - 1] = book.edges[1:-1]
        scales = np.ones((len(finite), n))
        for row, chosen in zip(scales, finite, strict=True):
            if chosen.scales is not None:
                row[:] = chosen.scales
        return RowLevels(levels, edges, np.array([number[id(chosen.codebook)] for chosen in finite]), scales)

    def take(self, columns: I64) -> RowLevels:
        """Return the levels of the weights in the given columns, in that order."""
        return RowLevels(self.levels, self.edges, self.book, np.ascontiguousarray(self.scales[:, columns]))

    def repeat(self, times: int) -> RowLevels:
        """Return each row's levels `times` times in a row."""
        return RowLevels(
            self.levels, self.edges, np.repeat(self.book, times), np.repeat(self.scales, times, axis=0)
        )

    def nearest(self, W: F64) -> F64:
        """Return each weight of W (R, n) rounded to its nearest level; a tie takes the lower one."""
        return self.at(self.index(W))

    def index(self, W: F64) -> I64:
        """Return the numbers of the nearest levels, (R, n)."""
        found = np.empty(W.shape, dtype=np.int64)
        units = W / self.scales
        for k in range(len(self.levels)):
            rows = self.book == k
            found[rows] = np.searchsorted(self.edges[k], units[rows], side="left")
        return found

    def around(self, W: F64) -> tuple[F64, F64]:
        """Return the levels below and above each weight, the outermost two beyond the ends, (R, n) each."""
        below = np.empty(W.shape, dtype=np.int64)
        units = W / self.scales
        for k in range(len(self.levels)):
            rows = self.book == k
            below[rows] = np.searchsorted(self.levels[k], units[rows], side="right") - 1
        last = self.levels.shape[1] - 1
        below = np.clip(below, 0, max(0, last - 1))
        return self.at(below), self.at(np.minimum(below + 1, last))

    def at(self, index: I64) -> F64:
        """Return the levels with the given numbers, (R, n): the floats that `FiniteSet.contains` accepts."""
        return np.asarray(self.scales * self.levels[self.book[:, None], index])

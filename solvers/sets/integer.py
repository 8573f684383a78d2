"""A uniform grid of integers times a scale: ``int[bits=4]``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pvq.arrays import F64, as_f64
from pvq.solvers.feasible import SETS, FeasibleSet, FiniteSet
from pvq.theory.codebook import Codebook
from pvq.theory.quantizers.int import Grid, IntGrid
from pvq.theory.scale import ScaleRule

__all__ = ["Integer"]


@SETS.register("int")
@dataclass(frozen=True)
class Integer:
    """Every weight is a scale times an integer of `bits` bits.

    Parameters
    ----------
    bits, grid, scale, percentile : as of the quantizer `pvq.theory.quantizers.int.IntGrid`; the default scale
        is that of least squared rounding error. The grid is signed even if no weight is negative.
    per : one scale for the whole ``tensor``, or one for each ``row`` (output channel)
    group : a scale for each `group` consecutive weights of a row, the last group may be shorter

    >>> Integer(bits=2, scale=0.5).fit(np.zeros(3)).levels
    array([-1. , -0.5,  0. ,  0.5])
    >>> Integer(bits=2, scale="absmax", group=2).fit(np.array([1.0, 0.5, 4.0])).nearest(np.ones(3))
    array([1., 1., 0.])
    """

    bits: int
    grid: Grid = "twos-complement"
    scale: ScaleRule = "mse"
    percentile: float = 99.9
    per: Literal["tensor", "row"] = "tensor"
    group: int | None = None

    def __post_init__(self) -> None:
        self._quantizer(self.scale)
        if self.group is not None and self.group < 1:
            raise ValueError(f"group must be at least 1, got {self.group}")

    def fit(self, w: F64) -> FiniteSet:
        """Return the grid of a row, or with one scale for all of w; scale 1 where a rule finds only zeros.

        Raises
        ------
        ValueError : several rows where each has scales of its own, see `fit_rows`
        """
        weights = as_f64(w, "w")
        if self.group is None and self.per == "tensor":
            return FiniteSet(self._codebook(weights.ravel()))
        if weights.size != weights.shape[-1]:
            raise ValueError(
                f"w must be one row where rows have scales of their own, got shape {weights.shape}"
            )
        return self._grouped(weights.ravel()) if self.group else FiniteSet(self._codebook(weights.ravel()))

    def fit_rows(self, W: F64) -> list[FeasibleSet]:
        """Return the grid of each row of W."""
        if self.group is None and self.per == "tensor":
            return [self.fit(W)] * len(W)
        return [self.fit(row) for row in W]

    def _grouped(self, w: F64) -> FiniteSet:
        assert self.group is not None, "asked only for groups"
        blocks = [w[start : start + self.group] for start in range(0, len(w), self.group)]
        scales = np.repeat(
            [self._codebook(block).scale for block in blocks], [len(block) for block in blocks]
        )
        return FiniteSet(Codebook(self._quantizer(1.0).unit_levels()[0]), scales)

    def _codebook(self, w: F64) -> Codebook:
        scale: ScaleRule = self.scale if w.any() or not isinstance(self.scale, str) else 1.0
        return self._quantizer(scale).codebook(w)

    def _quantizer(self, scale: ScaleRule) -> IntGrid:
        return IntGrid(self.bits, self.grid, scale, self.percentile, unsigned="never")

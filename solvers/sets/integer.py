"""A uniform grid of integers times one scale: ``int[bits=4]``."""

from __future__ import annotations

from dataclasses import dataclass

from pvq.arrays import F64, as_f64
from pvq.solvers.feasible import SETS, FiniteSet
from pvq.theory.quantizers.int import Grid, IntGrid
from pvq.theory.scale import ScaleRule

__all__ = ["Integer"]


@SETS.register("int")
@dataclass(frozen=True)
class Integer:
    """Every weight is scale times an integer of `bits` bits.

    Parameters
    ----------
    bits, grid, scale, percentile : as of the quantizer `pvq.theory.quantizers.int.IntGrid`; the default scale
        is that of least squared rounding error. The grid is signed even if no weight is negative.

    >>> import numpy as np
    >>> Integer(bits=2, scale=0.5).fit(np.zeros(3)).levels
    array([-1. , -0.5,  0. ,  0.5])
    """

    bits: int
    grid: Grid = "twos-complement"
    scale: ScaleRule = "mse"
    percentile: float = 99.9

    def __post_init__(self) -> None:
        self._quantizer(self.scale)

    def fit(self, w: F64) -> FiniteSet:
        """Return the grid with one scale for all of w; scale 1 where a rule finds all weights zero."""
        weights = as_f64(w, "w").ravel()
        scale: ScaleRule = self.scale if weights.any() or not isinstance(self.scale, str) else 1.0
        return FiniteSet(self._quantizer(scale).codebook(weights))

    def _quantizer(self, scale: ScaleRule) -> IntGrid:
        return IntGrid(self.bits, self.grid, scale, self.percentile, unsigned="never")

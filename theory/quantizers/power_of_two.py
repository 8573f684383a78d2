"""Powers of two: a multiplication becomes a shift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.theory.quantizer import QUANTIZERS
from pvq.theory.scale import ScaleRule, check_scale
from pvq.theory.scaled_format import ScaledFormat

__all__ = ["PowerOfTwo"]


@QUANTIZERS.register("pot")
@dataclass(frozen=True)
class PowerOfTwo(ScaledFormat):
    """Levels 0 and +-2^-i, i = 0 ... 2^(bits-1) - 2, times one scale (Li et al., arXiv 1909.13144, eq. 3).

    Parameters
    ----------
    bits : 2 to 8
    scale : ``mse`` | ``absmax`` | ``percentile`` | ``aciq`` | a number, see `choose_scale`
    percentile : of the magnitude, in percent, for ``scale=percentile``

    >>> PowerOfTwo(3, scale=8.0).codebook(np.array([1.0])).levels
    array([-8., -4., -2.,  0.,  2.,  4.,  8.])
    """

    bits: int = 4
    scale: ScaleRule = "mse"
    percentile: float = 99.9

    def __post_init__(self) -> None:
        if self.bits not in range(2, 9):
            raise ValueError(f"bits must be an integer from 2 to 8, got {self.bits}")
        check_scale(self.scale, self.percentile)

    def unit_levels(self) -> F64:
        """Return the 2^bits - 1 levels in [-1, 1]."""
        powers = 0.5 ** np.arange(2 ** (self.bits - 1) - 1)
        return np.concatenate([-powers, [0.0], powers[::-1]])

"""Uniform integer grids: two's complement, symmetric and mid-rise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from pvq.arrays import F64
from pvq.theory.codebook import Codebook
from pvq.theory.distribution import WeightDistribution
from pvq.theory.laws import as_law
from pvq.theory.quantizer import QUANTIZERS
from pvq.theory.scale import ScaleRule, check_scale, scaled

__all__ = ["Grid", "IntGrid"]

Grid: TypeAlias = Literal["twos-complement", "symmetric", "mid-rise"]
MOST_BITS = 16


@QUANTIZERS.register("int")
@dataclass(frozen=True)
class IntGrid:
    """Uniform grid of 2^bits levels (one fewer if symmetric) times one scale.

    Parameters
    ----------
    bits : 2 to 16 (mid-rise and unsigned grids also 1)
    grid : ``twos-complement`` {-2^(b-1), ..., 2^(b-1)-1}, ``symmetric`` {-(2^(b-1)-1), ..., 2^(b-1)-1}, or
        ``mid-rise`` {+-1/2, +-3/2, ...}, times the scale
    scale : ``mse`` | ``absmax`` | ``percentile`` | ``aciq`` | a number, see `choose_scale`. Ranges are put on
        the largest positive integer (on 2^(b-1) for mid-rise), so two's complement reaches one step further
        on the negative side, as in the release of Kuzmin et al. (arXiv 2307.02973)
    percentile : of the magnitude, in percent, for ``scale=percentile``
    unsigned : ``auto`` takes {0, ..., 2^b - 1} for weights none of which is negative; ``never`` does not

    >>> from pvq.theory.distributions.gaussian import Gaussian
    >>> round(IntGrid(4).codebook(Gaussian()).scale, 7)
    0.3386079
    """

    bits: int = 4
    grid: Grid = "twos-complement"
    scale: ScaleRule = "mse"
    percentile: float = 99.9
    unsigned: Literal["auto", "never"] = "auto"

    def __post_init__(self) -> None:
        least = 1 if self.grid == "mid-rise" else 2
        if self.bits not in range(least, MOST_BITS + 1):
            raise ValueError(f"bits must be an integer from {least} to {MOST_BITS}, got {self.bits}")
        check_scale(self.scale, self.percentile)

    def codebook(self, source: WeightDistribution | F64) -> Codebook:
        """Return the grid with its scale chosen for a law or a tensor.

        Raises
        ------
        ValueError : the scale rule finds no scale, see `choose_scale`
        """
        law = as_law(source)
        levels, top = self.unit_levels(self.unsigned == "auto" and _is_nonnegative(law))
        return scaled(law, levels, top, self.scale, self.percentile)

    def unit_levels(self, unsigned: bool = False) -> tuple[F64, float]:
        """Return the levels at scale 1 and the unit magnitude that a clipping range is put on.

        >>> IntGrid(2).unit_levels()
        (array([-2., -1.,  0.,  1.]), 1.0)
        """
        half = 2 ** (self.bits - 1)
        if unsigned:
            offset, top = (0.5, 2.0 * half) if self.grid == "mid-rise" else (0.0, 2.0 * half - 1)
            return np.arange(2 * half) + offset, top
        if self.grid == "mid-rise":
            return np.arange(-half, half) + 0.5, float(half)
        lowest = -half if self.grid == "twos-complement" else 1 - half
        return np.arange(lowest, half, dtype=np.float64), float(half - 1)


def _is_nonnegative(law: WeightDistribution) -> bool:
    below_zero = np.nextafter(0.0, -1.0)
    return float(law.partial_moment(0, np.asarray(-np.inf), np.asarray(below_zero))) == 0.0

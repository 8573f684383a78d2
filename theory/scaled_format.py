"""What number formats of fixed shape and free scale share: their codebook."""

from __future__ import annotations

from typing import Protocol

from pvq.arrays import F64
from pvq.theory.codebook import Codebook
from pvq.theory.distribution import WeightDistribution
from pvq.theory.laws import as_law
from pvq.theory.scale import ScaleRule, scaled

__all__ = ["ScaledFormat"]


class ScaledFormat(Protocol):
    """A format whose levels are `unit_levels` times one scale; the largest of them is the format's range."""

    @property
    def scale(self) -> ScaleRule:
        """``mse`` | ``absmax`` | ``percentile`` | ``aciq`` | a number, see `choose_scale`."""
        ...

    @property
    def percentile(self) -> float:
        """Percentile of the magnitude, in percent, for ``scale=percentile``."""
        ...

    def unit_levels(self) -> F64:
        """Return the levels at scale 1, increasing."""
        ...

    def codebook(self, source: WeightDistribution | F64) -> Codebook:
        """Return the levels with their scale chosen for a law or a tensor.

        Raises
        ------
        ValueError : the scale rule finds no scale, see `choose_scale`
        """
        levels = self.unit_levels()
        return scaled(as_law(source), levels, float(levels[-1]), self.scale, self.percentile)

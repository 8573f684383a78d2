"""Lloyd-Max: the scalar codebook that leaves the least squared error."""

from __future__ import annotations

from dataclasses import dataclass

from pvq.arrays import F64
from pvq.theory.codebook import Codebook
from pvq.theory.distribution import WeightDistribution
from pvq.theory.laws import as_law
from pvq.theory.lloyd import lloyd_max
from pvq.theory.quantizer import QUANTIZERS

__all__ = ["LloydMax"]


@QUANTIZERS.register("lloyd-max")
@dataclass(frozen=True)
class LloydMax:
    """2^bits levels, each the mean of its cell: a codebook fitted to the weights, without scale.

    Parameters
    ----------
    bits : 1 to 10

    >>> from pvq.theory.distributions.gaussian import Gaussian
    >>> LloydMax(1).codebook(Gaussian()).levels.round(6)  # +- sqrt(2/pi)
    array([-0.797885,  0.797885])
    """

    bits: int = 4

    def __post_init__(self) -> None:
        if self.bits not in range(1, 11):
            raise ValueError(f"bits must be an integer from 1 to 10, got {self.bits}")

    def codebook(self, source: WeightDistribution | F64) -> Codebook:
        """Return the codebook for a law or a tensor; fewer levels where a tensor has fewer values.

        Raises
        ------
        ValueError : infinite second moment
        PvqError : no stationary codebook found, see `lloyd_max`
        """
        return lloyd_max(as_law(source), 2**self.bits)

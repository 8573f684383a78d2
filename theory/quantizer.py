"""What theory asks of a number format: the codebook it uses for given weights."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from pvq.arrays import F64
from pvq.registry import Registry
from pvq.theory.codebook import Codebook
from pvq.theory.distribution import WeightDistribution

__all__ = ["QUANTIZERS", "Quantizer"]


@runtime_checkable
class Quantizer(Protocol):
    """A number format with its rule for the scale."""

    @property
    def bits(self) -> float:
        """Bits per weight, without scales and other side information."""
        ...

    def codebook(self, source: WeightDistribution | F64) -> Codebook:
        """Return the levels with the scale chosen for a law or for a tensor of weights."""
        ...


QUANTIZERS: Registry[Quantizer] = Registry("quantizer", "pvq.theory.quantizers", Quantizer)

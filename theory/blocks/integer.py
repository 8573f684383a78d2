"""Integers under the largest magnitude of the block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.theory.block import BLOCK_FORMATS
from pvq.theory.blocks._scales import checked_block

__all__ = ["BlockInteger"]


@BLOCK_FORMATS.register("int")
@dataclass(frozen=True)
class BlockInteger:
    """Integers of any width, scale amax / (2^(b-1) - 1).

    Parameters
    ----------
    element_bits : bits of one integer, 2 to 12
    block : weights that share a scale
    scale_bits : bits of the stored scale, taken as exact

    >>> BlockInteger(4, block=32).bits
    4.5
    """

    element_bits: int = 4
    block: int = 32
    scale_bits: int = 16

    def __post_init__(self) -> None:
        checked_block(self.block)
        if not 2 <= self.element_bits <= 12:
            raise ValueError(f"element_bits must lie in 2..12, got {self.element_bits}")
        if self.scale_bits < 0:
            raise ValueError(f"scale_bits must be at least 0, got {self.scale_bits}")

    @property
    def bits(self) -> float:
        """Return element_bits + scale_bits / block."""
        return self.element_bits + self.scale_bits / self.block

    @property
    def levels(self) -> F64:
        """Return the integers of both signs; the lowest of two's complement is out of reach of amax."""
        top = 2 ** (self.element_bits - 1) - 1
        return np.arange(-top, top + 1, dtype=np.float64)

    def scale(self, amax: F64) -> F64:
        """Return amax / (2^(element_bits - 1) - 1)."""
        return np.asarray(amax / (2 ** (self.element_bits - 1) - 1))

    def jumps(self) -> None:
        """Return None: the scale is continuous."""
        return None

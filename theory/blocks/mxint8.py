"""MXINT8 of the OCP Microscaling specification."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.theory.block import BLOCK_FORMATS
from pvq.theory.blocks._scales import checked_block, e8m0, e8m0_jumps

__all__ = ["MXInt8"]


@BLOCK_FORMATS.register("mxint8")
@dataclass(frozen=True)
class MXInt8:
    """Elements k/64, |k| <= 127, scale 2^floor(log2 amax) stored as E8M0 (OCP MX v1.0, 2023).

    Parameters
    ----------
    block : weights that share a scale

    >>> MXInt8().bits
    8.25
    """

    block: int = 32

    def __post_init__(self) -> None:
        checked_block(self.block)

    @property
    def bits(self) -> float:
        """Return 8 + 8 / block."""
        return 8 + 8 / self.block

    @property
    def levels(self) -> F64:
        """Return the 255 multiples of 1/64 up to 127/64."""
        return np.arange(-127, 128) / 64

    def scale(self, amax: F64) -> F64:
        """Return 2^floor(log2 amax)."""
        return e8m0(amax, 0)

    def jumps(self) -> F64:
        """Return the powers of two."""
        return e8m0_jumps(0)

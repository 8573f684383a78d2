"""MXFP4 of the OCP Microscaling specification: E2M1 elements under a power of two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.theory.block import BLOCK_FORMATS
from pvq.theory.blocks._scales import checked_block, e8m0, e8m0_jumps

__all__ = ["E2M1", "MXFP4"]

_HALF = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
E2M1 = np.array([*(-x for x in reversed(_HALF)), 0.0, *_HALF])
LARGEST_EXPONENT = 2  # of E2M1: 6 = 1.5 * 2^2


@BLOCK_FORMATS.register("mxfp4")
@dataclass(frozen=True)
class MXFP4:
    """E2M1 elements, scale 2^(floor(log2 amax) - 2) stored as E8M0 (OCP MX v1.0, 2023).

    Parameters
    ----------
    block : weights that share a scale

    >>> MXFP4().bits
    4.25
    """

    block: int = 32

    def __post_init__(self) -> None:
        checked_block(self.block)

    @property
    def bits(self) -> float:
        """Return 4 + 8 / block."""
        return 4 + 8 / self.block

    @property
    def levels(self) -> F64:
        """Return the 15 values of E2M1."""
        return E2M1

    def scale(self, amax: F64) -> F64:
        """Return 2^(floor(log2 amax) - 2); elements up to 8 times that clip at 6."""
        return e8m0(amax, LARGEST_EXPONENT)

    def jumps(self) -> F64:
        """Return the powers of two."""
        return e8m0_jumps(LARGEST_EXPONENT)

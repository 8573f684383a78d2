"""NVFP4-like: E2M1 elements under an E4M3 scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.theory.block import BLOCK_FORMATS
from pvq.theory.blocks._scales import checked_block, e4m3, e4m3_jumps
from pvq.theory.blocks.mxfp4 import E2M1
from pvq.theory.magnitude import check_magnitude

__all__ = ["NVFP4"]


@BLOCK_FORMATS.register("nvfp4")
@dataclass(frozen=True)
class NVFP4:
    """E2M1 elements, scale amax/6 rounded to E4M3, as in NVIDIA's NVFP4.

    Parameters
    ----------
    block : weights that share a scale
    tensor_scale : the one FP32 factor of a whole tensor, in weight units. Block scales are stored in units
        of it and range from 2^-9 to 448, so amax should stay between 0.1 and 2688 times it

    >>> NVFP4().bits
    4.5
    """

    block: int = 16
    tensor_scale: float = 1.0

    def __post_init__(self) -> None:
        checked_block(self.block)
        check_magnitude("tensor_scale", self.tensor_scale)

    @property
    def bits(self) -> float:
        """Return 4 + 8 / block; the tensor's factor counts for nothing."""
        return 4 + 8 / self.block

    @property
    def levels(self) -> F64:
        """Return the 15 values of E2M1."""
        return E2M1

    def scale(self, amax: F64) -> F64:
        """Return the E4M3 number nearest to amax / 6, in units of tensor_scale."""
        return self.tensor_scale * e4m3(np.asarray(amax) / (6 * self.tensor_scale))

    def jumps(self) -> F64:
        """Return 6 times the middles between E4M3 numbers."""
        return 6 * self.tensor_scale * e4m3_jumps()

"""NF4 as QLoRA uses it: sixteen levels under the largest magnitude of the block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.theory.block import BLOCK_FORMATS
from pvq.theory.blocks._scales import checked_block
from pvq.theory.quantizers.nf4 import NF4_LEVELS

__all__ = ["BlockNF4"]


@BLOCK_FORMATS.register("nf4")
@dataclass(frozen=True)
class BlockNF4:
    """NormalFloat4 levels, scale amax (Dettmers et al., QLoRA, arXiv 2305.14314).

    Parameters
    ----------
    block : weights that share a scale
    scale_bits : bits of the stored scale, taken as exact

    >>> BlockNF4().bits
    4.25
    """

    block: int = 64
    scale_bits: int = 16

    def __post_init__(self) -> None:
        checked_block(self.block)
        if self.scale_bits < 0:
            raise ValueError(f"scale_bits must be at least 0, got {self.scale_bits}")

    @property
    def bits(self) -> float:
        """Return 4 + scale_bits / block."""
        return 4 + self.scale_bits / self.block

    @property
    def levels(self) -> F64:
        """Return the 16 levels in [-1, 1]."""
        return np.array(NF4_LEVELS)

    def scale(self, amax: F64) -> F64:
        """Return amax."""
        return np.asarray(amax, float)

    def jumps(self) -> None:
        """Return None: the scale is continuous."""
        return None

"""NormalFloat: sixteen levels near the quantiles of a Gaussian."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.theory.quantizer import QUANTIZERS
from pvq.theory.scale import ScaleRule, check_scale
from pvq.theory.scaled_format import ScaledFormat

__all__ = ["NF4_LEVELS", "NormalFloat4"]

# The code values of bitsandbytes (Dettmers et al., QLoRA, arXiv 2305.14314, appendix E).
NF4_LEVELS = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)


@QUANTIZERS.register("nf4")
@dataclass(frozen=True)
class NormalFloat4(ScaledFormat):
    """NF4: 4 bits, levels in [-1, 1] times one scale.

    Parameters
    ----------
    scale : ``mse`` | ``absmax`` | ``percentile`` | ``aciq`` | a number, see `choose_scale`
    percentile : of the magnitude, in percent, for ``scale=percentile``

    >>> NormalFloat4("absmax").codebook(np.array([-3.0, 1.0])).levels[[0, 7, 15]]
    array([-3.,  0.,  3.])
    """

    scale: ScaleRule = "mse"
    percentile: float = 99.9

    def __post_init__(self) -> None:
        check_scale(self.scale, self.percentile)

    @property
    def bits(self) -> float:
        """Bits per weight: 4."""
        return 4

    def unit_levels(self) -> F64:
        """Return the 16 levels in [-1, 1]."""
        return np.array(NF4_LEVELS)

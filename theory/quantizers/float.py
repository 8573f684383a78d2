"""Small floating-point formats: ExMy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.theory.quantizer import QUANTIZERS
from pvq.theory.scale import ScaleRule, check_scale
from pvq.theory.scaled_format import ScaledFormat

__all__ = ["Float", "float_magnitudes"]


@QUANTIZERS.register("float")
@dataclass(frozen=True)
class Float(ScaledFormat):
    """Sign, exponent and mantissa with subnormals: E4M3, E5M2, E2M1 ..., times one scale.

    Parameters
    ----------
    exponent, mantissa : numbers of bits, together 2 to 7; bias 2^(exponent-1) - 1
    reserved : how many of the largest magnitudes mean infinity or NaN instead of a number: 0 as in the OCP
        formats of 4 and 6 bits, 1 for the OCP E4M3, 2^mantissa as in IEEE 754 (E5M2)
    scale : ``mse`` | ``absmax`` | ``percentile`` | ``aciq`` | a number, see `choose_scale`
    percentile : of the magnitude, in percent, for ``scale=percentile``

    >>> Float(exponent=2, mantissa=1, scale=1.0).codebook(np.array([1.0])).levels[7:]
    array([0. , 0.5, 1. , 1.5, 2. , 3. , 4. , 6. ])
    """

    exponent: int = 4
    mantissa: int = 3
    reserved: int = 0
    scale: ScaleRule = "mse"
    percentile: float = 99.9

    def __post_init__(self) -> None:
        if min(self.exponent, self.mantissa) < 0 or not 2 <= self.exponent + self.mantissa <= 7:
            raise ValueError(
                "exponent and mantissa must be at least 0 and together 2 to 7 bits, "
                f"got exponent={self.exponent}, mantissa={self.mantissa}"
            )
        if not 0 <= self.reserved <= 2 ** (self.exponent + self.mantissa) - 2:
            raise ValueError(f"reserved must leave one magnitude besides zero, got {self.reserved}")
        check_scale(self.scale, self.percentile)

    @property
    def bits(self) -> float:
        """Bits per weight: sign, exponent and mantissa."""
        return 1 + self.exponent + self.mantissa

    def unit_levels(self) -> F64:
        """Return the values of the format, both signs, zero once."""
        size = float_magnitudes(self.exponent, self.mantissa, self.reserved)
        return np.concatenate([-size[:0:-1], size])


def float_magnitudes(exponent: int, mantissa: int, reserved: int = 0) -> F64:
    """Return the non-negative values of the format, increasing, without the `reserved` largest.

    Exponent field E > 0 and mantissa field M give 2^(E-bias) (1 + M/2^mantissa); E = 0 gives the subnormals
    2^(1-bias) M/2^mantissa. Without exponent bits the format is a sign and an integer.

    >>> float(float_magnitudes(4, 3, reserved=1)[-1])  # the largest E4M3 of the OCP
    448.0
    """
    codes = np.arange(2 ** (exponent + mantissa) - reserved)
    field, fraction = codes >> mantissa, (codes & (2**mantissa - 1)) / 2.0**mantissa
    bias = 2 ** (exponent - 1) - 1 if exponent else 0
    subnormal, normal = np.exp2(1.0 - bias) * fraction, np.exp2(field - float(bias)) * (1 + fraction)
    return np.asarray(np.where(field == 0, subnormal, normal), np.float64)

"""Integers times a scale, one for the layer or one for each row: ``int[bits=4]``, ``int[bits=4,per=row]``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pvq.arrays import F64
from pvq.solvers.rounding import UNIT
from pvq.solvers.stored_format import FORMATS, Cost, Decision, Storage

__all__ = ["Int", "stored_scale"]

SINGLE, HALF = 24, 11  # significant binary digits


@FORMATS.register("int")
@dataclass(frozen=True)
class Int:
    """Two's complement integers -2^(b-1) ... 2^(b-1) - 1 times a positive scale.

    The scale of least squared rounding error, then rounded to the float of FP32 or FP16 with at most 25 - b
    significant binary digits: so every weight is a float of FP32, exactly. For the whole layer the scale is
    globally optimal before that rounding (`pvq.theory.optimal_scale`); for rows it is the best that a search
    finds (`pvq.solvers.row_scales`).

    Parameters
    ----------
    bits : 2 to 16
    per : one scale for the ``tensor``, or one for each ``row`` (output channel)

    >>> Int(2).nearest(np.array([[0.6, -3.0, 0.5]]), np.array([1.0]))
    array([[ 1., -2.,  0.]])
    """

    bits: int
    per: Literal["tensor", "row"] = "tensor"

    def __post_init__(self) -> None:
        if self.bits not in range(2, 17):
            raise ValueError(f"bits must be a whole number from 2 to 16, got {self.bits}")

    @property
    def camp(self) -> Decision:
        """Quantize."""
        return "quantize"

    @property
    def doubt(self) -> float:
        """Rounding of w / scale may take the level on the other side of a midpoint, 2^b u away at most."""
        return 16 * 2.0**self.bits * UNIT

    def scales(self, W: F64, storage: Storage) -> F64:
        """Return the scales, shape (1,) or (rows,); 1 where all weights are zero.

        Raises
        ------
        ValueError : weights so small or large that their scale is no normal number of the format
        """
        from pvq.solvers.row_scales import row_scales
        from pvq.theory.optimal_scale import optimal_scale

        if self.per == "row":
            best = row_scales(W, self.bits)
        else:
            best = np.array([optimal_scale(W, self._integers()) if W.any() else 1.0])
        return stored_scale(best, self.bits, storage.scale_bits)

    def nearest(self, W: F64, scales: F64) -> F64:
        """Return each weight rounded to its nearest level; a tie takes the lower one."""
        per_row = scales[:, None] if scales.size > 1 or self.per == "row" else scales
        top = 2 ** (self.bits - 1)
        return np.asarray(per_row * np.clip(np.ceil(W / per_row - 0.5), -top, top - 1) + 0.0)

    def cost(self, shape: tuple[int, int], storage: Storage) -> Cost:
        """Return the bits of the integers and of the scales."""
        number = shape[0] if self.per == "row" else 1
        return Cost(self.bits * shape[0] * shape[1], number * storage.scale_bits)

    def _integers(self) -> F64:
        return np.arange(-(2.0 ** (self.bits - 1)), 2.0 ** (self.bits - 1))


def stored_scale(scales: F64, bits: int, scale_bits: int) -> F64:
    """Return the scales rounded to FP32 or FP16 with at most 25 - bits significant binary digits.

    Raises
    ------
    ValueError : one that is no normal number of the format

    >>> stored_scale(np.array([1 / 3]), 8, 32) * 2**18
    array([87381.])
    """
    digits = min(25 - bits, SINGLE if scale_bits == 32 else HALF)
    mantissa, exponent = np.frexp(scales)
    rounded = np.ldexp(np.rint(np.ldexp(mantissa, digits)), exponent - digits)
    limits = np.finfo(np.float32 if scale_bits == 32 else np.float16)
    low, high = float(limits.tiny), float(limits.max) / 2.0**bits
    if not ((rounded >= low) & (rounded <= high)).all():
        raise ValueError(f"scales must lie in [{low:.3g}, {high:.3g}], got {rounded.min():.3g}")
    return np.asarray(rounded)

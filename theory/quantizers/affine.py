"""Uniform integer grid with a zero point, for weights that lean to one side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from pvq.arrays import F64
from pvq.theory.codebook import Codebook
from pvq.theory.distribution import WeightDistribution
from pvq.theory.laws import as_law
from pvq.theory.quantizer import QUANTIZERS
from pvq.theory.scale import best_scale
from pvq.theory.snr import quantization_error

__all__ = ["Affine"]

MOST_BITS = 16


@QUANTIZERS.register("affine")
@dataclass(frozen=True)
class Affine:
    """Levels s (k - z), k = 0 ... 2^bits - 1, with an integer zero point z, so that zero is a level.

    Parameters
    ----------
    bits : 1 to 16
    scale : ``mse`` (for every zero point the globally best scale; the zero point by descent from the range's)
        or ``absmax`` (the range from the smallest to the largest weight, zero included)

    >>> from pvq.theory.distributions.uniform import Uniform
    >>> Affine(2, "absmax").codebook(Uniform(-1.0, 2.0)).levels
    array([-1.,  0.,  1.,  2.])
    """

    bits: int = 4
    scale: Literal["mse", "absmax"] = "mse"

    def __post_init__(self) -> None:
        if self.bits not in range(1, MOST_BITS + 1):
            raise ValueError(f"bits must be an integer from 1 to {MOST_BITS}, got {self.bits}")

    def codebook(self, source: WeightDistribution | F64) -> Codebook:
        """Return the grid with scale and zero point chosen for a law or a tensor.

        Raises
        ------
        ValueError : ``absmax`` of a law with unbounded support; a law that is zero for certain
        """
        law = as_law(source)
        steps = 2**self.bits - 1
        if self.scale == "absmax":
            return self._spanning(law, steps)
        low, high = law.quantile(np.array([1e-3, 1 - 1e-3]))
        start = _zero_point(float(low), float(high), steps)
        return _descend(law, steps, start)

    def _spanning(self, law: WeightDistribution, steps: int) -> Codebook:
        low, high = map(float, law.quantile(np.array([0.0, 1.0])))
        low, high = min(low, 0.0), max(high, 0.0)
        if not 0 < high - low < np.inf:
            raise ValueError(f"scale=absmax must find a positive finite range, got [{low}, {high}] for {law}")
        scale = (high - low) / steps
        return Codebook(scale * _unit(steps, _zero_point(low, high, steps)), scale)


def _zero_point(low: float, high: float, steps: int) -> int:
    low, high = min(low, 0.0), max(high, 0.0)
    return round(-low / (high - low) * steps) if high > low else 0


def _unit(steps: int, zero: int) -> F64:
    return np.arange(-zero, steps + 1 - zero, dtype=np.float64)


def _descend(law: WeightDistribution, steps: int, start: int) -> Codebook:
    """Move the zero point, in strides that halve, while a neighbour at that stride has a smaller error."""

    @cache
    def at(zero: int) -> tuple[float, Codebook]:
        unit = _unit(steps, zero)
        scale = best_scale(law, unit)
        codebook = Codebook(scale * unit, scale)
        return quantization_error(law, codebook), codebook

    zero, stride = start, max(1, steps // 8)
    while stride:
        near = [z for z in (zero - stride, zero, zero + stride) if 0 <= z <= steps]
        best = min(near, key=lambda z: at(z)[0])
        zero, stride = (best, stride) if best != zero else (zero, stride // 2)
    return at(zero)[1]

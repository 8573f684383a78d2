"""A uniform grid of integers times one scale: ``int[bits=4]``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pvq.arrays import F64, as_f64
from pvq.solvers.feasible import SETS, FiniteSet
from pvq.theory.codebook import Codebook
from pvq.theory.optimal_scale import optimal_scale

__all__ = ["Integer"]


@SETS.register("int")
@dataclass(frozen=True)
class Integer:
    """Every weight is scale times an integer of `bits` bits.

    Parameters
    ----------
    bits : 1 to 16
    grid : twos-complement -2^(b-1) ... 2^(b-1) - 1, symmetric without the lowest of these
    scale : mse for the scale of least squared rounding error of the given weights, or a number

    >>> Integer(bits=2, scale=0.5).fit(np.zeros(3)).levels
    array([-1. , -0.5,  0. ,  0.5])
    """

    bits: int
    grid: Literal["twos-complement", "symmetric"] = "twos-complement"
    scale: float | Literal["mse"] = "mse"

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 16:
            raise ValueError(f"bits must lie in 1 ... 16, got {self.bits}")
        if isinstance(self.scale, float) and not 0 < self.scale < np.inf:
            raise ValueError(f"scale must be mse or a positive number, got {self.scale}")

    def fit(self, w: F64) -> FiniteSet:
        """Return the grid with one scale for all of w."""
        half = 2 ** (self.bits - 1)
        integers = np.arange(-half + (self.grid == "symmetric"), half, dtype=np.float64)
        weights = as_f64(w, "w")
        if self.scale != "mse":
            scale = float(self.scale)
        else:
            scale = optimal_scale(weights, integers) if weights.any() else 1.0
        return FiniteSet(Codebook(integers * scale, scale))

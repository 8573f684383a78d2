"""Kernels on the levels of one weight, in units of their spacing."""

from __future__ import annotations

import numpy as np

from pvq.arrays import F64
from pvq.solvers._kernels.jit import kernel

__all__ = ["distance", "nearest"]


@kernel
def nearest(levels: F64, uniform: bool, value: float) -> int:
    """Return the number of the level nearest to `value`."""
    top = len(levels) - 1
    if uniform:
        return int(min(max(np.rint(value), 0.0), float(top)))
    low, high = 0, top
    while low < high:
        middle = (low + high) // 2
        if levels[middle + 1] - value < value - levels[middle]:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def distance(levels: F64, uniform: bool, value: float) -> float:
    """Return the distance from `value` to the nearest level; it errs by one rounding."""
    return float(abs(value - levels[nearest(levels, uniform, value)]))

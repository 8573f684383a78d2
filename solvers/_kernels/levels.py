"""The nearest level of one weight."""

from __future__ import annotations

from pvq.arrays import F64

from .jit import kernel

__all__ = ["nearest_level"]


@kernel
def nearest_level(levels: F64, edges: F64, scale: float, value: float) -> float:
    """Return scale times the level nearest to value / scale: the first whose upper edge is not below it.

    Parameters
    ----------
    levels : (L,) increasing
    edges : (L - 1,) midpoints
    """
    unit = value / scale
    low, high = 0, len(edges)
    while low < high:
        middle = (low + high) // 2
        if edges[middle] < unit:
            low = middle + 1
        else:
            high = middle
    return float(scale * levels[low])

"""The nearest level of one weight."""

from __future__ import annotations

from pvq.arrays import F64

from .jit import kernel

__all__ = ["index_of", "nearest_level"]


@kernel
def nearest_level(levels: F64, edges: F64, scale: float, value: float) -> float:
    """Return scale times the level nearest to value / scale.

    Parameters
    ----------
    levels : (L,) increasing
    edges : (L - 1,) midpoints
    """
    return float(scale * levels[index_of(edges, value / scale)])


@kernel
def index_of(edges: F64, unit: float) -> int:
    """Return the number of the first level whose upper edge is not below the value; a tie takes the lower."""
    low, high = 0, len(edges)
    while low < high:
        middle = (low + high) // 2
        if edges[middle] < unit:
            low = middle + 1
        else:
            high = middle
    return low

"""Kernel of the dual path: the lower half of its Newton matrix, in one pass over that of the inverse."""

from __future__ import annotations

from numba import njit

from pvq.arrays import F64, I64

__all__ = ["newton_lower"]


@njit(cache=True, error_model="numpy")
def newton_lower(
    Z: F64, index: I64, a: F64, g: F64, ridge: F64, start: int, stop: int, K: F64
) -> None:  # pragma: no cover - compiled
    """Write columns start ... stop - 1 of the lower half of (aa') o Z o Z + (gg') o Z + diag(ridge) into K.

    Z (n, n) is read at the coordinates `index`, which increase, and so in its lower half alone; both
    matrices lie in memory column by column.
    """
    for j in range(start, stop):
        column, aj, gj = index[j], a[j], g[j]
        for i in range(j, len(index)):
            z = Z[index[i], column]
            K[i, j] = z * (a[i] * aj * z + g[i] * gj)
        K[j, j] += ridge[j]

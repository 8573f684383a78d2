"""Kernels of local search in units of the level spacing: single moves and pairs of moves."""

from __future__ import annotations

import numpy as np

from pvq.arrays import F64, I64
from pvq.solvers._kernels.jit import kernel

from .level_kernels import nearest

__all__ = ["descend", "descend_pairs", "slope_of"]

MOST_SWEEPS = 200
GAIN = 1e-12  # of A_ii t^2: a smaller gain may be rounding


@kernel
def slope_of(A: F64, levels: F64, centre: F64, index: I64) -> F64:
    """Return A (y - centre)."""
    m = len(centre)
    slope = np.zeros(m)
    for i in range(m):
        change = levels[index[i]] - centre[i]
        for j in range(m):
            slope[j] += A[i, j] * change
    return slope


@kernel
def descend(A: F64, levels: F64, uniform: bool, index: I64, slope: F64) -> float:
    """Move one weight at a time to its best level, in place, until none gains; return the change of error.

    Parameters
    ----------
    A : (m, m) symmetric with positive diagonal
    index, slope : (m,) the point's level numbers and A (y - centre), both kept up to date
    """
    total = 0.0
    for _ in range(MOST_SWEEPS):
        gained = 0.0
        for i in range(len(index)):
            k = nearest(levels, uniform, levels[index[i]] - slope[i] / A[i, i])
            t = levels[k] - levels[index[i]]
            change = t * (2.0 * slope[i] + t * A[i, i])
            if change < -GAIN * t * t * A[i, i]:
                _move(A, levels, index, slope, i, k)
                gained += change
        total += gained
        if gained == 0.0:
            break
    return total


@kernel
def _move(A: F64, levels: F64, index: I64, slope: F64, i: int, k: int) -> None:
    t = levels[k] - levels[index[i]]
    index[i] = k
    for j in range(len(index)):
        slope[j] += t * A[i, j]


@kernel
def descend_pairs(A: F64, levels: F64, uniform: bool, index: I64, slope: F64) -> float:
    """Alternate single moves and the best moves of two weights to neighbouring levels, until none gains."""
    total = descend(A, levels, uniform, index, slope)
    for _ in range(MOST_SWEEPS):
        gained = 0.0
        for i in range(len(index)):
            gained += _best_pair_with(A, levels, index, slope, i)
        if gained == 0.0:
            break
        total += gained + descend(A, levels, uniform, index, slope)
    return total


@kernel
def _best_pair_with(A: F64, levels: F64, index: I64, slope: F64, i: int) -> float:
    """Move weight i and one other by one level each where the best such pair gains; return the change."""
    best, first, other, second = -GAIN * A[i, i], 0, -1, 0
    for a in (-1, 1):
        if not 0 <= index[i] + a < len(levels):
            continue
        t = levels[index[i] + a] - levels[index[i]]
        base = t * (2.0 * slope[i] + t * A[i, i])
        for j in range(len(index)):
            if j == i:
                continue
            pull = slope[j] + t * A[i, j]
            b = -1 if pull > 0.0 else 1
            if not 0 <= index[j] + b < len(levels):
                continue
            s = levels[index[j] + b] - levels[index[j]]
            change = base + s * (2.0 * pull + s * A[j, j])
            if change < best:
                best, first, other, second = change, a, j, b
    if other < 0:
        return 0.0
    _move(A, levels, index, slope, i, index[i] + first)
    _move(A, levels, index, slope, other, index[other] + second)
    return float(best)

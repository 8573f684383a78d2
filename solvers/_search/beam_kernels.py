"""Kernel of the beam: breadth-first successive rounding that keeps the best partial decisions."""

from __future__ import annotations

import numpy as np

from pvq.arrays import F64, I64
from pvq.solvers._kernels.jit import kernel

from .level_kernels import nearest

__all__ = ["beam"]

FAN = 4  # levels tried per partial decision, the nearest ones


@kernel
def beam(
    K: F64, weights: F64, levels: F64, uniform: bool, centre: F64, width: int, keep: int
) -> tuple[I64, F64]:
    """Decide positions m-1, ..., 0, keeping the `width` partial decisions of least cost after each.

    Parameters
    ----------
    K, weights : as of `Factor`
    levels, uniform, centre : as of `Lattice`, the centre in the factor's order
    keep : how many complete decisions come back

    Returns
    -------
    (kept, m) level numbers and (kept,) costs, increasing
    """
    m = len(centre)
    means, other = np.empty((width, m)), np.empty((width, m))
    means[0] = centre
    cost = np.zeros(width)
    parents, choices = np.empty((m, width), np.int64), np.empty((m, width), np.int64)
    trial, origin, level = (
        np.empty(FAN * width),
        np.empty(FAN * width, np.int64),
        np.empty(FAN * width, np.int64),
    )
    count = 1
    for i in range(m - 1, -1, -1):
        tried = _expand(i, count, means, cost, weights[i], levels, uniform, trial, origin, level)
        best = np.argsort(trial[:tried], kind="mergesort")
        count = min(width, tried)
        for b in range(count):
            parents[i, b], choices[i, b], cost[b] = origin[best[b]], level[best[b]], trial[best[b]]
        _move_centres(i, count, K, levels, parents[i], choices[i], means, other)
        means, other = other, means
    return _trace(parents, choices, min(keep, count)), cost[: min(keep, count)].copy()


@kernel
def _expand(
    i: int, count: int, means: F64, cost: F64, weight: float, levels: F64, uniform: bool,
    trial: F64, origin: I64, level: I64,
) -> int:  # fmt: skip
    """Write the nearest few levels of position i for each partial decision; return how many there are."""
    q, top = 0, len(levels)
    for a in range(count):
        c = means[a, i]
        k = nearest(levels, uniform, c)
        low, high = k - 1, k + 1
        for _ in range(min(FAN, top)):
            delta = levels[k] - c
            trial[q], origin[q], level[q] = cost[a] + weight * delta * delta, a, k
            q += 1
            if low >= 0 and (high >= top or c - levels[low] <= levels[high] - c):
                k, low = low, low - 1
            else:
                k, high = high, high + 1
    return q


@kernel
def _move_centres(
    i: int, count: int, K: F64, levels: F64, parent: I64, choice: I64, means: F64, other: F64
) -> None:
    for b in range(count):
        old = means[parent[b]]
        delta = levels[choice[b]] - old[i]
        new = other[b]
        for j in range(i):
            new[j] = old[j] + K[i, j] * delta


@kernel
def _trace(parents: I64, choices: I64, kept: int) -> I64:
    """Follow each complete decision back from the last position decided."""
    m = len(parents)
    index = np.empty((kept, m), np.int64)
    for b in range(kept):
        a = b
        for i in range(m):
            index[b, i] = choices[i, a]
            a = parents[i, a]
    return index

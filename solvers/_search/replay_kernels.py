"""Kernel that re-proves an enumeration: every level in turn, nothing remembered, nothing improved.

It shares no code with the search that it checks. Rounding is covered by `thresholds`; no flag that would
let a compiler change the order of operations is set.
"""

from __future__ import annotations

import numpy as np

from pvq.arrays import F64, I64
from pvq.solvers._kernels.jit import kernel

__all__ = ["replay"]

MARGIN = 1.0 + 2.0**-20  # levels below centre - reach cost more than the threshold whatever the rounding
LEVEL, NODES, LEAVES = 0, 1, 2  # of the state


@kernel
def replay(
    K: F64, R: F64, shares: F64, depth: I64, levels: F64, grid: bool, threshold: float,
    means: F64, part: F64, tried: I64, leaves: I64, least: F64, state: I64, most: int,
) -> bool:  # fmt: skip
    """Visit every decision whose cost and share stay below the threshold; return whether all are visited.

    Parameters
    ----------
    tried : (m,) number of the level under trial per position, -1 before the first; part : (m + 1,)
    leaves : (capacity, m) receives the complete decisions
    least : (1,) receives the least cost of complete decisions beyond the capacity
    state : (3,) position, nodes visited, complete decisions met; most : nodes of this call
    """
    m, top = len(tried), len(levels)
    spent = np.empty(m)
    end = state[NODES] + most
    while state[LEVEL] < m and state[NODES] < end:
        i = int(state[LEVEL])
        centre = means[i + 1, i]
        if tried[i] < 0:
            reach = np.sqrt((threshold - part[i + 1]) / (R[i, i] * R[i, i])) * MARGIN
            tried[i] = np.searchsorted(levels, centre - reach)
        else:
            tried[i] += 1
        if tried[i] >= top:
            tried[i] = -1
            state[LEVEL] = i + 1
            continue
        state[NODES] += 1
        delta = levels[tried[i]] - centre
        part[i] = part[i + 1] + R[i, i] * R[i, i] * (delta * delta)
        if not part[i] < threshold:
            if delta > 0.0:
                tried[i] = top - 1
            continue
        if i == 0:
            _record(tried, part[0], leaves, least, state)
        elif part[i] + _share(i, delta, K, shares, int(depth[i]), levels, grid, means, spent) < threshold:
            state[LEVEL] = i - 1
    return bool(state[LEVEL] >= m)


@kernel
def _record(tried: I64, cost: float, leaves: I64, least: F64, state: I64) -> None:
    if state[LEAVES] < len(leaves):
        leaves[state[LEAVES]] = tried
    else:
        least[0] = min(least[0], cost)
    state[LEAVES] += 1


@kernel
def _share(
    i: int, delta: float, K: F64, shares: F64, row: int, levels: F64, grid: bool, means: F64, spent: F64
) -> float:
    """Write the centres of the positions left; return the sum of share times squared distance."""
    for j in range(i):
        means[i, j] = means[i + 1, j] + K[i, j] * delta
    if grid:
        top = len(levels) - 1.0
        for j in range(i):
            gap = means[i, j] - min(max(np.rint(means[i, j]), 0.0), top)
            spent[j] = shares[row, j] * (gap * gap)
    else:
        for j in range(i):
            gap = _gap(levels, means[i, j])
            spent[j] = shares[row, j] * (gap * gap)
    return _sum(spent, i)


@kernel
def _gap(levels: F64, value: float) -> float:
    """Return the distance to the nearest level: to one of the two that enclose the value."""
    after = np.searchsorted(levels, value)
    if after == 0:
        return float(levels[0] - value)
    if after == len(levels):
        return float(value - levels[-1])
    return float(min(levels[after] - value, value - levels[after - 1]))


@kernel
def _sum(values: F64, count: int) -> float:
    """Return the sum of the first values, in four interleaved parts."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = count - count % 4
    for j in range(0, whole, 4):
        a += values[j]
        b += values[j + 1]
        c += values[j + 2]
        d += values[j + 3]
    for j in range(whole, count):
        a += values[j]
    return (a + b) + (c + d)

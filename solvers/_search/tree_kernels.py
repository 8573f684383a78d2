"""Kernel of the depth-first search over levels, in steps that return to Python."""

from __future__ import annotations

import numpy as np

from pvq.arrays import F64, I64
from pvq.solvers._kernels.jit import kernel

from .jit import summing_kernel
from .level_kernels import distance, nearest

__all__ = ["DONE", "FOUND", "PAUSED", "search"]

DONE, FOUND, PAUSED = 0, 1, 2
LEVEL, FRESH, NODES = 0, 1, 2  # of the state


@kernel
def search(
    K: F64, weights: F64, shares: F64, depth: I64, levels: F64, uniform: bool, threshold: float,
    means: F64, part: F64, low: I64, high: I64, choice: I64, state: I64, most: int,
) -> int:  # fmt: skip
    """Go on from `state` until a complete decision costs less than `threshold`, or the end, or `most` nodes.

    Schnorr-Euchner: the levels of a position are tried in the order of their distance from its centre. A
    partial decision is given up where its cost, plus the least that the positions left can add, reaches the
    threshold: with centres c of those left, that is at least sum_j shares_j dist(c_j, levels)^2.

    Parameters
    ----------
    K, weights : as of `Factor`
    shares, depth : (k, m) diagonals that may be split off, and which one serves when i positions are left
    levels, uniform : as of `Lattice`
    means : (m + 1, m) centres with positions >= i decided, row m set by the caller
    part, low, high, choice, state : (m + 1,), (m,), (m,), (m,), (3,) the place in the tree

    Returns
    -------
    DONE, FOUND (then `choice` is the decision and part[0] its cost) or PAUSED
    """
    m = len(choice)
    i, fresh, nodes = state[LEVEL], state[FRESH] == 1, state[NODES]
    end, answer = nodes + most, DONE
    while i < m:
        c = float(means[i + 1, i])
        k = _next_level(i, c, fresh, levels, uniform, low, high)
        fresh = False
        if k < 0:
            i += 1
            continue
        nodes += 1
        delta = levels[k] - c
        cost = part[i + 1] + weights[i] * delta * delta
        if cost >= threshold:
            i += 1
            continue
        choice[i], part[i] = k, cost
        if i == 0:
            answer = FOUND
            break
        if uniform:
            rest = _decide_on_grid(i, delta, K, shares, int(depth[i]), len(levels) - 1.0, means)
        else:
            rest = _decide(i, delta, K, shares, int(depth[i]), levels, means)
        if cost + rest < threshold:
            i -= 1
            fresh = True
        if nodes >= end:
            answer = PAUSED
            break
    state[LEVEL], state[FRESH], state[NODES] = i, 1 if fresh else 0, nodes
    return answer


@kernel
def _next_level(i: int, c: float, fresh: bool, levels: F64, uniform: bool, low: I64, high: I64) -> int:
    """Return the nearest level of position i not tried yet, -1 if there is none."""
    if fresh:
        k = nearest(levels, uniform, c)
        low[i], high[i] = k - 1, k + 1
        return k
    a, b, top = low[i], high[i], len(levels)
    if a >= 0 and (b >= top or c - levels[a] <= levels[b] - c):
        low[i] = a - 1
        return int(a)
    if b < top:
        high[i] = b + 1
        return int(b)
    return -1


@summing_kernel
def _decide_on_grid(i: int, delta: float, K: F64, shares: F64, row: int, top: float, means: F64) -> float:
    """Move the centres of the positions left; return what they must add at least on levels 0, 1, ..., top."""
    total = 0.0
    for j in range(i):
        value = means[i + 1, j] + K[i, j] * delta
        gap = value - min(max(np.rint(value), 0.0), top)
        means[i, j] = value
        total += shares[row, j] * gap * gap
    return total


@kernel
def _decide(i: int, delta: float, K: F64, shares: F64, row: int, levels: F64, means: F64) -> float:
    """Do as `_decide_on_grid` does, for any levels."""
    total = 0.0
    for j in range(i):
        value = means[i + 1, j] + K[i, j] * delta
        gap = distance(levels, False, value)
        means[i, j] = value
        total += shares[row, j] * gap * gap
    return total

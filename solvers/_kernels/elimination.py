"""A block of steps of Optimal Brain Compression: settle the cheapest weight, the others make up for it.

The inverse A of the matrix of the weights that are left loses a rank-one term at each step. The terms are
collected in V, so that A itself is changed once per block: A - V'V.
"""

from __future__ import annotations

import numpy as np

from pvq.arrays import F64, I64, Bool

from .jit import kernel
from .levels import nearest_level

__all__ = ["remove_block", "round_block"]


@kernel
def remove_block(A: F64, w: F64, group: I64, budget: I64, V: F64, gone: Bool, least: float) -> None:
    """Remove len(V) weights, each time the one with the least w_i^2 / A_ii, in place.

    Parameters
    ----------
    A : (m, m) inverse of the matrix of the weights that are left
    w : (m,) their values, changed
    group, budget : (m,) and (G,): how many weights each group may still lose, changed
    V : (b, m) out: the rank-one terms
    gone : (m,) out: what was removed
    least : the entries A_ii cannot be smaller
    """
    pivots = np.diag(A).copy()
    for step in range(len(V)):
        best, i = np.inf, -1
        for j in range(len(w)):
            if not gone[j] and budget[group[j]] > 0:
                cost = w[j] * w[j] / pivots[j]
                if cost < best or i < 0:
                    best, i = cost, j
        budget[group[i]] -= 1
        gone[i] = True
        _take_out(A, w, pivots, V, step, i, 0.0, least)


@kernel
def round_block(
    A: F64,
    w: F64,
    x: F64,
    levels: F64,
    edges: F64,
    book: I64,
    scales: F64,
    V: F64,
    gone: Bool,
    least: float,
    outliers: bool,
) -> None:
    """Round len(V) weights to levels, each time the one with the least (w_i - x_i)^2 / A_ii, in place.

    Parameters
    ----------
    A, w, V, gone, least : as of `remove_block`
    x : (m,) out: the levels
    levels, edges : (U, L), (U, L - 1) codebooks; the number of weight i's is book[i], its scale scales[i]
    outliers : first of all take weights that left their levels by more than half the outermost gap
    """
    pivots = np.diag(A).copy()
    for step in range(len(V)):
        best, i, rank = np.inf, -1, False
        for j in range(len(w)):
            if gone[j]:
                continue
            b = book[j]
            x[j] = nearest_level(levels[b], edges[b], scales[j], w[j])
            cost = (w[j] - x[j]) ** 2 / pivots[j]
            far = outliers and _beyond(levels[b], edges[b], w[j] / scales[j])
            if i < 0 or (far and not rank) or (far == rank and cost < best):
                best, i, rank = cost, j, far
        gone[i] = True
        _take_out(A, w, pivots, V, step, i, x[i], least)


@kernel
def _beyond(levels: F64, edges: F64, value: float) -> bool:
    """Return whether a weight lies more than half a gap below the first or above the last finite level."""
    if len(edges) == 0:
        return False
    last = len(edges) - 1
    while last > 0 and edges[last] == np.inf:
        last -= 1
    return bool(value < 2.0 * levels[0] - edges[0] or value > 2.0 * levels[last + 1] - edges[last])


@kernel
def _take_out(A: F64, w: F64, pivots: F64, V: F64, step: int, i: int, target: float, least: float) -> None:
    """Settle weight i at the target, move the others, and append the rank-one term."""
    column = V[step]
    for j in range(len(w)):
        column[j] = A[i, j]
    for s in range(step):
        share = V[s, i]
        for j in range(len(w)):
            column[j] -= share * V[s, j]
    root = np.sqrt(max(column[i], least))
    move = (w[i] - target) / root
    for j in range(len(w)):
        column[j] /= root
        w[j] -= move * column[j]
        pivots[j] = max(pivots[j] - column[j] * column[j], least)

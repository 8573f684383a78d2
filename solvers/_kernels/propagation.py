"""One block of columns, settled from left to right; each weight's change is passed on within the block."""

from __future__ import annotations

import numpy as np

from pvq.arrays import F64, I64

from .jit import kernel
from .levels import nearest_level

__all__ = ["prune_block", "round_block"]


@kernel
def round_block(
    V: F64, C: F64, X: F64, E: F64, levels: F64, edges: F64, book: I64, scales: F64, start: int
) -> None:
    """Round the b columns of a block to levels, for all rows, in place.

    Parameters
    ----------
    V : (R, b) weights as moved so far; changed
    C : (b, b) diagonal block of the upper factor of the inverse, C'C = H^-1
    X, E : (R, b) out: levels, and the changes (V - X) / C_ii at the moment of rounding
    levels, edges, book, scales : as of `RowLevels`, all columns
    start : column of `scales` at which the block begins
    """
    for r in range(len(V)):
        for i in range(len(C)):
            X[r, i] = nearest_level(levels[book[r]], edges[book[r]], scales[r, start + i], V[r, i])
            _pass_on(V[r], C, E[r], i, X[r, i])


@kernel
def prune_block(V: F64, C: F64, X: F64, E: F64, starts: I64, keep: I64) -> None:
    """Set to zero what costs least in each part of the block, for all rows, in place.

    At the start of a part, the weights with the largest V_i^2 / C_ii^2 are chosen to stay.

    Parameters
    ----------
    V, C, X, E : as of `round_block`
    starts : (parts + 1,) first column of each part, and b
    keep : (parts,) how many weights stay
    """
    for r in range(len(V)):
        for part in range(len(keep)):
            _prune_part(V[r], C, X[r], E[r], starts[part], starts[part + 1], keep[part])


@kernel
def _prune_part(v: F64, C: F64, x: F64, e: F64, first: int, last: int, keep: int) -> None:
    score = np.empty(last - first)
    for i in range(first, last):
        score[i - first] = -abs(v[i] / C[i, i])
    order = np.argsort(score, kind="mergesort")
    for place in range(last - first):
        x[first + order[place]] = 1.0 if place < keep else 0.0
    for i in range(first, last):
        if x[i] != 0.0:
            x[i] = v[i]
        _pass_on(v, C, e, i, x[i])


@kernel
def _pass_on(v: F64, C: F64, e: F64, i: int, target: float) -> None:
    e[i] = (v[i] - target) / C[i, i]
    if e[i] != 0.0:
        for j in range(i + 1, len(C)):
            v[j] -= e[i] * C[i, j]

"""Kernels of the two greedy orders; both work on a copy that shrinks by one weight a step."""

from __future__ import annotations

import numpy as np

from pvq.arrays import F64, I64
from pvq.solvers._kernels.jit import kernel

__all__ = ["greedy_pivots"]


@kernel
def greedy_pivots(P: F64, largest: bool) -> I64:
    """Return the order in which symmetric elimination of P takes the smallest, or largest, diagonal entry.

    Parameters
    ----------
    P : (n, n) symmetric positive definite; overwritten
    largest : which pivot to take

    Returns
    -------
    (n,) the rows in the order of elimination
    """
    n = len(P)
    order = np.arange(n)
    for k in range(n):
        best = k
        for i in range(k + 1, n):
            if (P[i, i] > P[best, best]) == largest and P[i, i] != P[best, best]:
                best = i
        _swap(P, order, k, best)
        _eliminate(P, k)
    return order


@kernel
def _swap(P: F64, order: I64, k: int, best: int) -> None:
    """Exchange row and column k with row and column `best`."""
    if k == best:
        return
    order[k], order[best] = order[best], order[k]
    for j in range(len(P)):
        P[k, j], P[best, j] = P[best, j], P[k, j]
    for j in range(len(P)):
        P[j, k], P[j, best] = P[j, best], P[j, k]


@kernel
def _eliminate(P: F64, k: int) -> None:
    """Subtract the rank-one part of pivot k from what comes after it."""
    n = len(P)
    pivot = P[k, k]
    if not pivot > 0.0:
        return
    for i in range(k + 1, n):
        share = P[i, k] / pivot
        for j in range(k + 1, n):
            P[i, j] -= share * P[k, j]

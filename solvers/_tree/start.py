"""Where the barrier method starts at a part."""

from __future__ import annotations

import numpy as np

from pvq.arrays import F64
from pvq.solvers._kernels.jit import kernel

from .branches import Region
from .relax import BEST, GAP, LOG_DET, MU, SHRINK, Iterate, Trail, evaluate, factor_less, log_determinant
from .vectors import add_multiple, copy_vector

__all__ = ["new_trail", "start"]

RECORDS = 40  # proofs kept at one part, of which few have more than ten
FIRST = 3.0  # times what removals cost at the smallest diagonal: the gap assumed where no bound is known


@kernel
def start(region: Region, d: F64, e: F64, gap: float, shrink: float, known: bool) -> tuple[Iterate, bool]:
    """Return the iterate at (d, e) with prices between the removed and the others, and whether d is feasible.

    Parameters
    ----------
    gap : what the bound must reach
    shrink : of stored diagonals
    known : whether e is an estimate; mu is then that of the gap left, otherwise that of the removals' cost
    """
    m, groups = len(d), len(region.quota)
    number, R, u, t = np.zeros(8), np.empty((m, m)), np.zeros(m), np.empty(groups)
    delta, low, high = np.empty(m), np.empty(groups), np.empty(groups)
    definite = factor_less(region.H, d, R)
    bound, cost = evaluate(region, d, e, delta, low, high), 0.0
    for g in range(groups):
        t[g] = 0.5 * (low[g] + high[g]) if high[g] < np.inf else low[g]
        cost += low[g] * region.quota[g]
    for i in range(m):
        add_multiple(u, e[i], region.H[i])
        u[i] -= d[i] * e[i]
    size = max(gap - bound, 1e-9 * (gap + region.constant))
    number[MU] = (size if known else FIRST * max(cost, size)) / (4.0 * m + 1.0)
    number[BEST], number[GAP], number[SHRINK] = -np.inf, gap, shrink
    if definite:
        number[LOG_DET] = log_determinant(R)
    start_d, start_e = np.empty(m), np.empty(m)
    copy_vector(start_d, d)
    copy_vector(start_e, e)
    return Iterate(d, u, t, R, start_d, start_e, number), definite


@kernel
def new_trail(m: int) -> Trail:
    """Return an empty trail for m weights."""
    d, e = np.zeros((RECORDS, m), np.float32), np.zeros((RECORDS, m), np.float32)
    return Trail(d, e, np.zeros(m, np.int64), np.zeros(m, np.int64), np.full(m, 0.5))

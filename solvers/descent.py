"""Best single change, one weight at a time, on finite sets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pvq.arrays import F64

from .feasible import FiniteSet
from .problem import LayerProblem
from .row_levels import RowLevels

__all__ = ["descend", "descend_rows"]

MOST_SWEEPS = 200
WORK = 2e8  # multiplications that one call of the kernel may take, a fraction of a second


def descend(problem: LayerProblem, feasible: FiniteSet, x: F64) -> tuple[F64, int]:
    """Improve the point x of one row, see `descend_rows`.

    Returns
    -------
    (n,) levels, 1-optimal up to rounding, and the number of sweeps
    """
    levels = RowLevels.of([feasible], problem.n)
    point, sweeps = descend_rows(problem.H, problem.w[None, :], levels, x[None, :])
    return point[0], sweeps


def descend_rows(
    H: F64, W: F64, levels: RowLevels, X: F64, expired: Callable[[], bool] = lambda: False
) -> tuple[F64, int]:
    """Improve all rows by moving one weight at a time to its best level, until no single change helps.

    With r = H(x - w), weight i alone is best at x_i - r_i / H_ii, rounded to a level; the change of error for
    a move by t is t (2 r_i + t H_ii). Moves must gain more than rounding, so the descent ends. Slopes are
    computed anew before a row is called settled.

    Parameters
    ----------
    H : (n, n) Gram matrix
    W, X : (R, n) weights, and levels to start from
    expired : asked between sweeps; when it says so, the points reached are returned

    Returns
    -------
    (R, n) levels, 1-optimal up to rounding unless time ran out, and the most sweeps that a row took
    """
    from ._kernels.descent import sweep

    X = np.ascontiguousarray(X).copy()
    rows, sweeps = np.arange(len(X)), 0
    S = np.zeros_like(X)
    moved, fresh = np.ones(len(X), dtype=np.bool_), np.zeros(len(X), dtype=np.bool_)
    share = max(1, int(WORK / (H.shape[0] ** 2 + 1)))
    while len(rows) and sweeps < MOST_SWEEPS and not expired():
        again = rows[~moved[rows] | (sweeps == 0)]
        S[again], fresh[rows] = (X[again] - W[again]) @ H, False
        fresh[again] = True
        for start in range(0, len(rows), share):
            part = rows[start : start + share]
            sweep(H, X, S, part, levels.levels, levels.edges, levels.book, levels.scales, moved)
        rows, sweeps = rows[moved[rows] | ~fresh[rows]], sweeps + 1
    return X, sweeps

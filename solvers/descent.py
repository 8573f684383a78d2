"""Best single change, one weight at a time, on a finite set."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from pvq.arrays import F64

from .feasible import FiniteSet
from .problem import LayerProblem

__all__ = ["descend"]

MOST_SWEEPS = 200


def descend(problem: LayerProblem, feasible: FiniteSet, x: F64) -> tuple[F64, int]:
    """Improve x by moving one weight at a time to its best level, until no single change helps.

    With r = H(x - w), weight i alone is best at x_i - r_i / H_ii, rounded to a level; the change of error for
    a move by t is t (2 r_i + t H_ii). Moves must gain more than rounding, so the descent ends.

    Returns
    -------
    (n,) levels, 1-optimal up to rounding, and the number of sweeps
    """
    H, x, levels = problem.H, x.copy(), feasible.levels
    edges = feasible.codebook.edges[1:-1].tolist()
    diagonal = np.diagonal(H)
    live = np.flatnonzero(diagonal > 0)
    r = H @ (x - problem.w)
    for sweep in range(MOST_SWEEPS):
        target = feasible.nearest(x[live] - r[live] / diagonal[live])
        candidates = live[target != x[live]]
        moved = False
        for i in candidates:
            level = levels[bisect_left(edges, x[i] - r[i] / diagonal[i])]
            t = level - x[i]
            if t and t * (2.0 * r[i] + t * diagonal[i]) < -1e-12 * t * t * diagonal[i]:
                x[i] = level
                r += t * H[i]
                moved = True
        if not moved:
            return x, sweep + 1
    return x, MOST_SWEEPS

"""One sweep of single changes over the weights of some rows."""

from __future__ import annotations

from pvq.arrays import F64, I64, Bool

from .jit import kernel
from .levels import nearest_level

__all__ = ["sweep", "sweep_row"]


@kernel
def sweep(
    H: F64, X: F64, S: F64, rows: I64, levels: F64, edges: F64, book: I64, scales: F64, moved: Bool
) -> None:
    """Move every weight of the given rows once to its best level, in place.

    Parameters
    ----------
    H : (n, n) symmetric
    X, S : (R, n) points and their slopes (X - W) H
    rows : which rows to sweep
    levels, edges, book, scales : as of `RowLevels`
    moved : (R,) set to whether the row changed
    """
    for r in rows:
        moved[r] = sweep_row(H, X[r], S[r], levels[book[r]], edges[book[r]], scales[r]) < 0.0


@kernel
def sweep_row(H: F64, x: F64, slope: F64, levels: F64, edges: F64, scales: F64) -> float:
    """Move every weight of one row once to its best level, in place; return the change of the error."""
    total = 0.0
    for i in range(len(x)):
        curvature = H[i, i]
        if curvature <= 0.0:
            continue
        level = nearest_level(levels, edges, scales[i], x[i] - slope[i] / curvature)
        step = level - x[i]
        change = step * (2.0 * slope[i] + step * curvature)
        if change < -1e-12 * step * step * curvature:
            x[i] = level
            for j in range(len(x)):
                slope[j] += step * H[i, j]
            total += change
    return total

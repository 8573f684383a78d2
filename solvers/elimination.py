"""Optimal Brain Compression of one row: settle the cheapest weight, let the others make up for it, repeat.

B. Hassibi, D. Stork (NIPS 1992); exact and per row: E. Frantar, S. P. Singh, D. Alistarh, "Optimal Brain
Compression", arXiv 2208.11580. With A = H^-1 of the weights that are left, moving weight i to the target q
costs (w_i - q)^2 / A_ii and moves the others by -A_ji (w_i - q) / A_ii. Dead inputs go first; a singular H is
used with the ridge of `_dual.prepared`.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

import numpy as np

from pvq.arrays import F64, Bool
from pvq.solvers._dual.linalg import cholesky, inverse
from pvq.solvers._dual.prepared import prepare
from pvq.solvers.gram import Gram
from pvq.solvers.problem import LayerProblem
from pvq.solvers.row_levels import RowLevels
from pvq.solvers.supports import Supports

__all__ = ["eliminate", "inverse_of", "round_greedily"]

BLOCK = 48  # steps between two changes of the whole inverse
_INVERSES: WeakKeyDictionary[Gram, F64] = WeakKeyDictionary()


def eliminate(problem: LayerProblem, supports: Supports, expired: Callable[[], bool] = lambda: False) -> Bool:
    """Return the weights that remain after greedily removing the cheapest one that may go, again and again.

    Parameters
    ----------
    expired : asked between blocks of steps; when it says so, the rest is removed by its present costs

    Returns
    -------
    (n,) whether a weight is kept; dead inputs never are

    >>> problem = LayerProblem(np.eye(3), np.array([1.0, 3.0, 2.0]))
    >>> eliminate(problem, Supports(np.zeros(3, dtype=np.int64), np.array([2])))
    array([False,  True,  True])
    """
    from ._kernels.elimination import remove_block

    prepared = prepare(problem.gram)
    left, group = prepared.alive, supports.group[prepared.alive]
    A, w = inverse_of(problem.gram), problem.w[left] * prepared.root
    w = w / max(float(np.abs(w).max(initial=0.0)), np.finfo(float).tiny)
    budget = np.maximum(0, np.bincount(group, minlength=len(supports.keep)) - supports.keep)
    while budget.any() and not expired():
        V = np.empty((min(BLOCK, int(budget.sum())), len(left)))
        gone = np.zeros(len(left), dtype=np.bool_)
        remove_block(A, w, group, budget, V, gone, 1.0 / (1.0 + prepared.ridge))
        A, w, left, group = _without(A, V, ~gone), w[~gone], left[~gone], group[~gone]
    kept = np.zeros(problem.n, dtype=np.bool_)
    kept[left] = Supports(group, supports.keep).largest(w * w / np.diagonal(A))
    return kept


def round_greedily(
    A: F64,
    w: F64,
    levels: RowLevels,
    outliers: bool,
    least: float,
    expired: Callable[[], bool] = lambda: False,
) -> F64:
    """Return all m weights rounded to levels, the cheapest first, each time with compensation (OBQ).

    Parameters
    ----------
    A : (m, m) inverse of the weights' matrix
    w : (m,) weights
    levels : as for m rows of one weight: weights may differ in codebook and scale
    outliers : first of all take weights that left their levels by more than half the outermost gap
    least : the entries A_ii cannot be smaller
    expired : asked between blocks; when it says so, the rest is rounded to nearest
    """
    from ._kernels.elimination import round_block

    left, book, scales = np.arange(len(w)), levels.book, levels.scales[:, 0].copy()
    x = levels.nearest(w[:, None])[:, 0]
    while len(left) and not expired():
        V, gone = np.empty((min(BLOCK, len(left)), len(left))), np.zeros(len(left), dtype=np.bool_)
        near, w = x[left], w.copy()
        round_block(
            A, w, near, levels.levels, levels.edges, book[left], scales[left], V, gone, least, outliers
        )
        x[left] = near
        A, w, left = _without(A, V, ~gone), w[~gone], left[~gone]
    return x


def _without(A: F64, V: F64, stay: Bool) -> F64:
    """Return the inverse after the steps recorded in V, for the weights that stay."""
    index = np.flatnonzero(stay)
    terms = V[:, index]
    return np.asarray(A[np.ix_(index, index)] - terms.T @ terms)


def inverse_of(gram: Gram) -> F64:
    """Return the inverse of the normalised matrix, made once per Gram and kept while it lives; read-only."""
    if gram not in _INVERSES:
        factor = cholesky(prepare(gram).A)
        assert factor is not None, "the ridge was chosen so that A is positive definite"
        _INVERSES[gram] = np.ascontiguousarray(inverse(factor))
        _INVERSES[gram].setflags(write=False)
    return _INVERSES[gram]

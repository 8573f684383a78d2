"""Pruning by elimination: ExactOBS removes the cheapest weight, swaps exchange two."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pvq.arrays import F64, I64, Bool
from pvq.solvers._dual.linalg import cholesky, inverse
from pvq.solvers._dual.prepared import prepare
from pvq.solvers.problem import LayerProblem

__all__ = ["eliminate", "improve_by_swaps"]

GAIN = 1e-10  # relative gain below which a swap is rounding


def eliminate(problem: LayerProblem, k: int) -> I64:
    """Return the k weights that remain after greedily removing the cheapest one again and again.

    With A = H^-1 of the weights that are left, removing i costs w_i^2 / A_ii and moves the others by
    -A_ji w_i / A_ii (B. Hassibi, D. Stork, NIPS 1992; exact and per row: E. Frantar, S. P. Singh,
    D. Alistarh, "Optimal Brain Compression", arXiv 2208.11580). Dead inputs go first; a singular H is used
    with the ridge of `_dual.prepared`.
    """
    prepared = prepare(problem.gram)
    kept = np.ones(len(prepared.alive), dtype=bool)
    A, w = _inverse_of(prepared.A), problem.w[prepared.alive] * prepared.root
    for _ in range(len(kept) - k):
        diagonal = np.diagonal(A)
        cost = np.where(kept, w * w / np.where(kept, diagonal, 1.0), np.inf)
        i = int(np.argmin(cost))
        column = A[:, i] / np.sqrt(A[i, i])
        w -= column * (w[i] / np.sqrt(A[i, i]))
        A -= np.outer(column, column)
        kept[i] = False
        A[i, :] = A[:, i] = 0.0
        w[i] = 0.0
    live = prepared.alive[kept]
    dead = np.setdiff1d(np.arange(problem.n), prepared.alive)[: max(0, k - len(live))]
    return np.concatenate([live, dead])


class _Table(NamedTuple):
    """What swaps need, with S removed and K kept: see `improve_by_swaps`."""

    G: F64
    multiplier: F64
    T: F64
    left: F64
    schur: F64


def improve_by_swaps(problem: LayerProblem, kept: I64, expired: Callable[[], bool]) -> tuple[I64, int]:
    """Exchange a removed weight a for a kept one b, best pair first, until no exchange helps.

    With G = inv(A_SS), lambda = G w_S, T = A_KS G, rho = w_K - A_KS lambda and sigma_b = A_bb - T_b A_Sb,
    moving a out of the removed set S and b into it changes the error by

        (rho_b + T_ba lambda_a / G_aa)^2 / (sigma_b + T_ba^2 / G_aa) - lambda_a^2 / G_aa.

    Returns
    -------
    (k,) indices kept, and the number of exchanges
    """
    prepared = prepare(problem.gram)
    A, w = _inverse_of(prepared.A), problem.w[prepared.alive] * prepared.root
    inside = np.isin(prepared.alive, kept)
    swaps = 0
    while swaps < 4 * len(w) and not expired() and inside.any() and not inside.all():
        pair = _best_swap(A, w, inside)
        if pair is None:
            break
        inside[pair[0]], inside[pair[1]] = True, False
        swaps += 1
    dead = np.setdiff1d(kept, prepared.alive)
    return np.concatenate([prepared.alive[inside], dead]), swaps


def _best_swap(A: F64, w: F64, inside: Bool) -> tuple[int, int] | None:
    """Return the removed and the kept weight whose exchange gains most, None where none gains."""
    S, K = np.flatnonzero(~inside), np.flatnonzero(inside)
    table = _table(A, w, S, K)
    if table is None:
        return None
    pivot = np.diagonal(table.G)
    freed = table.multiplier**2 / pivot
    numerator = (table.left[:, None] + table.T * (table.multiplier / pivot)) ** 2
    change = numerator / (table.schur[:, None] + table.T**2 / pivot) - freed
    b, a = np.unravel_index(np.argmin(change), change.shape)
    error = float(w[S] @ table.multiplier)
    return (int(S[a]), int(K[b])) if change[b, a] < -GAIN * error else None


def _table(A: F64, w: F64, S: I64, K: I64) -> _Table | None:
    factor = cholesky(A[np.ix_(S, S)])
    if factor is None:
        return None
    G = inverse(factor)
    AKS = A[np.ix_(K, S)]
    T = AKS @ G
    multiplier = G @ w[S]
    schur = np.maximum(np.diagonal(A)[K] - np.einsum("ij,ij->i", T, AKS), np.finfo(float).tiny)
    return _Table(G, multiplier, T, w[K] - AKS @ multiplier, schur)


def _inverse_of(A: F64) -> F64:
    factor = cholesky(A)
    assert factor is not None, "the ridge was chosen so that A is positive definite"
    return inverse(factor)

"""The Schur complement of the perspective relaxation, ordered u (n), d (n), t (G), tau."""

from __future__ import annotations

import numpy as np

from pvq.arrays import F64

from .groups import Groups
from .linalg import cholesky

__all__ = ["factored", "schur_complement"]

RIDGES = (0.0, 1e-13, 1e-11, 1e-9)  # tried in turn, relative to the diagonal


def schur_complement(X: F64, Y: F64, shared: F64, groups: Groups) -> F64:
    """Return the Schur complement, (2n + G + 1) square.

    Parameters
    ----------
    X, Y : (n + 1, n + 1) large primal block and inverse slack
    shared : (n, 3, 3) each weight's own part on u, d and t
    groups : tell which weights share a t
    """
    n, G = len(X) - 1, len(groups.removed)
    K = np.zeros((2 * n + G + 1, 2 * n + G + 1), order="F")
    _add_large_part(K, X, Y)
    i = np.arange(n)
    for j in range(2):
        for k in range(2):
            K[j * n + i, k * n + i] += shared[:, j, k]
    i = np.flatnonzero(groups.group < G)
    t = 2 * n + groups.group[i]
    for j in range(2):
        K[j * n + i, t] = K[t, j * n + i] = shared[i, j, 2]
    t = 2 * n + np.arange(G)
    K[t, t] = groups.gather(shared[:, 2, 2])
    return K


def _add_large_part(K: F64, X: F64, Y: F64) -> None:
    """Add tr(A_j X A_k Y) of the large block [[A - D, u], [u', tau]]; X and Y are symmetric."""
    n = len(X) - 1
    x, y, x0, y0, XX, YY = X[:n, n], Y[:n, n], X[n, n], Y[n, n], X[:n, :n], Y[:n, :n]
    cross = np.outer(x, y)
    K[:n, :n] = cross + cross.T + x0 * YY + y0 * XX
    K[:n, n : 2 * n] = -(YY * x + XX * y)
    K[n : 2 * n, :n] = K[:n, n : 2 * n].T
    K[n : 2 * n, n : 2 * n] = XX * YY
    K[-1, :n] = K[:n, -1] = x * y0 + x0 * y
    K[-1, n : 2 * n] = K[n : 2 * n, -1] = -x * y
    K[-1, -1] = x0 * y0


def factored(K: F64) -> F64 | None:
    """Return the Cholesky factor of K, with as small a ridge as rounding asks for; None if none is enough.

    K is overwritten.
    """
    i = np.arange(len(K))
    diagonal = K[i, i]
    for ridge in RIDGES:
        K[i, i] = diagonal * (1.0 + ridge)
        factor = cholesky(K)
        if factor is not None:
            return factor
    return None

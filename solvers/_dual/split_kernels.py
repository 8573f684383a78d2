"""Kernels of cuts along sparse integer directions: products with them, and the Newton matrix.

Cut m has the entries start[m] ... start[m + 1] - 1 of `index` and `coefficient`; B (N, n) is the matrix whose
rows are the cuts.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pvq.arrays import F64, I64

__all__ = ["along", "gather", "images", "newton_matrix", "weighted_square"]


@njit(cache=True, error_model="numpy")
def along(start: I64, index: I64, coefficient: F64, u: F64) -> F64:  # pragma: no cover - compiled
    """Return B u, (N,)."""
    out = np.zeros(len(start) - 1)
    for m in range(len(start) - 1):
        for e in range(start[m], start[m + 1]):
            out[m] += coefficient[e] * u[index[e]]
    return out


@njit(cache=True, error_model="numpy")
def gather(start: I64, index: I64, coefficient: F64, y: F64, n: int) -> F64:  # pragma: no cover - compiled
    """Return B'y, (n,)."""
    out = np.zeros(n)
    for m in range(len(start) - 1):
        for e in range(start[m], start[m + 1]):
            out[index[e]] += coefficient[e] * y[m]
    return out


@njit(cache=True, error_model="numpy")
def weighted_square(
    start: I64, index: I64, coefficient: F64, y: F64, n: int
) -> F64:  # pragma: no cover - compiled
    """Return B' diag(y) B, (n, n)."""
    out = np.zeros((n, n))
    for m in range(len(start) - 1):
        for e in range(start[m], start[m + 1]):
            weight = y[m] * coefficient[e]
            for f in range(start[m], start[m + 1]):
                out[index[e], index[f]] += weight * coefficient[f]
    return out


@njit(cache=True, error_model="numpy")
def images(start: I64, index: I64, coefficient: F64, Z: F64) -> F64:  # pragma: no cover - compiled
    """Return B Z, (N, n)."""
    out = np.zeros((len(start) - 1, Z.shape[1]))
    for m in range(len(start) - 1):
        for e in range(start[m], start[m + 1]):
            for j in range(Z.shape[1]):
                out[m, j] += coefficient[e] * Z[index[e], j]
    return out


@njit(cache=True, error_model="numpy")
def newton_matrix(
    start: I64, index: I64, coefficient: F64, image: F64, alpha: F64, slope: F64, ridge: F64, mu: float
) -> tuple[F64, F64]:  # pragma: no cover - compiled
    """Return K and the diagonal of W = B Z B', where image = B Z.

    K = mu (alpha alpha') o W o W + (slope slope') o W / 2 + diag(ridge); only its lower triangle is written.
    """
    N = len(start) - 1
    K = np.empty((N, N))
    diagonal = np.empty(N)
    for m in range(N):
        curvature, half = mu * alpha[m], 0.5 * slope[m]
        w = 0.0
        for p in range(m + 1):
            w = 0.0
            for e in range(start[p], start[p + 1]):
                w += coefficient[e] * image[m, index[e]]
            K[m, p] = w * (curvature * alpha[p] * w + half * slope[p])
        diagonal[m] = w
        K[m, m] += ridge[m]
    return K, diagonal

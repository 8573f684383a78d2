"""Dense kernels of the dual solvers: Cholesky, inverse, and how far a step may go."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import blas, lapack

from pvq.arrays import F64

__all__ = [
    "cholesky",
    "diagonal_operator",
    "inverse",
    "largest_eigenvalue",
    "lower_inverse",
    "solve_factored",
]

HALVED = 128  # order above which a triangle is inverted by halves
LANCZOS_STEPS = 24
LANCZOS_ACCURACY = 0.03  # relative; the residual is added, so the estimate errs to the safe side


def cholesky(A: F64) -> F64 | None:
    """Return the lower factor L with A = LL', None where A is not positive definite in floating point."""
    factor, info = lapack.dpotrf(A.T if A.flags.c_contiguous else A, lower=1, clean=1, overwrite_a=0)
    return factor if info == 0 and np.isfinite(np.diagonal(factor)).all() else None


def inverse(L: F64) -> F64:
    """Return the symmetric inverse of LL'."""
    lower = np.tril(lower_inverse(L))
    return np.asarray(lower + np.tril(lower, -1).T)


def lower_inverse(L: F64) -> F64:
    """Return the lower half of the inverse of LL'; the other half is arbitrary."""
    return np.asarray(lapack.dlauum(_triangle_inverse(L), lower=1, overwrite_c=1)[0]) if L.size else L


def _triangle_inverse(L: F64) -> F64:
    """Return the inverse of a lower triangle by halves: LAPACK's own takes up to twice as long."""
    n, h = len(L), len(L) // 2
    if n <= HALVED:
        return np.asarray(lapack.dtrtri(L, lower=1)[0])
    out = np.empty((n, n), order="F")
    first, last = (_triangle_inverse(np.asfortranarray(L[part, part])) for part in (slice(h), slice(h, n)))
    corner = blas.dtrmm(-1.0, last, np.asfortranarray(L[h:, :h]), lower=1, overwrite_b=1)
    out[h:, :h] = blas.dtrmm(1.0, first, corner, side=1, lower=1, overwrite_b=1)
    out[:h, :h], out[h:, h:] = first, last
    return out


def solve_factored(L: F64, b: F64) -> F64:
    """Solve LL'x = b."""
    return np.asarray(lapack.dpotrs(L, b, lower=1)[0]).reshape(b.shape)


def diagonal_operator(L: F64, delta: F64) -> Callable[[F64], F64]:
    """Return v -> L^-1 diag(delta) L^-T v."""

    def apply(v: F64) -> F64:
        return blas.dtrsv(L, delta * blas.dtrsv(L, v, lower=1, trans=1), lower=1)

    return apply


def largest_eigenvalue(apply: Callable[[F64], F64], n: int, rng: np.random.Generator) -> float:
    """Return an estimate from above of the largest eigenvalue of a symmetric operator, by Lanczos.

    Full reorthogonalisation; the residual of the Ritz pair is added to its value.
    """
    q = rng.standard_normal(n)
    diagonal: list[float] = []
    off: list[float] = []
    basis = [q / np.linalg.norm(q)]
    value = residual = 0.0
    for j in range(min(LANCZOS_STEPS, n)):
        v = apply(basis[-1])
        diagonal.append(float(basis[-1] @ v))
        Q = np.array(basis)
        v = v - Q.T @ (Q @ v)
        v = v - Q.T @ (Q @ v)
        beta = float(np.linalg.norm(v))
        value, residual = _ritz(diagonal, off, beta)
        converged = j >= 4 and (residual < LANCZOS_ACCURACY * abs(value) or value + residual < 0.1)
        if converged or beta <= 1e-14 * (abs(diagonal[0]) + abs(value)):
            break
        off.append(beta)
        basis.append(v / beta)
    return value + residual


def _ritz(diagonal: list[float], off: list[float], beta: float) -> tuple[float, float]:
    values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))
    return float(values[-1]), beta * abs(float(vectors[-1, -1]))

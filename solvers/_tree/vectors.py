"""Sums and products of small arrays, written out: they compile much faster than array expressions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import F64, I64
from pvq.solvers._kernels.jit import kernel

__all__ = ["add_multiple", "add_product", "copy_matrix", "copy_vector", "dot"]


@kernel
def dot(a: F64 | I64, b: F64) -> float:
    """Return a'b."""
    total = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@kernel
def add_multiple(out: F64, factor: float, a: F64) -> None:
    """Add factor a to out."""
    for i in range(len(a)):
        out[i] += factor * a[i]


@kernel
def add_product(out: F64, factor: float, A: F64, B: F64) -> None:
    """Add factor A B to out."""
    for r in range(A.shape[0]):
        for k in range(A.shape[1]):
            add_multiple(out[r], factor * A[r, k], B[k])


@kernel
def copy_vector(out: F64, a: F64 | NDArray[np.float32]) -> None:
    """Write a over out."""
    for i in range(len(a)):
        out[i] = a[i]


@kernel
def copy_matrix(out: F64, A: F64) -> None:
    """Write A over out."""
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            out[i, j] = A[i, j]

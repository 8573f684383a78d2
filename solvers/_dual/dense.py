"""The dense kernels that the dual path is made of, behind one protocol: LAPACK here, torch in backends.

Matrices belong to the backend, in whatever form and place it likes; vectors are NumPy arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from scipy.linalg import blas, lapack

from pvq.arrays import F64, I64

from .linalg import lower_inverse

__all__ = ["DEVICES", "Dense", "Lapack", "Matrix", "Newton", "dense_on", "device_refusal"]

Matrix: TypeAlias = Any  # what a backend hands out is only ever handed back to it

DEVICES = ("cpu", "cuda", "torch-cpu")
ENTRIES_AT_ONCE = 2**24  # of the Newton matrix, between two chances to be interrupted


class Newton(NamedTuple):
    """What makes the Newton matrix (aa') o Z o Z + (gg') o Z + diag(ridge); Z is taken at the places."""

    places: I64  # increasing coordinates
    a: F64
    g: F64
    ridge: F64


class Dense(Protocol):
    """Cholesky factors and what the path does with them; the lower half of a symmetric matrix counts."""

    def load(self, A: F64) -> Matrix:
        """Return the backend's form of A, (n, n)."""
        ...

    def factor(self, A: Matrix, D: F64) -> Matrix | None:
        """Return the Cholesky factor of A - diag(D), None where that is not positive definite."""
        ...

    def solve(self, L: Matrix, b: F64) -> F64:
        """Solve LL'x = b for b of shape (n,) or (n, k)."""
        ...

    def log_diagonal(self, L: Matrix) -> float:
        """Return the sum of the logarithms of the diagonal."""
        ...

    def inverse(self, L: Matrix) -> Matrix:
        """Return (LL')^-1."""
        ...

    def diagonal(self, Z: Matrix) -> F64:
        """Return the diagonal, (n,)."""
        ...

    def newton(self, Z: Matrix, parts: Newton) -> Matrix | None:
        """Return the Cholesky factor of the Newton matrix, None where that is not positive definite."""
        ...

    def congruence(self, L: Matrix, delta: F64) -> Callable[[F64], F64]:
        """Return v -> L^-1 diag(delta) L^-T v."""
        ...


class Lapack:
    """NumPy arrays in Fortran order, SciPy's LAPACK and one compiled loop."""

    def load(self, A: F64) -> F64:
        """Return A in Fortran order."""
        return np.asfortranarray(A)

    def factor(self, A: F64, D: F64) -> F64 | None:
        """Return the Cholesky factor of A - diag(D); the other half is left as it is."""
        M = A.copy(order="F")
        M[np.diag_indices(len(M))] -= D
        return _factored(M)

    def solve(self, L: F64, b: F64) -> F64:
        """Solve LL'x = b."""
        return np.asarray(lapack.dpotrs(L, b, lower=1)[0]).reshape(b.shape)

    def log_diagonal(self, L: F64) -> float:
        """Return the sum of the logarithms of the diagonal."""
        return float(np.log(np.diagonal(L)).sum())

    def inverse(self, L: F64) -> F64:
        """Return the lower half of (LL')^-1."""
        return lower_inverse(L)

    def diagonal(self, Z: F64) -> F64:
        """Return the diagonal."""
        return np.diagonal(Z).copy()

    def newton(self, Z: F64, parts: Newton) -> F64 | None:
        """Assemble the lower half of the Newton matrix and factor it in place."""
        from .kernels import newton_lower

        N = len(parts.places)
        K = np.empty((N, N), order="F")
        columns = max(1, ENTRIES_AT_ONCE // N)
        for start in range(0, N, columns):
            newton_lower(Z, *parts, start, min(N, start + columns), K)
        return _factored(K)

    def congruence(self, L: F64, delta: F64) -> Callable[[F64], F64]:
        """Return v -> L^-1 diag(delta) L^-T v."""

        def apply(v: F64) -> F64:
            return np.asarray(blas.dtrsv(L, delta * blas.dtrsv(L, v, lower=1, trans=1), lower=1))

        return apply


def _factored(M: F64) -> F64 | None:
    factor, info = lapack.dpotrf(M, lower=1, clean=0, overwrite_a=1)
    return factor if info == 0 and np.isfinite(np.diagonal(factor)).all() else None


def device_refusal(device: str) -> str | None:
    """Return why a device cannot be used here, None if it can."""
    if device == "cpu":
        return None
    if find_spec("torch") is None:
        return f"device={device} needs torch, which is not installed"
    from pvq.solvers.backends.torch_linalg import refusal

    return refusal(device.removeprefix("torch-"))


def dense_on(device: str) -> Dense:
    """Return the backend of a device: "cpu" (LAPACK), "cuda" or "torch-cpu" (torch in float64)."""
    if device == "cpu":
        return Lapack()
    from ..backends.torch_linalg import TorchDense

    return TorchDense(device.removeprefix("torch-"))

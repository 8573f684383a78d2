"""The Gram matrix of a layer's inputs: checked once, shared by all rows of the layer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import lapack

from pvq.arrays import F64, Bool, as_f64

__all__ = ["Gram", "digest_of"]

ASYMMETRY = 1e-7  # of the largest entry: what float32 accumulation leaves
INDEFINITE = 1e-7  # of the largest eigenvalue: likewise
LARGEST, SMALLEST = 1e150, 1e-150  # beyond, products of H with squared weights leave the range of float64


def digest_of(*arrays: F64) -> str:
    """Return the SHA-256 of the arrays' shapes and little-endian float64 bytes, as 64 hex digits.

    >>> digest_of(np.zeros(2)) == digest_of(np.zeros((1, 2)))
    False
    """
    state = hashlib.sha256()
    for array in arrays:
        little = np.ascontiguousarray(array, dtype="<f8")
        state.update(repr(little.shape).encode())
        state.update(little.data)
    return state.hexdigest()


@dataclass(frozen=True, eq=False)
class Gram:
    """A symmetric positive semidefinite matrix; `Gram.of` is the way to make one.

    Parameters
    ----------
    matrix : (n, n), made symmetric where rounding left it asymmetric, then read-only

    Raises
    ------
    ValueError : not square, not finite, clearly asymmetric, a clearly negative eigenvalue, entries
        beyond 1e150
    """

    matrix: F64

    def __post_init__(self) -> None:
        H = _symmetric(as_f64(self.matrix, "H", ndim=2))
        _check_range(H)
        _check_semidefinite(H)
        H.setflags(write=False)
        object.__setattr__(self, "matrix", H)

    @staticmethod
    def of(H: ArrayLike) -> Gram:
        """Return the Gram of H; the last few matrices are kept, so that rows of a layer share one.

        >>> Gram.of(np.eye(2)) is Gram.of(np.eye(2))
        True
        """
        array = as_f64(H, "H", ndim=2)
        return _remember(array.tobytes(), array.shape)

    @cached_property
    def digest(self) -> str:
        """Content hash of the matrix."""
        return digest_of(self.matrix)

    @cached_property
    def alive(self) -> Bool:
        """Inputs that are not identically zero, shape (n,)."""
        return np.diagonal(self.matrix) > 0

    @cached_property
    def magnitude(self) -> F64:
        """Entrywise absolute values, for error bounds."""
        return np.abs(self.matrix)


@lru_cache(maxsize=3)
def _remember(content: bytes, shape: tuple[int, ...]) -> Gram:
    return Gram(np.frombuffer(content, dtype=np.float64).reshape(shape))


def _symmetric(H: F64) -> F64:
    if H.shape[0] != H.shape[1]:
        raise ValueError(f"H must be square, got shape {H.shape}")
    asymmetry, largest = float(np.abs(H - H.T).max()), float(np.abs(H).max())
    if asymmetry > ASYMMETRY * largest:
        raise ValueError(
            f"H must be symmetric, got |H - H'| up to {asymmetry:.3g} at entries up to {largest:.3g}"
        )
    return np.asarray(0.5 * H + 0.5 * H.T) if asymmetry else H.copy()


def _check_range(H: F64) -> None:
    largest = float(np.abs(H).max())
    if largest and not SMALLEST <= largest <= LARGEST:
        raise ValueError(f"H must have its largest entry in [1e-150, 1e150], got {largest:.3g}; rescale it")


def _check_semidefinite(H: F64) -> None:
    """Factor H with a ridge below the tolerance; only where that fails, ask for the eigenvalues."""
    n, scale = len(H), float(np.abs(H).max())
    if H[np.diagonal(H) <= 0].any():
        raise ValueError("H must be positive semidefinite, got a row that is not zero with diagonal <= 0")
    if scale == 0:
        return
    scaled = H / scale
    ridge = scaled + 0.01 * INDEFINITE * np.eye(n)
    if lapack.dpotrf(ridge, lower=1, clean=0, overwrite_a=1)[1] == 0:
        return
    eigenvalues = np.linalg.eigvalsh(scaled)
    if eigenvalues[0] < -INDEFINITE * max(eigenvalues[-1], 0.0):
        raise ValueError(
            f"H must be positive semidefinite, got smallest eigenvalue {eigenvalues[0] * scale:.6g} "
            f"(largest {eigenvalues[-1] * scale:.6g})"
        )

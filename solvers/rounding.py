"""Rounding-error bounds of float64 arithmetic, and the proof that a matrix is positive semidefinite.

Every operation obeys ``fl(a op b) = (a op b)(1 + e) + f`` with ``|e| <= 2**-53`` and ``|f| <= 2**-1022``
where the result underflows, even if it is flushed to zero. Sums of n products, in any order and with or
without fused multiply-add, then err by at most ``gamma(n) * sum |a_i b_i|`` (N. J. Higham, Accuracy and
Stability of Numerical Algorithms, 2nd ed., section 3.1).
"""

from __future__ import annotations

import weakref

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from pvq.arrays import F64

__all__ = ["TINY", "UNIT", "gamma", "proves_psd", "psd_shift", "subtract_down"]

UNIT = 2.0**-53
TINY = 2.0**-1022


def gamma(k: int) -> float:
    """Return k u / (1 - k u), which bounds the relative error of k roundings; u = 2**-53.

    >>> gamma(4) > 4 * 2.0**-53
    True
    """
    return k * UNIT / (1.0 - k * UNIT)


def subtract_down(a: F64, b: F64) -> F64:
    """Return a float at most the exact a - b, equal to it where it is a float.

    The rounding error of a - b is itself a float, found without error by Knuth's TwoSum.

    >>> float(subtract_down(np.array([1.0]), np.array([2.0**-60]))[0]) < 1
    True
    """
    difference = a - b
    back = difference - a
    error = (a - (difference - back)) - (b + back)
    return np.where(error < 0, np.nextafter(difference, -np.inf), difference)


def psd_shift(n: int) -> float:
    """Return c such that a completed Cholesky factorisation of A proves A + c diag(A) semidefinite.

    If Cholesky of A completes, its factor R satisfies ``|A - R'R|_ij <= phi sqrt(a_ii a_jj)`` with
    ``phi = gamma(n+1) / (1 - gamma(n+1))`` (J. Demmel, LAPACK working note 14, 1989; Higham, theorem 10.5;
    S. M. Rump, BIT 46, 2006), and ``z'(A - R'R)z <= phi (sum_i sqrt(a_ii) |z_i|)^2 <= phi n z' diag(A) z``.
    Twice as many roundings are allowed here, for libraries that multiply by reciprocals of pivots.
    """
    phi = gamma(2 * n + 16) / (1.0 - gamma(2 * n + 16))
    return phi * n


def proves_psd(H: F64, d: F64, slack: float = 1.0) -> bool:
    """Return True only if H - diag(d), taken as exact real numbers, is positive semidefinite.

    Parameters
    ----------
    H : (n, n) symmetric; off the diagonal it is used as it stands
    d : (n,); the rounding of H_ii - d_i is directed downwards
    slack : factor on the shift; above 1 it asks for more than a proof needs, so that a library that
        sums in another order still proves it

    >>> H = np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> proves_psd(H, np.array([0.99, 0.99])), proves_psd(H, np.array([1.01, 1.01]))
    (True, False)
    """
    if not (H.dtype == d.dtype == np.float64):
        return False  # other numbers may share the bytes of a diagonal that was proved
    key = (d.tobytes(), slack)
    if _PROVED.is_about(H, key):
        return True
    with np.errstate(all="ignore"):
        proved = _proves_psd(H, subtract_down(np.diagonal(H), d), slack)
    if proved:
        _PROVED.note(H, key)
    return proved


class _Proved:
    """The last proof that succeeded: rows of a layer may share a diagonal, and proofs cost n^3.

    Only of a matrix that is read-only and owns its numbers, so that it is still the one it was.
    """

    def __init__(self) -> None:
        self._last: tuple[weakref.ref[F64], tuple[bytes, float]] | None = None  # one name: threads see both

    def is_about(self, H: F64, key: tuple[bytes, float]) -> bool:
        last = self._last
        return last is not None and last[0]() is H and last[1] == key and not H.flags.writeable

    def note(self, H: F64, key: tuple[bytes, float]) -> None:
        if not H.flags.writeable and H.base is None:
            self._last = weakref.ref(H), key


_PROVED = _Proved()


def _proves_psd(H: F64, diagonal: F64, slack: float) -> bool:
    """Split off the rows without coupling, whose diagonal entry decides exactly, and factor the rest."""
    coupled = np.count_nonzero(H, axis=1) > (np.diagonal(H) != 0)
    if not np.isfinite(diagonal).all() or (diagonal[~coupled] < 0).any() or (diagonal[coupled] <= 0).any():
        return False
    return not coupled.any() or _cholesky_completes(H[np.ix_(coupled, coupled)], diagonal[coupled], slack)


def _cholesky_completes(H: F64, diagonal: F64, slack: float) -> bool:
    """Factor the shifted matrix after an exact scaling by powers of two that brings its diagonal into [1, 4).

    The scaled entries that underflow are off by less than 1e-300, which the added 1e-280 covers together
    with every underflow inside the factorisation (at most 2n * 2**-1022 per entry of A - R'R).
    """
    n = len(diagonal)
    half = (np.frexp(diagonal)[1] - 1) // 2
    A = _scaled(H, -half)
    scaled = np.ldexp(diagonal, -2 * half)
    shift = slack * psd_shift(n) * scaled * (1.0 + 16 * UNIT) + n * 1e-280
    A[np.arange(n), np.arange(n)] = np.nextafter(scaled - shift, -np.inf)
    factor, info = lapack.dpotrf(A, lower=1, clean=0, overwrite_a=0)
    pivots = np.diagonal(factor)
    return info == 0 and bool(np.isfinite(A).all() and np.isfinite(pivots).all() and (pivots > 0).all())


def _scaled(H: F64, exponents: NDArray[np.int32]) -> F64:
    """Return 2^e_i H_ij 2^e_j, rounded once: of two steps, the second may scale back what the first lost."""
    return np.asarray(np.ldexp(H, exponents[:, None] + exponents[None, :]))

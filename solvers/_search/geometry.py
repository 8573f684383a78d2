"""What the rows of a layer share: H in units of the level spacing, orders of decision and their factors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy.linalg import lapack

from pvq.arrays import F64, I64
from pvq.solvers._dual.linalg import cholesky, inverse
from pvq.solvers.gram import Gram

__all__ = ["ORDERS", "Factor", "Geometry"]

RIDGES = (0.0, 1e-12, 1e-10, 1e-8, 1e-6)  # of the diagonal, tried in turn where H is singular


@dataclass(frozen=True, eq=False)
class Factor:
    """A triangular factor of the ordered H; weights are decided from the last position to the first.

    Parameters
    ----------
    order : (m,) positions among the live inputs, the last one decided first
    R : (m, m) upper triangular, R'R is the ordered A, with a ridge where A is singular
    K : (m, m) lower triangular, zero diagonal: deciding position i away from its centre by delta moves
        the centres of the positions j < i, which are the best real values given what is decided, by
        K[i, j] delta
    """

    order: I64
    R: F64
    K: F64

    @cached_property
    def weights(self) -> F64:
        """Squared pivots: what a deviation from the centre costs, per position."""
        return np.ascontiguousarray(np.diagonal(self.R) ** 2)

    @staticmethod
    def of(A: F64, order: I64, ridge: float = 0.0) -> Factor | None:
        """Return the factor with that ridge, relative to the diagonal; None if there is none."""
        if len(order) == 0:
            return Factor(order, A, A)
        ordered = A[np.ix_(order, order)]
        if ridge:
            ordered = ordered + np.diag(ridge * np.diagonal(ordered))
        lower = cholesky(ordered)
        if lower is None or not (np.diagonal(lower) > 0).all():
            return None
        R = np.ascontiguousarray(lower.T)
        inverted, info = lapack.dtrtri(R, lower=0)
        K = np.ascontiguousarray(np.triu(inverted, 1).T) * np.diagonal(R)[:, None]
        return Factor(order, R, K) if info == 0 and np.isfinite(K).all() else None


@dataclass(frozen=True, eq=False)
class Geometry:
    """H of the live inputs in level-spacing units, scaled to a mean diagonal near 1.

    Parameters
    ----------
    live : (m,) inputs that are not identically zero
    shape : (m,) level spacing of each weight over the largest one
    size : power of two; H_ij shape_i shape_j = size A_ij up to rounding
    A : (m, m)
    """

    live: I64
    shape: F64
    size: float
    A: F64

    @staticmethod
    def of(gram: Gram, scales: F64 | None = None) -> Geometry:
        """Return the geometry of a Gram matrix and the scales of its weights; the last few are kept.

        >>> Geometry.of(Gram.of(np.diag([4.0, 0.0, 1.0]))).live
        array([0, 2])
        """
        return _remember(gram, b"" if scales is None else (scales / scales.max()).tobytes())

    def factor(self, name: str) -> Factor:
        """Return the factor in the order called `name`, with the least ridge that lets it exist."""
        if name not in self._factors:
            self._factors[name] = self._factored(ORDERS[name](self.A))
        return self._factors[name]

    @cached_property
    def _factors(self) -> dict[str, Factor]:
        return {}

    def _factored(self, order: I64) -> Factor:
        for ridge in RIDGES:
            factor = Factor.of(self.A, order, ridge)
            if factor is not None:
                return factor
        raise np.linalg.LinAlgError("H has no Cholesky factor even with a ridge of 1e-6 of its diagonal")


@lru_cache(maxsize=2)
def _remember(gram: Gram, shape: bytes) -> Geometry:
    live = np.flatnonzero(gram.alive)
    relative = np.frombuffer(shape)[live] if shape else np.ones(len(live))
    if len(live) == 0:
        return Geometry(live, relative, 1.0, np.zeros((0, 0)))
    H = gram.matrix[np.ix_(live, live)]
    size = 2.0 ** np.round(np.log2(np.mean(np.diagonal(H) * relative**2)))
    return Geometry(live, relative, float(size), (H / size) * relative[:, None] * relative[None, :])


def _natural(A: F64) -> I64:
    """First weight first: Babai's nearest plane as it stands (Combinatorica 6, 1986)."""
    return np.arange(len(A))[::-1].copy()


def _activation(A: F64) -> I64:
    """Largest diagonal entry first: the "act-order" of GPTQ (arXiv 2210.17323)."""
    return np.argsort(np.diagonal(A), kind="stable")


def _v_blast(A: F64) -> I64:
    """Best conditional determined first: of those left, the least entry of the inverse's diagonal.

    G. J. Foschini, Bell Labs Tech. J. 1 (1996); P. W. Wolniansky et al., ISSSE 1998.
    """
    from .order_kernels import greedy_pivots

    return greedy_pivots(_inverse(A), largest=False)[::-1].copy()


def _sqrd(A: F64) -> I64:
    """Sorted QR: least remaining norm decided last; D. Wuebben et al., Electronics Letters 37 (2001)."""
    from .order_kernels import greedy_pivots

    return greedy_pivots(A + _ridge(A), largest=False)


ORDERS: dict[str, Callable[[F64], I64]] = {
    "natural": _natural,
    "activation": _activation,
    "v-blast": _v_blast,
    "sqrd": _sqrd,
}


def _ridge(A: F64) -> F64:
    return np.diag(1e-10 * np.diagonal(A))


def _inverse(A: F64) -> F64:
    """Return the inverse of A with the least ridge for which it exists."""
    for ridge in RIDGES[1:]:
        lower = cholesky(A + np.diag(ridge * np.diagonal(A)))
        if lower is not None:
            return np.ascontiguousarray(inverse(lower))
    raise np.linalg.LinAlgError("H has no Cholesky factor even with a ridge of 1e-6 of its diagonal")

"""What all rows of a layer share: the normalised matrix and a point well inside H - D > 0."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np

from pvq.arrays import F64, I64
from pvq.solvers.gram import Gram
from pvq.solvers.rounding import psd_shift

from .linalg import cholesky, inverse, solve_factored

__all__ = ["Prepared", "prepare"]

_CACHE: WeakKeyDictionary[Gram, Prepared] = WeakKeyDictionary()
RIDGES = (0.0, 1e-12, 1e-10, 1e-8, 1e-6)  # tried in turn on the unit diagonal
CENTRE_STEPS = 12


@dataclass(frozen=True, eq=False)
class Prepared:
    """H without dead inputs, scaled to unit diagonal, with a ridge where it is singular.

    Parameters
    ----------
    alive : (m,) indices of the inputs that are not identically zero
    root : (m,) square roots of H_ii, so that H_ij = root_i root_j A_ij + rounding
    A : (m, m) correlation-like matrix plus `ridge` on the diagonal, positive definite
    ridge : what was added to the unit diagonal
    """

    alive: I64
    root: F64
    A: F64
    ridge: float

    @property
    def margin(self) -> float:
        """What d must give up, on the unit diagonal, for H - D to be proved semidefinite."""
        return self.ridge + 3.0 * psd_shift(len(self.root))

    @cached_property
    def inside(self) -> F64:
        """A strictly feasible diagonal, (m,): D^-1 = 2 diag(row sums of |A^-1|) dominates A^-1."""
        factor = cholesky(self.A)
        assert factor is not None, "the ridge was chosen so that A is positive definite"
        return np.asarray(0.5 / np.abs(inverse(factor)).sum(axis=1))

    @cached_property
    def centre(self) -> F64:
        """The analytic centre argmax logdet(A - D) + sum log d, (m,), to within a Newton decrement of 0.1.

        Gradient 1/d - diag Z, negative Hessian Z o Z + diag(1/d^2), with Z = (A - D)^-1; damped Newton steps
        of length 1 / (1 + decrement) stay feasible, because the barrier is self-concordant.
        """
        d = self.inside
        for _ in range(CENTRE_STEPS):
            factor = cholesky(self.A - np.diag(d))
            assert factor is not None, "damped Newton steps stay feasible"
            Z = inverse(factor)
            gradient = np.asarray(1.0 / d - np.diagonal(Z))
            curvature = cholesky(Z * Z + np.diag(1.0 / d**2))
            if curvature is None:
                break
            step = solve_factored(curvature, gradient)
            decrement = max(0.0, float(gradient @ step)) ** 0.5
            if decrement < 0.1:
                break
            d = self._damped(d, step / (1.0 + decrement))
        return d

    def _damped(self, d: F64, step: F64) -> F64:
        """Return d + step, halved until floating point agrees that it is feasible."""
        for _ in range(40):
            if (d + step > 0).all() and cholesky(self.A - np.diag(d + step)) is not None:
                return d + step
            step = 0.5 * step
        return d


def prepare(gram: Gram) -> Prepared:
    """Return what the rows of a layer share, made once per Gram and kept while it lives."""
    if gram not in _CACHE:
        _CACHE[gram] = _prepare(gram)
    return _CACHE[gram]


def _prepare(gram: Gram) -> Prepared:
    alive = np.flatnonzero(gram.alive)
    root = np.sqrt(np.diagonal(gram.matrix)[alive])
    A = gram.matrix[np.ix_(alive, alive)] / root[:, None] / root[None, :]
    eye = np.eye(len(alive))
    for ridge in (*RIDGES, _sure_ridge(A)):
        if len(alive) == 0 or _is_definite(A + ridge * eye):
            break
    return Prepared(alive, root, np.asfortranarray(A + ridge * eye), ridge)


def _sure_ridge(A: F64) -> float:
    """Return a ridge for an A that rounding of H left clearly indefinite once its diagonal is 1."""
    return 1e-3 + 2.0 * float(np.abs(A).sum(axis=1).max(initial=0.0))


def _is_definite(A: F64) -> bool:
    """Return whether a Cholesky factorisation completes with room for rounding."""
    n = len(A)
    return cholesky(A - 4.0 * psd_shift(n) * np.eye(n)) is not None

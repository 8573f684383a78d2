"""What all rows of a layer share: the normalised matrix and a point well inside H - D > 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np

from pvq.arrays import F64, I64
from pvq.solvers.gram import Gram
from pvq.solvers.rounding import psd_shift

from .dense import Lapack, Newton
from .linalg import cholesky, inverse

__all__ = ["Prepared", "prepare"]

_CACHE: WeakKeyDictionary[Gram, Prepared] = WeakKeyDictionary()
RIDGES = (0.0, 1e-12, 1e-10, 1e-8, 1e-6)  # tried in turn on the unit diagonal
FIRM = 3e-5
CENTRE_STEPS, CENTRED = 40, 0.5


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
    _found: list[F64] = field(default_factory=list, init=False, repr=False)

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
    def ridged(self) -> tuple[Prepared, ...]:
        """This, and where A is singular also the same with the ridge FIRM.

        The larger ridge lets D be more negative after it is given back: worth more for few levels and rank
        deficiency, less for many levels and repeated inputs.
        """
        more = FIRM - self.ridge
        if self.ridge == 0 or more <= 0:
            return (self,)
        A = np.asfortranarray(self.A + more * np.eye(len(self.root)))
        return self, Prepared(self.alive, self.root, A, FIRM)

    @property
    def centre(self) -> F64:
        """The analytic centre argmax logdet(A - D) + sum log d, (m,), to within a Newton decrement of 0.5."""
        return self.centre_within(lambda: False)

    def centre_within(self, expired: Callable[[], bool]) -> F64:
        """Return the analytic centre, or where time runs out the last point on the way to it.

        Gradient 1/d - diag Z, negative Hessian Z o Z + diag(1/d^2), with Z = (A - D)^-1. The centre is
        found once; a point on the way is strictly feasible too, and is not kept.
        """
        if self._found:
            return self._found[0]
        dense, d = Lapack(), self.inside
        for _ in range(CENTRE_STEPS):
            if expired():
                return d
            step, decrement = self._newton(dense, d)
            if decrement < CENTRED:
                break
            d = self._moved(dense, d, step)
        self._found.append(d)
        return d

    def _newton(self, dense: Lapack, d: F64) -> tuple[F64, float]:
        """Return the Newton step of the barrier and its decrement; no step where K is not definite."""
        L = dense.factor(self.A, d)
        assert L is not None, "steps stay feasible"
        Z, one = dense.inverse(L), np.ones(len(d))
        curvature = dense.newton(Z, Newton(np.arange(len(d)), one, 0.0 * one, 1.0 / d**2))
        if curvature is None:
            return 0.0 * one, 0.0
        gradient = 1.0 / d - dense.diagonal(Z)
        step = dense.solve(curvature, gradient)
        return step, max(0.0, float(gradient @ step)) ** 0.5

    def _moved(self, dense: Lapack, d: F64, step: F64) -> F64:
        """Return the best of a few points along the step: much of its length is good far from the centre."""
        best, at_best, length = d, -np.inf, min(1.0, 0.9 / max(1e-300, float(np.max(-step / d))))
        for _ in range(40):
            value = _barrier(dense, self.A, d + length * step)
            if value < at_best:
                break
            if value > at_best:
                best, at_best = d + length * step, value
            length *= 0.6
        return best


def _barrier(dense: Lapack, A: F64, d: F64) -> float:
    """Return logdet(A - D) + sum log d, -inf outside."""
    factor = dense.factor(A, d) if (d > 0).all() else None
    return -np.inf if factor is None else 2.0 * dense.log_diagonal(factor) + float(np.log(d).sum())


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

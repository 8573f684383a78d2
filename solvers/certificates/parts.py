"""Dual certificates: two numbers per weight that prove a lower bound of the error.

Any diagonal D = diag(d) with M = H - D positive semidefinite splits the error of x = w + v into a convex
part, bounded below by its tangent at any u, and a part that is a sum over weights:

    v'Hv = v'Mv + sum_i d_i v_i^2 >= -u'Mu + sum_i [ d_i v_i^2 + 2 (Mu)_i v_i ].

The bracket is then minimised exactly on what each weight may be. No inverse is needed and neither d nor u
must be optimal: a wrong pair proves less, never something false.

All evaluations are in float64 with an a-priori bound of their rounding error subtracted (`rounding.gamma`);
positive semidefiniteness is proved by a shifted Cholesky factorisation (`rounding.proves_psd`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import fsum
from typing import Any, NamedTuple, Self

import numpy as np

from pvq.arrays import F64
from pvq.solvers.problem import LayerProblem
from pvq.solvers.rounding import TINY, gamma

__all__ = ["Multipliers", "Tangent", "bracket", "sum_down", "tangent_of"]


@dataclass(frozen=True, eq=False)
class Multipliers:
    """What both certificates hold: the problem they are about and two numbers per weight.

    Parameters
    ----------
    problem : content hash of H and w
    d : (n,) diagonal that is split off, in units of H
    u : (n,) tangent point, an estimate of x - w, in weight units
    """

    problem: str
    d: F64
    u: F64

    def is_about(self, problem: LayerProblem) -> bool:
        """Return whether the numbers are finite floats, of the problem's size, and made for it."""
        return (
            self.problem == problem.digest
            and self.d.shape == self.u.shape == problem.w.shape
            and self.d.dtype == self.u.dtype == np.float64
            and bool(np.isfinite(self.d).all() and np.isfinite(self.u).all())
        )

    def arrays(self) -> dict[str, F64]:
        """Return what is stored: d and u."""
        return {"d": self.d, "u": self.u}

    def facts(self) -> dict[str, Any]:
        """Return what is stored beside the arrays: nothing."""
        return {}

    @classmethod
    def restore(cls, problem: str, arrays: Mapping[str, F64], facts: Mapping[str, Any]) -> Self:
        """Return the certificate that was stored."""
        return cls(problem, arrays["d"], arrays["u"])


class Tangent(NamedTuple):
    """g = Mu with a bound of its error, and an upper bound of u'Mu."""

    g: F64
    error: F64
    quadratic: float


def tangent_of(problem: LayerProblem, d: F64, u: F64, slack: float) -> Tangent:
    """Evaluate the linear part.

    Each g_i is a sum of n + 1 products, so it errs by at most gamma(n + 2) (|H||u| + |d u|)_i; the allowance
    of 2n + 16 roundings also covers that this bound is itself evaluated in floating point.
    """
    size, n = np.abs(u), problem.n
    g = problem.H @ u - d * u
    allowance = slack * gamma(2 * n + 16)
    error = allowance * (problem.gram.magnitude @ size + np.abs(d) * size) + slack * 4 * n * TINY
    quadratic = float(u @ g) + allowance * float(size @ np.abs(g)) + 1.01 * float(size @ error)
    return Tangent(g, error, float(np.nextafter(quadratic + 8 * n * TINY, np.inf)))


def bracket(a: F64, d: F64, g: F64, error: F64, slack: float) -> F64:
    """Return a lower bound of d a^2 + 2 g a where g is known up to `error`, per row of a.

    At most 8 roundings reach the result, that of a = level - w included; 16 are allowed.
    """
    size = np.abs(a)
    square, linear = d[:, None] * a * a, 2.0 * g[:, None] * a
    doubt = slack * gamma(16) * (np.abs(square) + np.abs(linear)) + 2.02 * error[:, None] * size
    return square + linear - doubt - 16 * TINY * (2.0 + size)


def sum_down(terms: list[float]) -> float:
    """Return a float at most the exact sum; -inf where a term is not finite."""
    if not np.isfinite(terms).all():
        return -np.inf
    try:
        return float(np.nextafter(fsum(terms), -np.inf))
    except OverflowError:
        return -np.inf

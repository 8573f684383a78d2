"""The logistic law of weights."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial, log

import numpy as np
from scipy.special import expit, logit, zeta

from pvq.arrays import F64
from pvq.theory.distribution import DISTRIBUTIONS
from pvq.theory.magnitude import check_magnitude
from pvq.theory.symmetric import symmetric_moment

__all__ = ["Logistic"]

_SPLIT = 1.0  # below, Gauss-Legendre; above, the series in exp(-x)
_TERMS = 42  # exp(-42) is below the spacing of float64
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)  # poles at +-i pi: exact to rounding on [0, 1]


@DISTRIBUTIONS.register("logistic")
@dataclass(frozen=True)
class Logistic:
    """Logistic law with mean zero, P(X <= x) = 1 / (1 + exp(-x/s)).

    Parameters
    ----------
    s : scale, in weight units; the variance is (pi s)^2 / 3

    >>> round(float(Logistic().partial_moment(2, -np.inf, np.inf)), 12)  # pi^2 / 3
    3.289868133696
    """

    s: float = 1.0

    def __post_init__(self) -> None:
        check_magnitude("s", self.s)

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Points where the density is not smooth: none."""
        return ()

    def partial_moment(self, order: int, lo: F64, hi: F64) -> F64:
        """Return the integral of x**order over (lo, hi].

        From p(x) = sum of (-1)^(n-1) n exp(-n x) the tail moments are
        sum of (-1)^(n-1) n^-k Gamma(k+1, n x); near zero the density is integrated.
        """
        a, b = np.asarray(lo) / self.s, np.asarray(hi) / self.s
        return self.s**order * symmetric_moment(order, a, b, _body, _tail, log(3) + order)

    def density(self, x: F64) -> F64:
        """Return p(x)."""
        return _standard_density(np.asarray(x) / self.s) / self.s

    def quantile(self, p: F64) -> F64:
        """Return the p-quantile."""
        return np.asarray(self.s * logit(np.asarray(p, float)))

    def sample(self, rng: np.random.Generator, n: int) -> F64:
        """Return n draws."""
        return rng.logistic(0.0, self.s, n)


def _standard_density(x: F64) -> F64:
    return np.asarray(expit(x) * expit(-x))


def _half_moment(order: int) -> float:
    """Return E |X|^k / 2 = k! eta(k), with Dirichlet's eta(0) = 1/2, eta(1) = log 2."""
    if order < 2:
        return (0.5, log(2))[order]
    return factorial(order) * (1 - 2.0 ** (1 - order)) * float(zeta(order))


def _body(order: int, x: F64) -> F64:
    near = x <= _SPLIT
    out = np.empty_like(x)
    half = 0.5 * x[near][:, None]
    points = half * (1 + _NODES)
    out[near] = (half * points**order * _standard_density(points)) @ _WEIGHTS
    out[~near] = _half_moment(order) - _series(order, x[~near])
    return out


def _tail(order: int, x: F64) -> F64:
    far = x >= _SPLIT
    out = np.empty_like(x)
    out[far] = _series(order, x[far])
    out[~far] = _half_moment(order) - _body(order, x[~far])
    return out


def _series(order: int, x: F64) -> F64:
    """Return the tail moment for x >= 1: Gamma(k+1, y) = k! exp(-y) (1 + y + ... + y^k/k!)."""
    total = np.zeros_like(x)
    finite = np.isfinite(x)
    y = np.where(finite, x, 0.0)
    for n in range(_TERMS, 0, -1):
        ratio = sum((factorial(order) / factorial(j) * (n * y) ** j for j in range(order + 1)), np.zeros(()))
        total += (-1) ** (n - 1) * float(n) ** -order * np.exp(-n * y) * ratio
    return np.where(finite, total, 0.0)

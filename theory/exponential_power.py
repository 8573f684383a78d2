"""Partial moments of the density exp(-|x|**beta): Laplace at beta 1, Gauss at beta 2."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gamma, gammainc, gammaincc, gammainccinv, gammaincinv

from pvq.arrays import F64
from pvq.theory.symmetric import symmetric_moment

__all__ = ["density", "moment", "quantile"]


def moment(beta: float, power: float, order: int, lo: ArrayLike, hi: ArrayLike) -> F64:
    """Return the integral of x**order over (lo, hi] under density c exp(-|x|**beta / power).

    With t = x**beta the half moments are incomplete gamma functions:
    integral of x**k over (0, x] = Gamma((k+1)/beta) / (2 Gamma(1/beta)) * P((k+1)/beta, x**beta).

    >>> bool(abs(moment(1.0, 1.0, 2, -np.inf, np.inf) - 2.0) < 1e-15)
    True
    """
    scale = power ** (1 / beta)
    a, b = np.asarray(lo) / scale, np.asarray(hi) / scale
    body, tail = partial(_body, beta), partial(_tail, beta)
    cut = float(gammaincinv((order + 1) / beta, 0.5) ** (1 / beta))
    return float(power ** (order / beta)) * symmetric_moment(order, a, b, body, tail, cut)


def density(beta: float, scale: float, x: F64) -> F64:
    """Return c exp(-|x/scale|**beta), c = beta / (2 scale Gamma(1/beta))."""
    c = beta / (2 * scale * float(gamma(1 / beta)))
    with np.errstate(over="ignore"):  # exp(-inf) is the density so far out
        return np.asarray(c * np.exp(-(np.abs(np.asarray(x) / scale) ** beta)))


def quantile(beta: float, scale: float, p: F64) -> F64:
    """Return the p-quantile, from the nearer tail."""
    p = np.asarray(p, float)
    outside = 2 * np.minimum(p, 1 - p)
    size = np.where(outside > 0.5, gammaincinv(1 / beta, 1 - outside), gammainccinv(1 / beta, outside))
    return scale * np.copysign(size ** (1 / beta), p - 0.5)


def _constant(beta: float, order: int) -> float:
    return float(gamma((order + 1) / beta) / (2 * gamma(1 / beta)))


def _body(beta: float, order: int, x: F64) -> F64:
    with np.errstate(over="ignore"):  # x**beta = inf is the whole half
        return np.asarray(_constant(beta, order) * gammainc((order + 1) / beta, x**beta), np.float64)


def _tail(beta: float, order: int, x: F64) -> F64:
    with np.errstate(over="ignore"):
        return np.asarray(_constant(beta, order) * gammaincc((order + 1) / beta, x**beta), np.float64)

"""Student's law of weights, the model of heavy tails."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import sqrt

import numpy as np
from scipy.special import beta, betainc, betaincinv, stdtrit

from pvq.arrays import F64
from pvq.theory.distribution import DISTRIBUTIONS
from pvq.theory.magnitude import check_magnitude
from pvq.theory.symmetric import symmetric_moment

__all__ = ["StudentT"]

_TERMS = 64  # the series below converge like n^2 2^-n


@DISTRIBUTIONS.register("student-t")
@dataclass(frozen=True)
class StudentT:
    """Student's t law with mean zero; its moment of order k exists for k < nu.

    Parameters
    ----------
    nu : degrees of freedom, any positive number
    scale : factor on the standard law, in weight units

    >>> t = StudentT(nu=2)
    >>> float(t.partial_moment(2, -np.inf, np.inf))
    inf
    >>> round(float(t.partial_moment(2, -1.0, 1.0)), 12)  # 2 asinh(1/sqrt 2) - 2/sqrt 3
    0.162257358546
    """

    nu: float
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_magnitude("nu", self.nu)
        check_magnitude("scale", self.scale)

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Points where the density is not smooth: none."""
        return ()

    def partial_moment(self, order: int, lo: F64, hi: F64) -> F64:
        """Return the integral of x**order over (lo, hi].

        With z = x^2/(nu + x^2) the half moments are incomplete beta functions: the integral of x^k over
        (0, x] is nu^(k/2) / (2 B(1/2, nu/2)) * B_z((k+1)/2, (nu-k)/2), also where (nu-k)/2 is negative.
        """
        a, b = np.asarray(lo) / self.scale, np.asarray(hi) / self.scale
        body, tail = partial(_body, self.nu), partial(_tail, self.nu)
        return self.scale**order * symmetric_moment(order, a, b, body, tail, _cut(self.nu, order))

    def density(self, x: F64) -> F64:
        """Return p(x)."""
        x = np.asarray(x) / self.scale
        peak = 1 / (np.sqrt(self.nu) * float(beta(0.5, self.nu / 2)) * self.scale)
        return np.asarray(peak * np.exp(-0.5 * (self.nu + 1) * np.log1p(x * x / self.nu)))

    def quantile(self, p: F64) -> F64:
        """Return the p-quantile."""
        p = np.asarray(p, float)
        outside = np.minimum(p, 1 - p)  # the lower tail keeps its digits
        size = np.where(outside > 0, -stdtrit(self.nu, outside), np.inf)  # stdtrit(nu, 0) is +inf
        return self.scale * np.where(p == 0.5, 0.0, np.copysign(size, p - 0.5))

    def sample(self, rng: np.random.Generator, n: int) -> F64:
        """Return n draws."""
        return self.scale * rng.standard_t(self.nu, n)


def _shares(nu: float, x: F64) -> tuple[F64, F64]:
    """Return z = x^2/(nu + x^2) and 1 - z, each to full relative accuracy."""
    with np.errstate(over="ignore", divide="ignore"):
        q = (x / np.sqrt(nu)) ** 2
        return 1 / (1 + 1 / q), 1 / (1 + q)


def _factor(nu: float, order: int) -> float:
    return float(nu ** (order / 2) / (2 * beta(0.5, nu / 2)))


def _cut(nu: float, order: int) -> float:
    """Return the x at which body and tail are equal; inf where the tail is infinite."""
    if order >= nu:
        return float("inf")
    y = float(betaincinv((nu - order) / 2, (order + 1) / 2, 0.5))
    return sqrt(nu * (1 - y) / y) if y > 0 else float("inf")


def _body(nu: float, order: int, x: F64) -> F64:
    a, b = (order + 1) / 2, (nu - order) / 2
    z, y = _shares(nu, x)
    if b > 0:
        beyond = betainc(b, a, y)
        share = np.where(beyond < 0.5, 1 - beyond, betainc(a, b, z))  # near z = 1, y has the digits
        return np.asarray(_factor(nu, order) * float(beta(a, b)) * share, np.float64)
    return _factor(nu, order) * _incomplete_beta(a, b, z, y)


def _tail(nu: float, order: int, x: F64) -> F64:
    a, b = (order + 1) / 2, (nu - order) / 2
    _, y = _shares(nu, x)
    return _factor(nu, order) * float(beta(a, b)) * betainc(b, a, y)


def _incomplete_beta(a: float, b: float, z: F64, y: F64) -> F64:
    """Return B_z(a, b), the integral of s^(a-1) (1-s)^(b-1) over (0, z], for a > 0 and any b <= 0; y = 1 - z.

    Up to 1/2 the factor (1-s)^(b-1) is expanded about 0; beyond, s^(a-1) is expanded about 1. Powers of y are
    integrated as y^e expm1(...)/e, so that b = 0, -1, ..., where a logarithm stands, is nothing special.
    """
    below, n = np.minimum(z, 0.5), np.arange(_TERMS)
    rising_b, rising_a = _coefficients(1 - b), _coefficients(1 - a)
    head = below**a * _polynomial(rising_b / (n + a), below)
    beyond = z > 0.5
    head[beyond] += _from_half(b, rising_a, y[beyond])
    return head


def _coefficients(c: float) -> F64:
    """Return (c)_n / n! for n = 0, 1, ...: the binomial series of (1 - s)^-c."""
    n = np.arange(1, _TERMS)
    return np.concatenate([[1.0], np.cumprod((c + n - 1) / n)])


def _polynomial(coefficients: F64, x: F64) -> F64:
    value = np.zeros_like(x)
    for c in coefficients[::-1]:
        value = value * x + c
    return value


def _from_half(b: float, coefficients: F64, y: F64) -> F64:
    """Return the sum of c_n times the integral of t^(n+b-1) over [y, 1/2]."""
    total = np.zeros_like(y)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):  # y = 0
        log_ratio = np.log(2 * y)
        for n, c in enumerate(coefficients):
            e = n + b
            total += c * (-log_ratio if e == 0 else -(0.5**e) * np.expm1(e * log_ratio) / e)
    return np.where((y == 0) & (b <= 0), np.inf, total)

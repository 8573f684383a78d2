"""The Gaussian law of weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from pvq.arrays import F64
from pvq.theory.distribution import DISTRIBUTIONS

__all__ = ["Gaussian"]


@DISTRIBUTIONS.register("gaussian")
@dataclass(frozen=True)
class Gaussian:
    """Normal law with mean zero.

    Parameters
    ----------
    sigma : standard deviation, in weight units
    """

    sigma: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.sigma < np.inf:
            raise ValueError(f"sigma must be positive and finite, got {self.sigma}")

    def partial_moment(self, order: int, lo: F64, hi: F64) -> F64:
        """Return the integral of x**order over (lo, hi]: M_k = (k-1) M_(k-2) - [x^(k-1) phi]."""
        a, b = np.asarray(lo) / self.sigma, np.asarray(hi) / self.sigma
        return self.sigma**order * _standard(order, a, b)

    def density(self, x: F64) -> F64:
        """Return p(x)."""
        return _phi(np.asarray(x) / self.sigma) / self.sigma

    def quantile(self, p: F64) -> F64:
        """Return the p-quantile."""
        return np.asarray(self.sigma * ndtri(p))

    def sample(self, rng: np.random.Generator, n: int) -> F64:
        """Return n draws."""
        return rng.normal(0.0, self.sigma, n)


def _phi(x: F64) -> F64:
    return np.asarray(np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi))


def _mass(a: F64, b: F64) -> F64:
    """P(a < X <= b), from the tail that loses no digits."""
    right = np.asarray(a) > 0
    return np.where(right, ndtr(-a) - ndtr(-b), ndtr(b) - ndtr(a))


def _standard(order: int, a: F64, b: F64) -> F64:
    if order == 0:
        return _mass(a, b)
    boundary = _power_phi(order - 1, b) - _power_phi(order - 1, a)
    return -boundary if order == 1 else (order - 1) * _standard(order - 2, a, b) - boundary


def _power_phi(k: int, x: F64) -> F64:
    """x**k phi(x), zero at infinity."""
    finite = np.where(np.isfinite(x), x, 0.0)
    return np.where(np.isfinite(x), finite**k * _phi(finite), 0.0)

"""The Gaussian law of weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from pvq.arrays import F64
from pvq.theory.distribution import DISTRIBUTIONS
from pvq.theory.exponential_power import moment
from pvq.theory.magnitude import check_magnitude

__all__ = ["Gaussian"]


@DISTRIBUTIONS.register("gaussian")
@dataclass(frozen=True)
class Gaussian:
    """Normal law with mean zero.

    Parameters
    ----------
    sigma : standard deviation, in weight units

    >>> float(Gaussian(2.0).partial_moment(2, -np.inf, np.inf))
    4.0
    """

    sigma: float = 1.0

    def __post_init__(self) -> None:
        check_magnitude("sigma", self.sigma)

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Points where the density is not smooth: none."""
        return ()

    def partial_moment(self, order: int, lo: F64, hi: F64) -> F64:
        """Return the integral of x**order over (lo, hi], by incomplete gamma functions."""
        return moment(2.0, 2 * self.sigma**2, order, lo, hi)

    def density(self, x: F64) -> F64:
        """Return p(x)."""
        z = np.asarray(x) / self.sigma
        return np.asarray(np.exp(-0.5 * z * z) / (np.sqrt(2 * np.pi) * self.sigma))

    def quantile(self, p: F64) -> F64:
        """Return the p-quantile."""
        return self.sigma * ndtri(np.asarray(p, float))

    def sample(self, rng: np.random.Generator, n: int) -> F64:
        """Return n draws."""
        return rng.normal(0.0, self.sigma, n)

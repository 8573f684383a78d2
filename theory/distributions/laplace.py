"""Laplace's two-sided exponential law of weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.theory import exponential_power
from pvq.theory.distribution import DISTRIBUTIONS
from pvq.theory.magnitude import check_magnitude

__all__ = ["Laplace"]


@DISTRIBUTIONS.register("laplace")
@dataclass(frozen=True)
class Laplace:
    """Two-sided exponential law with mean zero, density exp(-|x|/b) / 2b.

    Parameters
    ----------
    b : mean magnitude, in weight units; the variance is 2 b^2

    >>> round(float(Laplace(2.0).partial_moment(2, -np.inf, np.inf)), 12)
    8.0
    """

    b: float = 1.0

    def __post_init__(self) -> None:
        check_magnitude("b", self.b)

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Points where the density is not smooth: its peak."""
        return (0.0,)

    def partial_moment(self, order: int, lo: F64, hi: F64) -> F64:
        """Return the integral of x**order over (lo, hi], by incomplete gamma functions."""
        return exponential_power.moment(1.0, self.b, order, lo, hi)

    def density(self, x: F64) -> F64:
        """Return p(x)."""
        return exponential_power.density(1.0, self.b, x)

    def quantile(self, p: F64) -> F64:
        """Return the p-quantile."""
        return exponential_power.quantile(1.0, self.b, p)

    def sample(self, rng: np.random.Generator, n: int) -> F64:
        """Return n draws."""
        return rng.laplace(0.0, self.b, n)

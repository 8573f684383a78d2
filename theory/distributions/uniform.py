"""The uniform law of weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.theory.distribution import DISTRIBUTIONS
from pvq.theory.magnitude import check_magnitude
from pvq.theory.symmetric import check_order

__all__ = ["Uniform"]


@DISTRIBUTIONS.register("uniform")
@dataclass(frozen=True)
class Uniform:
    """Uniform law on [low, high].

    Parameters
    ----------
    low, high : ends, in weight units

    >>> round(float(Uniform().partial_moment(2, -np.inf, np.inf)), 12)
    0.333333333333
    """

    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not -np.inf < self.low < self.high < np.inf:
            raise ValueError(f"low < high must hold and both be finite, got low={self.low}, high={self.high}")
        check_magnitude("the larger of |low| and |high|", max(-self.low, self.high))

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Points where the density is not smooth: both ends."""
        return (self.low, self.high)

    def partial_moment(self, order: int, lo: F64, hi: F64) -> F64:
        """Return (b^(k+1) - a^(k+1)) / ((k+1)(high - low)), written as (b-a)(a^k + ... + b^k)."""
        check_order(order)
        a, b = self._inside(lo), self._inside(hi)
        powers = sum((a**i * b ** (order - i) for i in range(order + 1)), np.zeros(()))
        return np.asarray((b - a) / (self.high - self.low) * powers / (order + 1))

    def cell_error(self, u: F64, lo: F64, hi: F64) -> F64:
        """Return the integral of (x - u)^2 over (lo, hi], which in terms of x - u cancels nowhere."""
        lo, hi = self._inside(lo), self._inside(hi)
        a, b = lo - u, hi - u
        return np.asarray((hi - lo) * (a * a + a * b + b * b) / (3 * (self.high - self.low)))

    def density(self, x: F64) -> F64:
        """Return p(x)."""
        x = np.asarray(x)
        return np.where((x >= self.low) & (x <= self.high), 1 / (self.high - self.low), 0.0)

    def quantile(self, p: F64) -> F64:
        """Return the p-quantile."""
        p = np.asarray(p, float)
        return (1 - p) * self.low + p * self.high

    def sample(self, rng: np.random.Generator, n: int) -> F64:
        """Return n draws."""
        return rng.uniform(self.low, self.high, n)

    def _inside(self, x: F64) -> F64:
        return np.asarray(np.clip(np.asarray(x, float), self.low, self.high))

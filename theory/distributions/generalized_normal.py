"""The generalized normal (exponential power) law of weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.theory import exponential_power
from pvq.theory.distribution import DISTRIBUTIONS
from pvq.theory.magnitude import check_magnitude

__all__ = ["GeneralizedNormal"]


@DISTRIBUTIONS.register("generalized-normal")
@dataclass(frozen=True)
class GeneralizedNormal:
    """Law with density proportional to exp(-|x/alpha|^beta): Laplace at beta 1, Gauss at 2, uniform at inf.

    Parameters
    ----------
    beta : shape, in [0.05, 100]; smaller means heavier tails
    alpha : scale, in weight units

    >>> round(float(GeneralizedNormal(beta=2.0).partial_moment(2, -np.inf, np.inf)), 12)
    0.5
    """

    beta: float
    alpha: float = 1.0

    def __post_init__(self) -> None:
        if not 0.05 <= self.beta <= 100:  # Gamma(5/beta) leaves float64 below 0.03
            raise ValueError(f"beta must lie in [0.05, 100], got {self.beta}")
        check_magnitude("alpha", self.alpha)

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Points where the density is not smooth: zero, unless beta is an even integer."""
        return () if self.beta % 2 == 0 else (0.0,)

    def partial_moment(self, order: int, lo: F64, hi: F64) -> F64:
        """Return the integral of x**order over (lo, hi], by incomplete gamma functions."""
        a, b = np.asarray(lo) / self.alpha, np.asarray(hi) / self.alpha  # alpha^beta could overflow
        return self.alpha**order * exponential_power.moment(self.beta, 1.0, order, a, b)

    def density(self, x: F64) -> F64:
        """Return p(x)."""
        return exponential_power.density(self.beta, self.alpha, x)

    def quantile(self, p: F64) -> F64:
        """Return the p-quantile."""
        return exponential_power.quantile(self.beta, self.alpha, p)

    def sample(self, rng: np.random.Generator, n: int) -> F64:
        """Return n draws: |X/alpha|^beta has the gamma law of shape 1/beta."""
        size = rng.gamma(1 / self.beta, 1.0, n) ** (1 / self.beta)
        return np.asarray(self.alpha * size * rng.choice([-1.0, 1.0], n))

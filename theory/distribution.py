"""What theory asks of a law of weights: partial moments, quantiles, samples."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from pvq.arrays import F64
from pvq.registry import Registry

__all__ = ["DISTRIBUTIONS", "WeightDistribution", "kurtosis", "variance"]


@runtime_checkable
class WeightDistribution(Protocol):
    """A law of weights, symmetric or not, possibly with atoms."""

    def partial_moment(self, order: int, lo: F64, hi: F64) -> F64:
        """Return the integral of x**order over (lo, hi] under the law, elementwise.

        Parameters
        ----------
        order : 0 to 4
        lo, hi : broadcastable edges, lo <= hi, infinite ones allowed; an atom at `hi` counts, at `lo` not

        Raises
        ------
        ValueError : an order outside 0 to 4
        """
        ...

    def quantile(self, p: F64) -> F64:
        """Return the smallest x with P(X <= x) >= p, elementwise; p in [0, 1]."""
        ...

    def sample(self, rng: np.random.Generator, n: int) -> F64:
        """Return n independent draws, shape (n,)."""
        ...


DISTRIBUTIONS: Registry[WeightDistribution] = Registry(
    "distribution", "pvq.theory.distributions", WeightDistribution
)


def variance(law: WeightDistribution) -> float:
    """Return E(X - EX)^2 in squared weight units; inf where it does not exist.

    >>> from pvq.theory.distributions.gaussian import Gaussian
    >>> variance(Gaussian())
    1.0
    """
    m1, m2 = (_moment(law, order) for order in (1, 2))
    return m2 - m1 * m1 if np.isfinite(m2) else float("inf")


def kurtosis(law: WeightDistribution) -> float:
    """Return Pearson's kurtosis E(X - m)^4 / (E(X - m)^2)^2, 3 for a Gaussian.

    It is inf where the fourth moment is, and nan where the law is constant (up to rounding of the moments).

    >>> from pvq.theory.distributions.gaussian import Gaussian
    >>> round(kurtosis(Gaussian()), 12)
    3.0
    """
    m1, m2, m3, m4 = (_moment(law, order) for order in (1, 2, 3, 4))
    if not np.isfinite(m4):
        return float("inf")
    spread = m2 - m1 * m1
    if spread <= 1e-14 * m2:
        return float("nan")
    fourth = m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4
    return fourth / spread**2


def _moment(law: WeightDistribution, order: int) -> float:
    return float(law.partial_moment(order, np.asarray(-np.inf), np.asarray(np.inf)))

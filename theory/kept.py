"""The law of the weights that magnitude pruning keeps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pvq.arrays import F64
from pvq.theory.cells import cell_error
from pvq.theory.distribution import WeightDistribution

__all__ = ["Kept"]


@dataclass(frozen=True)
class Kept:
    """A law conditioned on |X| > tau: what a quantizer sees after magnitude pruning.

    Parameters
    ----------
    law : the law of all weights
    tau : threshold, in weight units; an atom at tau is pruned

    >>> from pvq.theory.distributions.uniform import Uniform
    >>> kept = Kept(Uniform(), 0.75)
    >>> round(kept.mass, 12), kept.quantile(np.array([0.25, 1.0]))
    (0.25, array([-0.875,  1.   ]))
    """

    law: WeightDistribution
    tau: float

    def __post_init__(self) -> None:
        if not 0 <= self.tau < np.inf:
            raise ValueError(f"tau must be at least 0 and finite, got {self.tau}")
        if not self.mass > 0:
            raise ValueError(f"tau must leave some mass beyond it, got tau={self.tau} for {self.law}")

    @cached_property
    def _before(self) -> float:
        """An edge just below -tau, so that an atom at -tau is pruned."""
        return float(np.nextafter(-self.tau, -np.inf))

    @cached_property
    def _left(self) -> float:
        return float(self.law.partial_moment(0, np.asarray(-np.inf), np.asarray(self._before)))

    @cached_property
    def mass(self) -> float:
        """The share of weights kept."""
        return self._left + float(self.law.partial_moment(0, np.asarray(self.tau), np.asarray(np.inf)))

    def partial_moment(self, order: int, lo: F64, hi: F64) -> F64:
        """Return the integral of x**order over (lo, hi]: the two tails' parts over the mass kept."""
        left, right = (self.law.partial_moment(order, *ends) for ends in self._tails(lo, hi))
        return (left + right) / self.mass

    def cell_error(self, u: F64, lo: F64, hi: F64) -> F64:
        """Return the integral of (x - u)**2 over (lo, hi]."""
        left, right = (cell_error(self.law, u, *ends) for ends in self._tails(lo, hi))
        return (left + right) / self.mass

    def quantile(self, p: F64) -> F64:
        """Return the p-quantile; no value in (-tau, tau]."""
        p = np.asarray(p, float)
        on_left = p * self.mass <= self._left
        low = self.law.quantile(np.where(on_left, p * self.mass, 0.0))
        high = self.law.quantile(np.where(on_left, 1.0, 1 - (1 - p) * self.mass))
        return np.where(on_left, np.minimum(low, -self.tau), np.maximum(high, self.tau))

    def sample(self, rng: np.random.Generator, n: int) -> F64:
        """Return n draws, by inversion."""
        return self.quantile(rng.random(n))

    def _tails(self, lo: F64, hi: F64) -> tuple[tuple[F64, F64], tuple[F64, F64]]:
        lo, hi = np.asarray(lo, float), np.asarray(hi, float)
        left = np.minimum(lo, self._before), np.minimum(hi, self._before)
        right = np.maximum(lo, self.tau), np.maximum(hi, self.tau)
        return left, right

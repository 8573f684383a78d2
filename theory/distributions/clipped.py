"""A law clipped to [-r, r]: what lies outside becomes point masses at the ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from pvq.arrays import F64
from pvq.theory.cells import cell_error
from pvq.theory.distribution import DISTRIBUTIONS, WeightDistribution
from pvq.theory.magnitude import check_magnitude

__all__ = ["Clipped"]


@DISTRIBUTIONS.register("clipped")
@dataclass(frozen=True)
class Clipped:
    """The law of min(max(X, -r), r): the mass outside sits at -r and r; `truncated` renormalises instead.

    Parameters
    ----------
    law : the law to clip
    r : half-width, in weight units

    >>> from pvq.theory.distribution import variance
    >>> from pvq.theory.distributions.student_t import StudentT
    >>> round(variance(Clipped(StudentT(nu=2), 100.0)), 5)
    8.90364
    """

    law: WeightDistribution
    r: float

    def __post_init__(self) -> None:
        check_magnitude("r", self.r)

    @cached_property
    def _end(self) -> float:
        """The last edge below r: the open interval (-r, r) is (-r, _end]."""
        return float(np.nextafter(self.r, 0))

    @cached_property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """The point masses, each as (place, mass)."""
        mass = self.law.partial_moment
        low = float(mass(0, np.asarray(-np.inf), np.asarray(-self.r)))
        high = float(mass(0, np.asarray(self._end), np.asarray(np.inf)))
        return ((-self.r, low), (self.r, high))

    def partial_moment(self, order: int, lo: F64, hi: F64) -> F64:
        """Return the integral of x**order over (lo, hi], point masses included."""
        inner = self.law.partial_moment(order, self._inside(lo), self._inside(hi))
        return inner + self._at_ends(lambda x: x**order, lo, hi)

    def cell_error(self, u: F64, lo: F64, hi: F64) -> F64:
        """Return the integral of (x - u)**2 over (lo, hi], point masses included."""
        inner = cell_error(self.law, u, self._inside(lo), self._inside(hi))
        return inner + self._at_ends(lambda x: (x - u) ** 2, lo, hi)

    def quantile(self, p: F64) -> F64:
        """Return the smallest x with P(X <= x) >= p; at p = 0 the lower end of the support."""
        return np.asarray(np.clip(self.law.quantile(np.asarray(p, float)), -self.r, self.r), np.float64)

    def sample(self, rng: np.random.Generator, n: int) -> F64:
        """Return n draws."""
        return np.clip(self.law.sample(rng, n), -self.r, self.r)

    def _inside(self, x: ArrayLike) -> F64:
        return np.asarray(np.clip(np.asarray(x, float), -self.r, self._end))

    def _at_ends(self, value: Callable[[float], ArrayLike], lo: ArrayLike, hi: ArrayLike) -> F64:
        lo, hi = np.asarray(lo), np.asarray(hi)
        parts = (((lo < x) & (x <= hi)) * mass * np.asarray(value(x)) for x, mass in self.atoms)
        return np.asarray(sum(parts, np.zeros(())), np.float64)

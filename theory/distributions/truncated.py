"""A law conditioned on [-r, r]: cut off and renormalised."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pvq.arrays import F64
from pvq.theory.cells import Smooth, cell_error
from pvq.theory.distribution import DISTRIBUTIONS, WeightDistribution
from pvq.theory.magnitude import check_magnitude

__all__ = ["Truncated"]


@DISTRIBUTIONS.register("truncated")
@dataclass(frozen=True)
class Truncated:
    """A law restricted to [-r, r] and renormalised to mass one; `clipped` keeps the tails' mass at the ends.

    Parameters
    ----------
    law : the law to restrict
    r : half-width, in weight units

    >>> from pvq.theory.distribution import kurtosis
    >>> from pvq.theory.distributions.student_t import StudentT
    >>> round(kurtosis(Truncated(StudentT(nu=2), 100.0)), 4)
    159.6657
    """

    law: WeightDistribution
    r: float

    def __post_init__(self) -> None:
        check_magnitude("r", self.r)
        if self._mass <= 0:
            raise ValueError(f"r must leave some mass inside [-r, r], got r={self.r} for {self.law}")

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Points where the density is not smooth: those of the law inside, and both ends."""
        inner: tuple[float, ...] = getattr(self.law, "breakpoints", ())
        return (-self.r, *(x for x in inner if abs(x) < self.r), self.r)

    @cached_property
    def _start(self) -> float:
        """An edge just below -r, so that an atom at -r is inside."""
        return float(np.nextafter(-self.r, -np.inf))

    @cached_property
    def _mass(self) -> float:
        return float(self.law.partial_moment(0, np.asarray(self._start), np.asarray(self.r)))

    def partial_moment(self, order: int, lo: F64, hi: F64) -> F64:
        """Return the integral of x**order over (lo, hi]: the inner law's over the mass inside."""
        return self.law.partial_moment(order, self._inside(lo), self._inside(hi)) / self._mass

    def cell_error(self, u: F64, lo: F64, hi: F64) -> F64:
        """Return the integral of (x - u)**2 over (lo, hi]."""
        return cell_error(self.law, u, self._inside(lo), self._inside(hi)) / self._mass

    def density(self, x: F64) -> F64:
        """Return p(x).

        Raises
        ------
        ValueError : the inner law has no density
        """
        if not isinstance(self.law, Smooth):
            raise ValueError(f"law must have a density, got {type(self.law).__name__}")
        x = np.asarray(x)
        return np.where(np.abs(x) <= self.r, self.law.density(x) / self._mass, 0.0)

    def quantile(self, p: F64) -> F64:
        """Return the smallest x with P(X <= x) >= p."""
        p = np.asarray(p, float)
        below = float(self.law.partial_moment(0, np.asarray(-np.inf), np.asarray(self._start)))
        inner = self.law.quantile(np.minimum(below + p * self._mass, 1.0))
        return np.where(p == 0, max(-self.r, float(self.law.quantile(np.asarray(0.0)))), self._clip(inner))

    def sample(self, rng: np.random.Generator, n: int) -> F64:
        """Return n draws, by inverting the distribution function."""
        return self.quantile(rng.uniform(0.0, 1.0, n))

    def _inside(self, x: F64) -> F64:
        return np.asarray(np.clip(np.asarray(x, float), self._start, self.r))

    def _clip(self, x: F64) -> F64:
        return np.asarray(np.clip(x, -self.r, self.r))

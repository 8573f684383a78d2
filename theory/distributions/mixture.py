"""A mixture of laws of weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.theory.cells import Smooth, cell_error
from pvq.theory.distribution import DISTRIBUTIONS, WeightDistribution

__all__ = ["Mixture"]


@DISTRIBUTIONS.register("mixture")
@dataclass(frozen=True)
class Mixture:
    """A law drawn from several laws: `mixture[laws=gaussian;laplace[b=3],weights=0.9;0.1]`.

    Parameters
    ----------
    laws : at least one
    weights : probability of each, positive; divided by their sum

    >>> from pvq.theory.distributions.gaussian import Gaussian
    >>> float(Mixture((Gaussian(1.0), Gaussian(3.0)), (0.5, 0.5)).partial_moment(2, -np.inf, np.inf))
    5.0
    """

    laws: tuple[WeightDistribution, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.laws or len(self.laws) != len(self.weights):
            raise ValueError(
                f"weights must hold one per law, got {len(self.weights)} for {len(self.laws)} laws"
            )
        if not all(0 < weight < np.inf for weight in self.weights):
            raise ValueError(f"weights must be positive and finite, got {self.weights}")
        total = sum(self.weights)
        object.__setattr__(self, "weights", tuple(weight / total for weight in self.weights))

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Points where the density is not smooth: those of all laws."""
        return tuple(sorted({x for law in self.laws for x in getattr(law, "breakpoints", ())}))

    def partial_moment(self, order: int, lo: F64, hi: F64) -> F64:
        """Return the integral of x**order over (lo, hi]."""
        return self._mean([law.partial_moment(order, lo, hi) for law in self.laws])

    def cell_error(self, u: F64, lo: F64, hi: F64) -> F64:
        """Return the integral of (x - u)**2 over (lo, hi]."""
        return self._mean([cell_error(law, u, lo, hi) for law in self.laws])

    def density(self, x: F64) -> F64:
        """Return p(x).

        Raises
        ------
        ValueError : one of the laws has no density
        """
        smooth = [law for law in self.laws if isinstance(law, Smooth)]
        if len(smooth) < len(self.laws):
            raise ValueError(f"laws must all have a density, got {self.laws}")
        return self._mean([law.density(x) for law in smooth])

    def quantile(self, p: F64) -> F64:
        """Return the smallest x with P(X <= x) >= p, by bisection between the quantiles of the laws."""
        p = np.asarray(p, float)
        each = np.stack([np.broadcast_to(law.quantile(p), p.shape) for law in self.laws])
        low, high = each.min(axis=0), each.max(axis=0)
        unbounded = ~np.isfinite(low) | ~np.isfinite(high)
        ends = np.where(p > 0.5, high, low)
        a, b = np.where(unbounded, 0.0, low), np.where(unbounded, 0.0, high)
        return np.where(unbounded, ends, self._bisect(p, a, b))

    def sample(self, rng: np.random.Generator, n: int) -> F64:
        """Return n draws."""
        counts = rng.multinomial(n, self.weights)
        parts = [law.sample(rng, int(count)) for law, count in zip(self.laws, counts, strict=True)]
        return rng.permutation(np.concatenate(parts))

    def _mean(self, values: list[F64]) -> F64:
        parts = (weight * value for weight, value in zip(self.weights, values, strict=True))
        return np.asarray(sum(parts, np.zeros(())))

    def _bisect(self, p: F64, a: F64, b: F64) -> F64:
        """Narrow [a, b], P(X <= b) >= p, until its ends are neighbouring numbers or equal."""
        minus_inf = np.full(p.shape, -np.inf)
        a = np.where(self.partial_moment(0, minus_inf, a) >= p, np.minimum(a, b), a)
        b = np.where(self.partial_moment(0, minus_inf, a) >= p, a, b)
        for _ in range(2000):
            middle = a + 0.5 * (b - a)
            if not ((middle > a) & (middle < b)).any():
                break
            enough = self.partial_moment(0, minus_inf, middle) >= p
            a, b = np.where(enough, a, middle), np.where(enough, middle, b)
        return b

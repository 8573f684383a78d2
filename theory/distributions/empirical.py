"""The law of a tensor: every weight an atom of mass 1/n."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from pvq.arrays import F64, I64, as_f64
from pvq.theory.distribution import DISTRIBUTIONS
from pvq.theory.magnitude import GREATEST
from pvq.theory.sorted_weights import SortedWeights
from pvq.theory.symmetric import check_order
from pvq.theory.weight_file import read_weights

__all__ = ["Empirical"]

_DIRECT = 4  # cells that together hold at most this many times n weights are summed directly


@DISTRIBUTIONS.register("empirical")
@dataclass(frozen=True, eq=False)
class Empirical:
    """The law of a tensor's values, read from a file as `file:PATH`.

    Parameters
    ----------
    values : finite weights of any shape; kept sorted, shape (n,), float64

    >>> float(Empirical(np.array([1.0, 2.0, 4.0])).partial_moment(1, 1.0, 4.0))  # (2 + 4) / 3
    2.0
    """

    values: F64
    _sums: dict[int, tuple[F64, F64]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _sorted(self.values))

    @cached_property
    def ordered(self) -> SortedWeights:
        """The distinct values with their prefix sums, for searches over scales; made once."""
        return SortedWeights.of(self.values)

    @classmethod
    def from_file(cls, path: str | Path) -> Empirical:
        """Return the law of the tensor stored at `path`, or at `path#name` in a file of several.

        Raises
        ------
        ValueError : unknown suffix, several tensors and no name, no such name, NaN, or a weight beyond 1e70
        OSError : no such file
        """
        found = cls(read_weights(path))
        largest = float(max(-found.values[0], found.values[-1]))
        if largest > GREATEST:  # formats scale a tensor first; a law's moments are taken as they are
            raise ValueError(f"values must be at most {GREATEST:g} in magnitude, got {largest}")
        return found

    def partial_moment(self, order: int, lo: F64, hi: F64) -> F64:
        """Return the mean of w**order over the weights in (lo, hi] times their share, from prefix sums."""
        check_order(order)
        i, j = self._ranks(lo), self._ranks(hi)
        if order == 0:
            return (j - i) / self.values.size
        total, lost = self._prefix(order)
        return ((total[j] - total[i]) + (lost[j] - lost[i])) / self.values.size

    def cell_error(self, u: F64, lo: F64, hi: F64) -> F64:
        """Return the sum of (w - u)^2 over the weights in (lo, hi], over n.

        Summed weight by weight where the cells together hold few weights (one codebook holds n), which loses
        no digits; from prefix sums where they hold many, as in a search over scales.
        """
        u, lo, hi = np.broadcast_arrays(np.asarray(u, float), np.asarray(lo, float), np.asarray(hi, float))
        i, j = self._ranks(lo), self._ranks(hi)
        if int((j - i).sum()) <= _DIRECT * self.values.size:
            return self._direct(u.ravel(), i.ravel(), j.ravel()).reshape(u.shape)
        m0, m1, m2 = (self.partial_moment(order, lo, hi) for order in range(3))
        return np.maximum(m2 - 2 * u * m1 + u * u * m0, 0.0)

    def quantile(self, p: F64) -> F64:
        """Return the smallest weight w with P(X <= w) >= p; at p = 0 the smallest weight."""
        n = self.values.size
        rank = np.ceil(np.asarray(p, float) * n * (1 - 2e-16)).astype(np.int64)  # p = k/n is rank k
        return self.values[np.clip(rank - 1, 0, n - 1)]

    def sample(self, rng: np.random.Generator, n: int) -> F64:
        """Return n draws with replacement."""
        return rng.choice(self.values, n)

    def _ranks(self, x: ArrayLike) -> I64:
        """Return how many weights are <= x."""
        return np.searchsorted(self.values, x, side="right").astype(np.int64)

    def _direct(self, u: F64, i: I64, j: I64) -> F64:
        out = np.zeros(u.size)
        for cell in np.flatnonzero(j > i):
            inside = self.values[i[cell] : j[cell]] - u[cell]
            out[cell] = float((inside * inside).sum())  # pairwise summation
        return out / self.values.size

    def _prefix(self, order: int) -> tuple[F64, F64]:
        if order not in self._sums:
            self._sums[order] = _compensated_cumsum(self.values**order)
        return self._sums[order]


def _sorted(values: ArrayLike) -> F64:
    """Return the values as float64, sorted; float32 and narrower are sorted as float32, in half the time."""
    array = np.asarray(values)
    if array.dtype.kind == "f" and array.dtype.itemsize <= 4 and array.size:
        ordered = np.sort(array.astype(np.float32, copy=False), axis=None)
        if np.isfinite(ordered[[0, -1]]).all():  # NaN sorts last, infinities at the ends
            return ordered.astype(np.float64)
    return np.sort(as_f64(values, "values"), axis=None)


def _compensated_cumsum(x: F64) -> tuple[F64, F64]:
    """Return prefix sums (n + 1,) from 0 and what their rounding lost: Knuth's two-sum."""
    total = np.concatenate([[0.0], np.cumsum(x)])
    before, after = total[:-1], total[1:]
    added = after - before
    lost = (before - (after - added)) + (x - added)
    return total, np.concatenate([[0.0], np.cumsum(lost)])


DISTRIBUTIONS.read_prefix("file:", Empirical.from_file)

"""Levels that are integer multiples of a step: the structure that cuts across several weights need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64, I64

from .feasible import FiniteSet
from .rounding import TINY, gamma

__all__ = ["Lattice", "lattice_of"]

LARGEST_INTEGER = 2**20
FARTHEST = 1e-9  # of a step: what a level may be off the lattice and still be called one of its points


@dataclass(frozen=True, eq=False)
class Lattice:
    """Level l of weight i is origin_i + step_i * integers_l + e with |e| <= deviation_i, in exact numbers.

    Parameters
    ----------
    origin : (n,) lowest level of each weight
    step : (n,) positive
    integers : (L,) increasing from 0
    deviation : (n,) a proved bound, rounding of its own evaluation included
    """

    origin: F64
    step: F64
    integers: I64
    deviation: F64

    @property
    def top(self) -> int:
        """The largest integer."""
        return int(self.integers[-1])


def lattice_of(feasible: FiniteSet, n: int) -> Lattice | None:
    """Return the lattice of n weights' levels, None where they have no common step.

    Neighbouring levels may be several steps apart, as in sums of powers of two.

    >>> from pvq.theory.codebook import Codebook
    >>> lattice_of(FiniteSet(Codebook(np.array([-0.15, -0.05, 0.15]))), 1).integers
    array([0, 1, 3])
    >>> lattice_of(FiniteSet(Codebook(np.array([0.0, 1.0, 2.1]))), 1) is None
    True
    """
    integers = _integers(feasible.levels)
    if integers is None or (feasible.scales is not None and len(feasible.scales) != n):
        return None
    rows = 1 if feasible.scales is None else n
    table = feasible.level_table(n, slice(0, rows))
    origin = table[:, 0]
    with np.errstate(all="ignore"):
        step = (table[:, -1] - origin) / integers[-1]
        if not (np.isfinite(step).all() and (step > 0).all()):
            return None
        deviation = _deviation(table, origin[:, None], step[:, None] * integers)
    if not (deviation <= 0.1 * step).all():
        return None
    spread = [np.broadcast_to(values, (n,)) for values in (origin, step, deviation)]
    return Lattice(spread[0], spread[1], integers, spread[2])


def _integers(levels: F64) -> I64 | None:
    """Return the levels in units of their smallest distance, from 0, if these are integers."""
    if len(levels) < 2:
        return None
    with np.errstate(all="ignore"):
        distance = levels - levels[0]
        units = distance / np.diff(levels).min()
        if not (np.isfinite(units).all() and units[-1] <= LARGEST_INTEGER):
            return None
        integers = np.rint(units)
        exact = distance * (integers[-1] / distance[-1])  # the longest distance gives the step best
    if not ((np.diff(integers) > 0).all() and (np.abs(exact - integers) <= FARTHEST).all()):
        return None
    return np.asarray(integers, dtype=np.int64)


def _deviation(table: F64, origin: F64, multiples: F64) -> F64:
    """Return for each row a bound of |table - origin - step * integer|, rounding included."""
    off = np.abs((table - origin) - multiples)
    return np.asarray((off + gamma(8) * (np.abs(table) + np.abs(origin) + multiples)).max(1) + 8 * TINY)

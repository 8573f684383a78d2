"""Groups of weights, of each of which a given number is removed at least."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64, I64, Bool

__all__ = ["Groups"]


@dataclass(frozen=True, eq=False)
class Groups:
    """G groups that lose weights, and the weights that need not lose any.

    Parameters
    ----------
    group : (n,) number of each weight's group; G for a weight that no group counts
    removed : (G,) how many of each group are removed at least, each between 1 and the group's size - 1
    """

    group: I64
    removed: I64

    @staticmethod
    def of(group: I64, removed: I64) -> Groups:
        """Return the groups that must lose weights, numbered anew.

        >>> Groups.of(np.array([0, 0, 1, 2, 2]), np.array([1, 0, 1])).group
        array([0, 0, 2, 1, 1])
        """
        active = removed > 0
        number = np.where(active, np.cumsum(active) - 1, active.sum())
        return Groups(number[group], removed[active])

    def spread(self, t: F64) -> F64:
        """Return each weight's entry of t (G,), 0 for weights of no group, shape (n,)."""
        return np.append(t, 0.0)[self.group]

    def gather(self, values: F64) -> F64:
        """Return the sums of values (n,) over groups, shape (G,)."""
        return np.asarray(np.bincount(self.group, values, len(self.removed) + 1)[:-1], dtype=np.float64)

    def smallest(self, values: F64) -> Bool:
        """Return which weights have the smallest values of their group, as many as are removed, (n,)."""
        order = np.lexsort((values, self.group))
        sizes = np.bincount(self.group, minlength=len(self.removed) + 1)
        rank = np.arange(len(values)) - (np.cumsum(sizes) - sizes)[self.group[order]]
        chosen = np.empty(len(values), dtype=np.bool_)
        chosen[order] = rank < np.append(self.removed, 0)[self.group[order]]
        return chosen

    def thresholds(self, values: F64) -> F64:
        """Return the largest of the smallest values of each group, shape (G,)."""
        chosen = self.smallest(values)
        top = np.full(len(self.removed), -np.inf)
        np.maximum.at(top, self.group[chosen], values[chosen])
        return top

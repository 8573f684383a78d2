"""Which weights may stay: the common side of sparse, N:M and boxed sparse sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64, I64, Bool

from .box_refit import refit_in_box
from .feasible import FeasibleSet, SparseSet
from .problem import LayerProblem
from .refit import refit
from .sets.boxed_sparse import BoxedSparseSet
from .sets.n_of_m import NOfMSet

__all__ = ["Supports", "fit_support", "supports_of"]


@dataclass(frozen=True, eq=False)
class Supports:
    """All supports that keep at most ``keep[g]`` weights of each group g of consecutive weights, and a box.

    Parameters
    ----------
    group : (n,) number of each weight's group, not decreasing
    keep : (G,) how many weights of a group may differ from zero
    low, high : ends of the box that kept weights must lie in
    """

    group: I64
    keep: I64
    low: float = -np.inf
    high: float = np.inf

    @staticmethod
    def of(feasible: FeasibleSet) -> Supports | None:
        """Return the supports of a pruning set, None for any other set.

        >>> Supports.of(SparseSet(3, 1)).keep
        array([1])
        """
        if isinstance(feasible, SparseSet):
            return Supports(np.zeros(feasible.n, dtype=np.int64), np.array([feasible.k]))
        if isinstance(feasible, BoxedSparseSet):
            one = np.zeros(feasible.n, dtype=np.int64)
            return Supports(one, np.array([feasible.k]), feasible.low, feasible.high)
        if isinstance(feasible, NOfMSet):
            return Supports(feasible.group_of, np.bincount(feasible.group_of) - feasible.removed)
        return None

    @property
    def starts(self) -> I64:
        """First weight of each group, and n, shape (G + 1,)."""
        return np.searchsorted(self.group, np.arange(len(self.keep) + 1))

    def largest(self, score: F64) -> Bool:
        """Return which weights have the largest scores of their group; of equals, the first.

        Parameters
        ----------
        score : (n,) or (R, n)
        """
        group = np.broadcast_to(self.group, score.shape)
        order = np.lexsort((-score, group), axis=-1)
        rank = np.arange(len(self.group)) - self.starts[self.group]
        kept = np.empty(score.shape, dtype=np.bool_)
        np.put_along_axis(kept, order, np.broadcast_to(rank < self.keep[self.group], score.shape), axis=-1)
        return kept


def fit_support(problem: LayerProblem, feasible: FeasibleSet, kept: Bool) -> F64:
    """Return the weights of least error that vanish where `kept` (n,) is False, in the set's box if any.

    >>> fit_support(LayerProblem(np.eye(2), np.ones(2)), SparseSet(2, 1), np.array([True, False]))
    array([1., 0.])
    """
    index = np.flatnonzero(kept)
    if isinstance(feasible, BoxedSparseSet):
        return refit_in_box(problem, index, feasible.low, feasible.high)
    return refit(problem, index)


def supports_of(feasible: FeasibleSet) -> Supports:
    """Return the supports of a set that was not refused."""
    supports = Supports.of(feasible)
    assert supports is not None, "methods refuse other sets"
    return supports

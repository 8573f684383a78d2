"""At most n of every m consecutive weights nonzero: ``n_of_m[n=2,m=4]``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import F64, I64
from pvq.solvers.feasible import SETS, STORED_SETS
from pvq.solvers.problem import LayerProblem
from pvq.solvers.refit import refit

__all__ = ["NOfM", "NOfMSet"]


@STORED_SETS.register("n_of_m")
@dataclass(frozen=True)
class NOfMSet:
    """Of each `group` consecutive weights at most `kept` differ from zero.

    The last group may be shorter; `kept` of it, or all where it holds fewer, may differ from zero.

    Parameters
    ----------
    n : number of weights
    kept : most nonzero weights of a group
    group : weights in a group

    >>> NOfMSet(5, 1, 2).nearest(np.array([3.0, -4.0, 0.5, 0.1, 7.0]))
    array([ 0. , -4. ,  0.5,  0. ,  7. ])
    """

    n: int
    kept: int
    group: int

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n must be at least 1, got {self.n}")
        if not 0 <= self.kept <= self.group or self.group < 1:
            raise ValueError(f"kept must lie in [0, group], got {self.kept} of {self.group}")

    @property
    def group_of(self) -> I64:
        """Number of the group of each weight, shape (n,)."""
        return np.arange(self.n) // self.group

    @property
    def removed(self) -> I64:
        """How many weights of each group are zero at least, shape (number of groups,)."""
        return np.maximum(0, np.bincount(self.group_of) - self.kept)

    def contains(self, x: F64) -> bool:
        """Return whether x has n finite entries, at most `kept` nonzero ones in each group."""
        if x.shape != (self.n,) or not np.isfinite(x).all():
            return False
        return bool((np.bincount(self.group_of, x != 0) <= self.kept).all())

    def nearest(self, w: F64) -> F64:
        """Return w with all but the largest magnitudes of each group zero; of equals, the first stay."""
        return np.where(self.largest(np.abs(w)), w, 0.0)

    def largest(self, score: F64) -> NDArray[np.bool_]:
        """Return which weights have the `kept` largest scores of their group; of equals, the first."""
        order = np.lexsort((-score, self.group_of))
        rank = np.empty(self.n, dtype=np.int64)
        rank[order] = np.arange(self.n) % self.group
        return np.asarray(rank < self.kept)

    def candidates(self, problem: LayerProblem) -> Iterator[F64]:
        """Yield the refitted weights of every largest support: one of them has the least error."""
        members = [np.flatnonzero(self.group_of == j) for j in range(len(self.removed))]
        for chosen in product(*(combinations(m, min(self.kept, len(m))) for m in members)):
            yield refit(problem, np.array(sum(chosen, ()), dtype=np.int64))

    def describe(self) -> str:
        """Return the counts."""
        return f"{self.kept} of {self.group} among {self.n}"

    def arrays(self) -> dict[str, F64]:
        """Return nothing: the facts tell all."""
        return {}

    def facts(self) -> dict[str, Any]:
        """Return the counts."""
        return {"kept": self.kept, "group": self.group}

    @classmethod
    def restore(cls, n: int, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Self:
        """Return the set that was stored."""
        for name in ("kept", "group"):
            if type(facts[name]) is not int:
                raise ValueError(f"{name} must be stored as int, got {type(facts[name]).__name__}")
        return cls(n, facts["kept"], facts["group"])


@SETS.register("n_of_m")
@dataclass(frozen=True)
class NOfM:
    """Of each m consecutive weights of a row at most n are not zero; hardware speeds up 2 of 4.

    A. Mishra and others, "Accelerating sparse deep neural networks", arXiv 2104.08378. The last group of a
    row may be shorter.

    >>> NOfM(2, 4).fit(np.ones((3, 10))).removed
    array([2, 2, 0])
    """

    n: int
    m: int

    def __post_init__(self) -> None:
        if not 0 <= self.n <= self.m or self.m < 1:
            raise ValueError(f"n must lie in [0, m], got {self.n} of m = {self.m}")

    def fit(self, w: F64) -> NOfMSet:
        """Return the set for rows as long as the last axis of w."""
        return NOfMSet(np.shape(w)[-1], self.n, self.m)

"""Where compressed weights may lie: levels, sparse vectors, and the registry of their specs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from pvq.arrays import F64
from pvq.registry import Registry
from pvq.theory.codebook import Codebook

from .gram import digest_of

__all__ = ["SETS", "FeasibleSet", "FiniteSet", "SetSpec", "SparseSet", "describe_set", "fit_set"]

LARGEST_LEVEL = 1e75
MOST_LEVELS = 2**16


@runtime_checkable
class FeasibleSet(Protocol):
    """A set of weight vectors."""

    def contains(self, x: F64) -> bool:
        """Return whether x, float by float, lies in the set."""
        ...

    def nearest(self, w: F64) -> F64:
        """Return a point of the set at the least Euclidean distance from w."""
        ...


@dataclass(frozen=True, eq=False)
class FiniteSet:
    """Every weight is one of the same levels.

    Parameters
    ----------
    codebook : the levels in weight units, at most 65,536 of them, none beyond 1e75

    >>> FiniteSet(Codebook(np.array([-1.0, 0.0, 1.0]))).nearest(np.array([0.2, 3.0]))
    array([0., 1.])
    """

    codebook: Codebook

    def __post_init__(self) -> None:
        if len(self.levels) > MOST_LEVELS:
            raise ValueError(f"levels must number at most {MOST_LEVELS}, got {len(self.levels)}")
        if np.abs(self.levels).max() > LARGEST_LEVEL:
            raise ValueError(f"levels must not exceed 1e75, got {np.abs(self.levels).max():.3g}")

    @property
    def levels(self) -> F64:
        """The levels, increasing, shape (L,)."""
        return self.codebook.levels

    def contains(self, x: F64) -> bool:
        """Return whether every entry of x equals a level."""
        return bool(np.isin(x, self.levels).all())

    def nearest(self, w: F64) -> F64:
        """Return each weight rounded to its nearest level."""
        return self.codebook.nearest(w)


@dataclass(frozen=True)
class SparseSet:
    """At most k of n weights differ from zero.

    >>> SparseSet(3, 1).nearest(np.array([0.5, -2.0, 1.0]))
    array([ 0., -2.,  0.])
    """

    n: int
    k: int

    def __post_init__(self) -> None:
        if not (self.n >= 1 and 0 <= self.k <= self.n):
            raise ValueError(f"k must lie in [0, {self.n}], got {self.k}")

    @property
    def removed(self) -> int:
        """How many weights are zero at least: n - k."""
        return self.n - self.k

    def contains(self, x: F64) -> bool:
        """Return whether x has n finite entries, at most k of them nonzero."""
        return x.shape == (self.n,) and bool(np.isfinite(x).all()) and int(np.count_nonzero(x)) <= self.k

    def nearest(self, w: F64) -> F64:
        """Return w with all but its k largest magnitudes set to zero; of equals, the first stay."""
        x = np.zeros_like(w)
        kept = np.argsort(-np.abs(w), kind="stable")[: self.k]
        x[kept] = w[kept]
        return x


@runtime_checkable
class SetSpec(Protocol):
    """What a spec such as ``int[bits=4]`` says before the weights are known."""

    def fit(self, w: F64) -> FeasibleSet:
        """Return the set for these weights.

        Parameters
        ----------
        w : (n,) one row, or (rows, n) a whole layer: a scale is then one for the tensor
        """
        ...


SETS: Registry[SetSpec] = Registry("set", "pvq.solvers.sets", SetSpec)


def fit_set(spec: str | SetSpec | FeasibleSet, w: F64) -> FeasibleSet:
    """Return the feasible set that `spec` describes for the weights w; a feasible set passes through.

    >>> fit_set("sparse[density=0.5]", np.ones(4)).k
    2
    """
    if isinstance(spec, FeasibleSet):
        return spec
    return SETS.build(spec).fit(w)


def describe_set(feasible: FeasibleSet) -> str:
    """Return a line that tells two sets apart: the counts of a sparse set, levels by their content hash.

    Raises
    ------
    ValueError : a set of another kind

    >>> describe_set(SparseSet(16, 4))
    'sparse 4 of 16'
    >>> describe_set(FiniteSet(Codebook(np.array([-1.0, 0.5]))))
    '2 levels from -1 to 0.5, 803319cc762ca6d6'
    """
    if isinstance(feasible, SparseSet):
        return f"sparse {feasible.k} of {feasible.n}"
    if isinstance(feasible, FiniteSet):
        low, high = feasible.levels[[0, -1]]
        return (
            f"{len(feasible.levels)} levels from {low:.6g} to {high:.6g}, {digest_of(feasible.levels)[:16]}"
        )
    raise ValueError(f"feasible must be a finite or a sparse set, got {type(feasible).__name__}")

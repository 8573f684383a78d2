"""Where compressed weights may lie: levels, sparse vectors, and the registry of their specs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import F64, I64, as_f64
from pvq.registry import Registry
from pvq.theory.codebook import Codebook

from .gram import digest_of

__all__ = [
    "SETS",
    "STORED_SETS",
    "FeasibleSet",
    "FiniteSet",
    "SetSpec",
    "SparseSet",
    "describe_set",
    "fit_rows",
    "fit_set",
]

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

    def describe(self) -> str:
        """Return a line that tells two sets of a kind apart."""
        ...

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Return the numbers to store with a certificate."""
        ...

    def facts(self) -> Mapping[str, Any]:
        """Return what else to store, fit for JSON."""
        ...

    @classmethod
    def restore(cls, n: int, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Self:
        """Return the set of vectors of n weights that was stored.

        Raises
        ------
        KeyError, TypeError, ValueError : something is missing or of the wrong kind
        """
        ...


STORED_SETS: Registry[FeasibleSet] = Registry("feasible set", "pvq.solvers.sets", FeasibleSet)


@STORED_SETS.register("finite")
@dataclass(frozen=True, eq=False)
class FiniteSet:
    """Every weight is one of the same levels, times a scale of its own where there are scales.

    Level l of weight i is the float nearest to ``scales[i] * levels[l]``: grids with a scale per group of
    weights share one codebook.

    Parameters
    ----------
    codebook : L levels, at most 65,536, none beyond 1e75 in weight units
    scales : (n,) positive, or None where the levels are in weight units themselves

    Raises
    ------
    ValueError : too many levels, one too large, scales that are not positive or that make levels coincide

    >>> FiniteSet(Codebook(np.array([-1.0, 0.0, 1.0]))).nearest(np.array([0.2, 3.0]))
    array([0., 1.])
    >>> FiniteSet(Codebook(np.array([0.0, 1.0])), np.array([1.0, 4.0])).nearest(np.array([0.7, 1.0]))
    array([1., 0.])
    """

    codebook: Codebook
    scales: F64 | None = None

    def __post_init__(self) -> None:
        if len(self.levels) > MOST_LEVELS:
            raise ValueError(f"levels must number at most {MOST_LEVELS}, got {len(self.levels)}")
        largest = float(np.abs(self.levels).max())
        if self.scales is not None:
            scales = as_f64(self.scales, "scales", ndim=1)
            if (scales <= 0).any():
                raise ValueError(f"scales must be positive, got {scales.min():.3g}")
            object.__setattr__(self, "scales", scales)
            largest = max(largest, largest * float(scales.max()))
            if any((np.diff(scale * self.levels) <= 0).any() for scale in np.unique(scales)):
                raise ValueError("scales must keep the levels apart, got levels that coincide in float64")
        if largest > LARGEST_LEVEL:
            raise ValueError(f"levels must not exceed 1e75, got {largest:.3g}")

    @property
    def levels(self) -> F64:
        """The levels of the codebook, increasing, shape (L,)."""
        return self.codebook.levels

    def level_table(self, n: int, rows: slice = slice(None)) -> F64:
        """Return the levels of each weight, exact floats, increasing along rows, shape (n, L), read-only."""
        if self.scales is None:
            return np.broadcast_to(self.levels, (n, len(self.levels)))[rows]
        return np.asarray(self.scales[rows, None] * self.levels)

    def contains(self, x: F64) -> bool:
        """Return whether every entry of x equals a level of its weight."""
        if self.scales is None:
            return bool(np.isin(x, self.levels).all())
        if x.shape != self.scales.shape:
            return False
        return all(bool(np.isin(x[rows], scale * self.levels).all()) for scale, rows in self._groups())

    def nearest(self, w: F64) -> F64:
        """Return each weight rounded to its nearest level."""
        if self.scales is None:
            return self.codebook.nearest(w)
        return np.asarray(self.scales * self.codebook.nearest(w / self.scales))

    def _groups(self) -> list[tuple[float, I64]]:
        assert self.scales is not None, "asked only where there are scales"
        values, group = np.unique(self.scales, return_inverse=True)
        return [(float(value), np.flatnonzero(group == i)) for i, value in enumerate(values)]

    def describe(self) -> str:
        """Return number, range and content hash of the levels."""
        low, high = self.levels[[0, -1]]
        digest = digest_of(self.levels) if self.scales is None else digest_of(self.levels, self.scales)
        grouped = "" if self.scales is None else f" in {len(np.unique(self.scales))} scales"
        return f"{len(self.levels)} levels from {low:.6g} to {high:.6g}{grouped}, {digest[:16]}"

    def arrays(self) -> dict[str, F64]:
        """Return levels and scales."""
        return {"levels": self.levels} | ({} if self.scales is None else {"scales": self.scales})

    def facts(self) -> dict[str, Any]:
        """Return nothing: the arrays tell all."""
        return {}

    @classmethod
    def restore(cls, n: int, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Self:
        """Return the set that was stored."""
        scales = arrays.get("scales")
        if scales is not None and scales.shape != (n,):
            raise ValueError(f"scales must have shape ({n},), got {scales.shape}")
        return cls(Codebook(arrays["levels"]), scales)


@STORED_SETS.register("sparse")
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

    def describe(self) -> str:
        """Return the counts."""
        return f"sparse {self.k} of {self.n}"

    def arrays(self) -> dict[str, F64]:
        """Return nothing: the facts tell all."""
        return {}

    def facts(self) -> dict[str, Any]:
        """Return the count of nonzero weights."""
        return {"k": self.k}

    @classmethod
    def restore(cls, n: int, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Self:
        """Return the set that was stored."""
        if type(facts["k"]) is not int:
            raise ValueError(f"k must be stored as int, got {type(facts['k']).__name__}")
        return cls(n, facts["k"])


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


@runtime_checkable
class RowSpec(SetSpec, Protocol):
    """A spec whose sets differ from row to row."""

    def fit_rows(self, W: F64) -> list[FeasibleSet]:
        """Return the set of each row of W, (rows, n)."""
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


def fit_rows(spec: str | SetSpec | FeasibleSet, W: F64) -> list[FeasibleSet]:
    """Return the feasible set of each row of a layer's weights W (rows, n).

    One set for all rows, fitted to the whole layer, unless the spec has a `fit_rows` of its own: grids with
    a scale per row or per group of a row.

    >>> sets = fit_rows("int[bits=2,per=row]", np.array([[1.0, 0.5], [4.0, 2.0]]))
    >>> float(sets[1].levels[-1] / sets[0].levels[-1])
    4.0
    """
    chosen = spec if isinstance(spec, FeasibleSet) else SETS.build(spec)
    if isinstance(chosen, FeasibleSet):
        return [chosen] * len(W)
    if isinstance(chosen, RowSpec):
        return chosen.fit_rows(W)
    return [chosen.fit(W)] * len(W)


def describe_set(feasible: FeasibleSet) -> str:
    """Return a line that tells two sets apart: the counts of a sparse set, levels by their content hash.

    >>> describe_set(SparseSet(16, 4))
    'sparse 4 of 16'
    >>> describe_set(FiniteSet(Codebook(np.array([-1.0, 0.5]))))
    '2 levels from -1 to 0.5, 803319cc762ca6d6'
    """
    return feasible.describe()

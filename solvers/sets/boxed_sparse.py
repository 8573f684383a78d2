"""At most k nonzero weights, all within a box: ``boxed-sparse[density=0.25]``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import F64, I64, as_f64
from pvq.solvers.box_refit import refit_free
from pvq.solvers.feasible import LARGEST_LEVEL, SETS, STORED_SETS, FeasibleSet
from pvq.solvers.problem import LayerProblem

from .sparse import Sparse

__all__ = ["BoxedSparse", "BoxedSparseSet"]


@STORED_SETS.register("boxed-sparse")
@dataclass(frozen=True)
class BoxedSparseSet:
    """At most k of n weights differ from zero, and every weight lies in [low, high].

    Parameters
    ----------
    n, k : number of weights, and of nonzero ones at most
    low, high : the box, low <= 0 <= high, neither beyond 1e75 in magnitude

    >>> BoxedSparseSet(3, 1, -1.0, 1.0).nearest(np.array([0.5, -2.0, 1.0]))
    array([ 0., -1.,  0.])
    """

    n: int
    k: int
    low: float
    high: float

    def __post_init__(self) -> None:
        if not (self.n >= 1 and 0 <= self.k <= self.n):
            raise ValueError(f"k must lie in [0, {self.n}], got {self.k}")
        if not -LARGEST_LEVEL <= self.low <= 0 <= self.high <= LARGEST_LEVEL:
            raise ValueError(
                f"low and high must have 0 between them, none beyond 1e75, got [{self.low}, {self.high}]"
            )

    @property
    def removed(self) -> int:
        """How many weights are zero at least: n - k."""
        return self.n - self.k

    def contains(self, x: F64) -> bool:
        """Return whether x has n entries in the box, at most k of them nonzero."""
        if x.shape != (self.n,) or not bool(((self.low <= x) & (x <= self.high)).all()):
            return False
        return int(np.count_nonzero(x)) <= self.k

    def nearest(self, w: F64) -> F64:
        """Return w clipped to the box where that gains most, zero elsewhere; of equals, the first stay."""
        clipped = np.clip(w, self.low, self.high)
        gain = np.abs(clipped) * np.abs(2.0 * w - clipped)  # w^2 - (w - clipped)^2, both factors of one sign
        x = np.zeros_like(w)
        kept = np.argsort(-gain, kind="stable")[: self.k]
        x[kept] = clipped[kept]
        return x

    def candidates(self, problem: LayerProblem) -> Iterator[F64]:
        """Yield points among which one has the least error: the best of each face of the box on each support.

        The vertices of the set of optimal points each lie on a face in which they are the only optimum.
        """
        for kept in combinations(range(self.n), self.k):
            for ends in product((np.nan, self.low, self.high), repeat=self.k):
                yield self._best_of_face(problem, np.array(kept, dtype=np.int64), np.array(ends))

    def _best_of_face(self, problem: LayerProblem, kept: I64, ends: F64) -> F64:
        x = np.zeros(self.n)
        free = np.isnan(ends)
        x[kept[~free]] = ends[~free]
        return np.clip(refit_free(problem, x, kept[free]), self.low, self.high)

    def describe(self) -> str:
        """Return the counts and the box."""
        return f"sparse {self.k} of {self.n} in [{self.low!r}, {self.high!r}]"

    def arrays(self) -> dict[str, F64]:
        """Return the ends of the box, exact."""
        return {"box": np.array([self.low, self.high])}

    def facts(self) -> dict[str, Any]:
        """Return the count of nonzero weights."""
        return {"k": self.k}

    @classmethod
    def restore(cls, n: int, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Self:
        """Return the set that was stored."""
        if type(facts["k"]) is not int:
            raise ValueError(f"k must be stored as int, got {type(facts['k']).__name__}")
        box = as_f64(arrays["box"], "box", ndim=1)
        if box.shape != (2,):
            raise ValueError(f"box must hold two numbers, got shape {box.shape}")
        return cls(n, facts["k"], float(box[0]), float(box[1]))


@SETS.register("boxed-sparse")
@dataclass(frozen=True)
class BoxedSparse:
    """At most k of a row's n weights are not zero, and all lie in [low, high].

    The pruning problem of A. Kuzmin, M. Nagel, M. van Baalen, A. Behboodi, T. Blankevoort, "Pruning vs
    quantization: which is better?", arXiv 2307.02973, which bounds kept weights by -l m <= x <= u m.

    Parameters
    ----------
    k, density : as of ``sparse``
    low, high : the box; by default the smallest and the largest of 0 and the row's own weights

    >>> BoxedSparse(k=1).fit(np.array([0.5, 2.0, -1.0]))
    BoxedSparseSet(n=3, k=1, low=-1.0, high=2.0)
    """

    k: int | None = None
    density: float | None = None
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        Sparse(self.k, self.density)
        for name, value, sign in (("low", self.low, -1), ("high", self.high, 1)):
            if value is not None and not (math.isfinite(value) and sign * value >= 0):
                raise ValueError(f"{name} must be finite and 0 or on its own side of it, got {value}")

    def fit(self, w: F64) -> BoxedSparseSet:
        """Return the set of one row w.

        Raises
        ------
        ValueError : several rows where the box is not given, see `fit_rows`
        """
        weights = as_f64(w, "w")
        if weights.size != weights.shape[-1] and (self.low is None or self.high is None):
            raise ValueError(f"w must be one row where the box is the row's own, got shape {weights.shape}")
        low = min(0.0, float(weights.min())) if self.low is None else self.low
        high = max(0.0, float(weights.max())) if self.high is None else self.high
        plain = Sparse(self.k, self.density).fit(weights)
        return BoxedSparseSet(plain.n, plain.k, low, high)

    def fit_rows(self, W: F64) -> list[FeasibleSet]:
        """Return the set of each row of W, (rows, n)."""
        return [self.fit(row) for row in W]

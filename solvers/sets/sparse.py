"""At most k nonzero weights: ``sparse[k=8]`` or ``sparse[density=0.25]``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.solvers.feasible import SETS, SparseSet

__all__ = ["Sparse"]


@SETS.register("sparse")
@dataclass(frozen=True)
class Sparse:
    """At most k of a row's n weights are not zero; a density gives k = round(density n), halves to even.

    >>> Sparse(density=0.25).fit(np.ones((5, 144))).k
    36
    """

    k: int | None = None
    density: float | None = None

    def __post_init__(self) -> None:
        if (self.k is None) == (self.density is None):
            raise ValueError("exactly one of k and density must be given")
        if self.k is not None and self.k < 0:
            raise ValueError(f"k must not be negative, got {self.k}")
        if self.density is not None and not 0 <= self.density <= 1:
            raise ValueError(f"density must lie in [0, 1], got {self.density}")

    def fit(self, w: F64) -> SparseSet:
        """Return the set for rows as long as the last axis of w."""
        n = np.shape(w)[-1]
        return SparseSet(n, round((self.density or 0.0) * n) if self.k is None else self.k)

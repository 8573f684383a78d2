"""The same given levels for every weight: ``levels[-1;0;1]``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.solvers.feasible import SETS, FiniteSet
from pvq.theory.codebook import Codebook

__all__ = ["Levels"]


@SETS.register("levels")
@dataclass(frozen=True)
class Levels:
    """Every weight is one of the given values, in weight units.

    >>> Levels((1.0, -1.0)).fit(np.zeros(3)).levels
    array([-1.,  1.])
    """

    levels: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.levels or not np.isfinite(self.levels).all():
            raise ValueError(f"levels must be finite numbers, got {self.levels}")

    def fit(self, w: F64) -> FiniteSet:
        """Return the set of these levels, whatever the weights."""
        return FiniteSet(Codebook(np.unique(np.array(self.levels, dtype=np.float64))))

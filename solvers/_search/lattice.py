"""One row in units of its level spacing, and the way between its points and weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64, I64
from pvq.solvers.feasible import FiniteSet
from pvq.solvers.problem import LayerProblem

from .geometry import Geometry

__all__ = ["Lattice"]

UNIFORM = 1e-9  # of a spacing: how far the levels of a grid may be from equal distances


@dataclass(frozen=True, eq=False)
class Lattice:
    """Minimise factor * (y - centre)' A (y - centre) over y with every entry one of the levels.

    Parameters
    ----------
    problem, feasible : the row, in weight units
    geometry : A and what rows share
    levels : (L,) increasing from 0 at mean distance 1; exactly 0, 1, ..., L - 1 where `uniform`
    uniform : whether the levels are equally spaced up to rounding
    centre : (m,) the live weights in these units
    scales : (m,) of the live weights, 1 where the set has none
    step : mean distance of the codebook's levels
    """

    problem: LayerProblem
    feasible: FiniteSet
    geometry: Geometry
    levels: F64
    uniform: bool
    centre: F64
    scales: F64
    step: float

    @staticmethod
    def of(problem: LayerProblem, feasible: FiniteSet) -> Lattice:
        """Return the row's lattice.

        >>> from pvq.solvers.feasible import fit_set
        >>> problem = LayerProblem(np.eye(2), np.array([0.25, 1.0]))
        >>> Lattice.of(problem, fit_set("levels[-1;0;1]", problem.w)).centre
        array([1.25, 2.  ])
        """
        geometry = Geometry.of(problem.gram, feasible.scales)
        book = feasible.levels
        step = float(book[-1] / (len(book) - 1) - book[0] / (len(book) - 1)) if len(book) > 1 else 1.0
        levels, grid = (book - book[0]) / step, np.arange(float(len(book)))
        uniform = bool(np.abs(levels - grid).max() <= UNIFORM)
        scales = np.ones(problem.n) if feasible.scales is None else feasible.scales
        scales = scales[geometry.live]
        centre = (problem.w[geometry.live] / scales - book[0]) / step
        return Lattice(
            problem, feasible, geometry, grid if uniform else levels, uniform, centre, scales, step
        )

    @property
    def factor(self) -> float:
        """What a unit of (y - centre)' A (y - centre) is worth in the problem's errors."""
        return self.geometry.size * self.spacing**2

    @property
    def spacing(self) -> float:
        """Mean distance of the levels at the largest scale, in weight units."""
        return self.step * (float(self.feasible.scales.max()) if self.feasible.scales is not None else 1.0)

    @property
    def outside(self) -> F64:
        """Distance of each weight to the range of the levels, (m,)."""
        return np.abs(self.centre - np.clip(self.centre, self.levels[0], self.levels[-1]))

    def point(self, index: I64) -> F64:
        """Return the weights, (n,), whose live inputs have the given levels; dead ones are rounded."""
        x = self.feasible.nearest(self.problem.w)
        x[self.geometry.live] = self.scales * self.feasible.levels[index]
        return x

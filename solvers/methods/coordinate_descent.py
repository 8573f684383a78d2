"""Rounding, then single changes until none helps."""

from __future__ import annotations

from dataclasses import dataclass

from pvq.solvers.descent import descend
from pvq.solvers.feasible import FeasibleSet, FiniteSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits

__all__ = ["CoordinateDescent"]


@SOLVERS.register("coordinate-descent")
@dataclass(frozen=True)
class CoordinateDescent:
    """Round to nearest, then move one weight at a time to its best level until no single move helps.

    The 1-opt of Park and Boyd (arXiv 1504.07672), within the levels.
    """

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse anything but a finite set."""
        return (
            None
            if isinstance(feasible, FiniteSet)
            else "coordinate-descent moves between levels; use swap to prune"
        )

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return a 1-optimal point."""
        assert isinstance(feasible, FiniteSet), "refused otherwise"
        point, sweeps = descend(problem, feasible, feasible.nearest(problem.w))
        return Outcome(Status.FEASIBLE, point=point, iterations=sweeps)

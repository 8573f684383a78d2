"""Round every weight to its nearest level."""

from __future__ import annotations

from dataclasses import dataclass

from pvq.solvers.feasible import FeasibleSet, FiniteSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits

__all__ = ["Nearest"]


@SOLVERS.register("nearest")
@dataclass(frozen=True)
class Nearest:
    """Round every weight to its nearest level, blind to H."""

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse anything but a finite set."""
        return None if isinstance(feasible, FiniteSet) else "nearest rounds to levels; use magnitude to prune"

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return the rounded weights."""
        return Outcome(Status.FEASIBLE, point=feasible.nearest(problem.w), iterations=1)

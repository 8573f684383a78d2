"""Keep the k largest weights as they are."""

from __future__ import annotations

from dataclasses import dataclass

from pvq.solvers.feasible import FeasibleSet, SparseSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits

__all__ = ["Magnitude"]


@SOLVERS.register("magnitude")
@dataclass(frozen=True)
class Magnitude:
    """Keep the k largest weights as they are, blind to H."""

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse anything but a sparse set."""
        return None if isinstance(feasible, SparseSet) else "magnitude prunes; use nearest to quantize"

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return the weights with the smallest magnitudes set to zero."""
        return Outcome(Status.FEASIBLE, point=feasible.nearest(problem.w), iterations=1)

"""Keep the largest weights as they are."""

from __future__ import annotations

from dataclasses import dataclass

from pvq.solvers.feasible import FeasibleSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits
from pvq.solvers.supports import Supports

__all__ = ["Magnitude"]


@SOLVERS.register("magnitude")
@dataclass(frozen=True)
class Magnitude:
    """Keep the largest weights, of the row or of each group, as they are, blind to H.

    S. Han, J. Pool, J. Tran, W. Dally, arXiv 1506.02626. Where the weights must lie in a box, those are kept
    that gain most by it.
    """

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse sets without supports."""
        return None if Supports.of(feasible) is not None else "magnitude prunes; use nearest to quantize"

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return the weights with the smallest magnitudes set to zero."""
        return Outcome(Status.FEASIBLE, point=feasible.nearest(problem.w), iterations=1)

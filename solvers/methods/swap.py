"""Optimal Brain Surgeon, then the best exchanges."""

from __future__ import annotations

from dataclasses import dataclass

from pvq.solvers.elimination import eliminate, improve_by_swaps
from pvq.solvers.feasible import FeasibleSet, SparseSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.refit import refit
from pvq.solvers.solver import SOLVERS, Limits

__all__ = ["Swap"]


@SOLVERS.register("swap")
@dataclass(frozen=True)
class Swap:
    """ExactOBS, then exchanges of one removed and one kept weight, best first, until none helps."""

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse anything but a sparse set."""
        return None if isinstance(feasible, SparseSet) else "swap prunes; use coordinate-descent to quantize"

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return the weights on the best support found, with their least-squares values."""
        assert isinstance(feasible, SparseSet), "refused otherwise"
        expired = limits.clock()
        kept, swaps = improve_by_swaps(problem, eliminate(problem, feasible.k), expired)
        status = Status.TIME_LIMIT if expired() else Status.FEASIBLE
        return Outcome(status, point=refit(problem, kept), iterations=swaps)

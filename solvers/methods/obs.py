"""Optimal Brain Surgeon, one row at a time."""

from __future__ import annotations

from dataclasses import dataclass

from pvq.solvers.elimination import eliminate
from pvq.solvers.feasible import FeasibleSet, SparseSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.refit import refit
from pvq.solvers.solver import SOLVERS, Limits

__all__ = ["Obs"]


@SOLVERS.register("obs")
@dataclass(frozen=True)
class Obs:
    """Remove the cheapest weight, let the others make up for it, repeat (ExactOBS, arXiv 2208.11580)."""

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse anything but a sparse set."""
        return None if isinstance(feasible, SparseSet) else "obs prunes; use gptq to quantize"

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return the surviving weights with their least-squares values."""
        assert isinstance(feasible, SparseSet), "refused otherwise"
        point = refit(problem, eliminate(problem, feasible.k))
        return Outcome(Status.FEASIBLE, point=point, iterations=feasible.removed)

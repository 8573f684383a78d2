"""Keep the k largest weights and fit them again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.solvers.feasible import FeasibleSet, SparseSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.refit import refit
from pvq.solvers.solver import SOLVERS, Limits

__all__ = ["MagnitudeRefit"]


@SOLVERS.register("magnitude-refit")
@dataclass(frozen=True)
class MagnitudeRefit:
    """Keep the k largest weights and give them their least-squares values."""

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse anything but a sparse set."""
        return None if isinstance(feasible, SparseSet) else "magnitude-refit prunes; use nearest to quantize"

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return the refitted weights."""
        assert isinstance(feasible, SparseSet), "refused otherwise"
        kept = np.argsort(-np.abs(problem.w), kind="stable")[: feasible.k]
        return Outcome(Status.FEASIBLE, point=refit(problem, kept), iterations=1)

"""Keep the largest weights and fit them again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.solvers.feasible import FeasibleSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits
from pvq.solvers.supports import Supports, fit_support, supports_of

__all__ = ["MagnitudeRefit"]


@SOLVERS.register("magnitude-refit")
@dataclass(frozen=True)
class MagnitudeRefit:
    """Keep the largest weights, of the row or of each group, and give them their least-squares values."""

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse sets without supports."""
        return (
            None if Supports.of(feasible) is not None else "magnitude-refit prunes; use nearest to quantize"
        )

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return the refitted weights."""
        supports = supports_of(feasible)
        kept = supports.largest(np.abs(feasible.nearest(problem.w)))
        return Outcome(Status.FEASIBLE, point=fit_support(problem, feasible, kept), iterations=1)

"""Optimal Brain Surgeon, one row at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.solvers.elimination import eliminate
from pvq.solvers.feasible import FeasibleSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits
from pvq.solvers.supports import Supports, fit_support, supports_of

__all__ = ["Obs"]


@SOLVERS.register("obs")
@dataclass(frozen=True)
class Obs:
    """Remove the cheapest weight, let the others make up for it, repeat (ExactOBS, arXiv 2208.11580).

    In groups, a weight may go as long as its group must lose one. In a box, the weights that remain are
    fitted within it. Where time runs out, the rest goes by its costs at that moment.
    """

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse sets without supports."""
        return None if Supports.of(feasible) is not None else "obs prunes; use obq to quantize"

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return the surviving weights with their least-squares values."""
        supports, expired = supports_of(feasible), limits.clock()
        kept = eliminate(problem, supports, expired)
        status = Status.TIME_LIMIT if expired() else Status.FEASIBLE
        removed = problem.n - int(np.count_nonzero(kept))
        return Outcome(status, fit_support(problem, feasible, kept), iterations=removed)

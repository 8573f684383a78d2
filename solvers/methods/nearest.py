"""Round every weight to its nearest level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pvq.solvers.feasible import FeasibleSet, FiniteSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.row_levels import RowLevels
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

    def run_rows(
        self, problems: Sequence[LayerProblem], sets: Sequence[FeasibleSet], limits: Limits
    ) -> list[Outcome]:
        """Return the rounded weights of every row."""
        W = np.array([problem.w for problem in problems])
        points = RowLevels.of(sets, W.shape[1]).nearest(W)
        return [Outcome(Status.FEASIBLE, point=point, iterations=1) for point in points]

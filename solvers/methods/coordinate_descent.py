"""Rounding, then single changes until none helps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pvq.solvers.descent import descend_rows
from pvq.solvers.feasible import FeasibleSet, FiniteSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.row_levels import RowLevels
from pvq.solvers.solver import SOLVERS, Limits

__all__ = ["CoordinateDescent"]


@SOLVERS.register("coordinate-descent")
@dataclass(frozen=True)
class CoordinateDescent:
    """Round to nearest, then move one weight at a time to its best level until no single move helps.

    The 1-opt of J. Park and S. Boyd (arXiv 1504.07672), within the levels. Other rows beside it change a row
    by rounding alone.
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
        return self.run_rows([problem], [feasible], limits)[0]

    def run_rows(
        self, problems: Sequence[LayerProblem], sets: Sequence[FeasibleSet], limits: Limits
    ) -> list[Outcome]:
        """Return a 1-optimal point of each row."""
        W = np.array([problem.w for problem in problems])
        levels, expired = RowLevels.of(sets, W.shape[1]), limits.clock()
        points, sweeps = descend_rows(problems[0].H, W, levels, levels.nearest(W), expired)
        status = Status.TIME_LIMIT if expired() else Status.FEASIBLE
        return [Outcome(status, point, iterations=sweeps) for point in points]

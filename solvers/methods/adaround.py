"""Learn which way to round each weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pvq.solvers.descent import descend_rows
from pvq.solvers.feasible import FeasibleSet, FiniteSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.row_levels import RowLevels
from pvq.solvers.soft_rounding import Schedule, soften
from pvq.solvers.solver import SOLVERS, Limits

__all__ = ["Adaround"]


@SOLVERS.register("adaround")
@dataclass(frozen=True)
class Adaround(Schedule):
    """AdaRound: gradient descent decides between the two levels around each weight (arXiv 2004.10568).

    On (x - w)' H (x - w) itself, for all rows at once and without chance; other rows beside it change a row
    by rounding alone, which may turn a weight that hangs in the balance. Where rounding to nearest is better
    than what was learned, it is returned. Where time runs out, the state of that moment is rounded.

    Parameters
    ----------
    iterations, rate, weight, warm : as of `pvq.solvers.soft_rounding.Schedule`
    descent : move single weights afterwards until none helps
    """

    descent: bool = False

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse anything but a finite set."""
        return None if isinstance(feasible, FiniteSet) else "adaround rounds to levels; use admm to prune"

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return the rounded weights."""
        return self.run_rows([problem], [feasible], limits)[0]

    def run_rows(
        self, problems: Sequence[LayerProblem], sets: Sequence[FeasibleSet], limits: Limits
    ) -> list[Outcome]:
        """Return the rounded weights of each row."""
        H, W = problems[0].H, np.array([problem.w for problem in problems])
        levels, expired = RowLevels.of(sets, len(H)), limits.clock()
        low, high = levels.around(W)
        learned = np.where(soften(H, W, low, high, self, expired) > 0.5, high, low)
        found = [learned, levels.nearest(W)]
        if self.descent:
            found = [descend_rows(H, W, levels, X, expired)[0] for X in found]
        status = Status.TIME_LIMIT if expired() else Status.FEASIBLE
        points = [min(options, key=row.error) for row, *options in zip(problems, *found, strict=True)]
        return [Outcome(status, point, iterations=self.iterations) for point in points]

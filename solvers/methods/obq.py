"""Optimal Brain Quantizer: round the cheapest weight first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.solvers._dual.prepared import prepare
from pvq.solvers.descent import descend
from pvq.solvers.elimination import inverse_of, round_greedily
from pvq.solvers.feasible import FeasibleSet, FiniteSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.row_levels import RowLevels
from pvq.solvers.solver import SOLVERS, Limits

__all__ = ["Obq"]


@SOLVERS.register("obq")
@dataclass(frozen=True)
class Obq:
    """Round the weight whose rounding costs least, let the others make up for it, repeat.

    E. Frantar, S. P. Singh, D. Alistarh, "Optimal Brain Compression", arXiv 2208.11580. Where time runs out,
    the weights that are left are rounded to nearest as they stand.

    Parameters
    ----------
    outliers : round weights that were pushed beyond their outermost level by more than half a gap at once
    descent : move single weights afterwards until none helps
    """

    outliers: bool = True
    descent: bool = False

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse anything but a finite set."""
        return None if isinstance(feasible, FiniteSet) else "obq rounds to levels; use obs to prune"

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return the rounded weights."""
        assert isinstance(feasible, FiniteSet), "refused otherwise"
        prepared, expired = prepare(problem.gram), limits.clock()
        alive, root, least = prepared.alive, prepared.root, 1.0 / (1.0 + prepared.ridge)
        row = RowLevels.of([feasible], problem.n)
        scales = (row.scales[0, alive] * root)[:, None]
        levels = RowLevels(row.levels, row.edges, np.zeros(len(alive), dtype=np.int64), scales)
        A, w = inverse_of(problem.gram), problem.w[alive] * root
        target = problem.w.copy()
        target[alive] = round_greedily(A, w, levels, self.outliers, least, expired) / root
        point = feasible.nearest(target)
        if self.descent:
            point = descend(problem, feasible, point)[0]
        status = Status.TIME_LIMIT if expired() else Status.FEASIBLE
        return Outcome(status, point, iterations=len(alive))

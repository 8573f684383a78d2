"""Round weights one after another and let the others make up for each rounding error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pvq.arrays import F64, I64
from pvq.solvers.descent import descend_rows
from pvq.solvers.feasible import FeasibleSet, FiniteSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.propagation import BLOCK, inverse_factor, propagate
from pvq.solvers.row_levels import RowLevels
from pvq.solvers.solver import SOLVERS, Limits

__all__ = ["Gptq"]


@SOLVERS.register("gptq")
@dataclass(frozen=True)
class Gptq:
    """GPTQ: fixed order, each rounding error is passed on to the weights still to come.

    E. Frantar, S. Ashkboos, T. Hoefler, D. Alistarh, arXiv 2210.17323. The damping changes what is rounded to
    what, never what is measured: the error reported is that of the undamped H. A whole layer shares the
    factor of H and is rounded at once; other rows beside it change a row by rounding alone.

    Parameters
    ----------
    damping : added to the diagonal, in units of its mean
    order : activation (largest H_ii first, "act-order"), natural, or best of the two for each row
    descent : move single weights afterwards until none helps
    """

    damping: float = 0.01
    order: Literal["activation", "natural", "best"] = "activation"
    descent: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.damping < np.inf:
            raise ValueError(f"damping must not be negative, got {self.damping}")

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse anything but a finite set."""
        return None if isinstance(feasible, FiniteSet) else "gptq rounds to levels; use sparsegpt to prune"

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return the best point over the orders asked for."""
        return self.run_rows([problem], [feasible], limits)[0]

    def run_rows(
        self, problems: Sequence[LayerProblem], sets: Sequence[FeasibleSet], limits: Limits
    ) -> list[Outcome]:
        """Return the best point of each row."""
        H, W = problems[0].H, np.array([problem.w for problem in problems])
        levels, expired = RowLevels.of(sets, len(H)), limits.clock()
        found = [self._rounded(H, W, levels, order) for order in self._orders(H)]
        if self.descent:
            found = [descend_rows(H, W, levels, X, expired)[0] for X in found]
        status = Status.TIME_LIMIT if self.descent and expired() else Status.FEASIBLE
        points = [min(options, key=row.error) for row, *options in zip(problems, *found, strict=True)]
        return [Outcome(status, point, iterations=len(found) * len(H)) for point in points]

    def _orders(self, H: F64) -> list[I64]:
        natural, activation = np.arange(len(H)), np.argsort(-np.diagonal(H), kind="stable")
        return {"activation": [activation], "natural": [natural], "best": [activation, natural]}[self.order]

    def _rounded(self, H: F64, W: F64, levels: RowLevels, order: I64) -> F64:
        """Round all rows in the given order."""
        from pvq.solvers._kernels.propagation import round_block

        ordered = levels.take(order)

        def settle(V: F64, C: F64, X: F64, E: F64, first: int) -> None:
            round_block(V, C, X, E, ordered.levels, ordered.edges, ordered.book, ordered.scales, first)

        C = inverse_factor(H[np.ix_(order, order)], self.damping)
        X = np.empty_like(W)
        X[:, order] = propagate(W[:, order], C, [*range(0, len(H), BLOCK), len(H)], settle)
        return X

"""Pruning by operator splitting, then refit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pvq.solvers.feasible import FeasibleSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits
from pvq.solvers.splitting import split_rows
from pvq.solvers.supports import Supports, fit_support, supports_of

__all__ = ["Admm"]


@SOLVERS.register("admm")
@dataclass(frozen=True)
class Admm:
    """Supports by ADMM with a rising penalty, as ALPS does (arXiv 2406.07831), and least squares on them.

    A whole layer shares one eigendecomposition and runs at once; other rows beside it change a row by
    rounding alone. Where time runs out, the supports of that moment are used.
    """

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse sets without supports."""
        return None if Supports.of(feasible) is not None else "admm prunes; use adaround to quantize"

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return the refitted weights."""
        return self.run_rows([problem], [feasible], limits)[0]

    def run_rows(
        self, problems: Sequence[LayerProblem], sets: Sequence[FeasibleSet], limits: Limits
    ) -> list[Outcome]:
        """Return the refitted weights of each row."""
        expired = limits.clock()
        found = split_rows(problems, [supports_of(chosen) for chosen in sets], expired)
        status = Status.TIME_LIMIT if expired() else Status.FEASIBLE
        return [
            Outcome(status, fit_support(problem, chosen, kept), iterations=steps)
            for problem, chosen, (kept, steps) in zip(problems, sets, found, strict=True)
        ]

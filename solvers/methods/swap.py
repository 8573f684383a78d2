"""Good supports made better by exchanges and kicks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pvq.arrays import Bool
from pvq.solvers.elimination import eliminate
from pvq.solvers.exchange import Exchange
from pvq.solvers.feasible import FeasibleSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits
from pvq.solvers.splitting import split_rows
from pvq.solvers.supports import Supports, fit_support, supports_of

__all__ = ["Swap"]


@SOLVERS.register("swap")
@dataclass(frozen=True)
class Swap:
    """From ExactOBS and ADMM, exchange a removed and a kept weight, best pair first, then kick the better.

    Stepwise exchange is R. R. Hocking's (Biometrics 32, 1976), here within the row or the group. A kick
    exchanges a few random pairs and is undone unless the exchanges after it lead lower (iterated local
    search: H. Lourenco, O. Martin, T. Stutzle, arXiv math/0102188). In a box the exchanges are those without
    it; of the supports met, the one whose fit within the box is best is returned.

    Parameters
    ----------
    starts : supports to begin with
    kicks : how many
    size : pairs exchanged in one kick
    """

    starts: Literal["obs", "admm", "both"] = "both"
    kicks: int = 30
    size: int = 4

    def __post_init__(self) -> None:
        if self.kicks < 0 or self.size < 1:
            raise ValueError(
                f"kicks must be at least 0 and size at least 1, got {self.kicks} and {self.size}"
            )

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse sets without supports."""
        return None if Supports.of(feasible) is not None else "swap prunes; use obq to quantize"

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return the weights on the best support found, with their least-squares values."""
        return self.run_rows([problem], [feasible], limits)[0]

    def run_rows(
        self, problems: Sequence[LayerProblem], sets: Sequence[FeasibleSet], limits: Limits
    ) -> list[Outcome]:
        """Return the best weights found of each row; the starts by ADMM are computed for all at once."""
        expired, rules = limits.clock(), [supports_of(chosen) for chosen in sets]
        given: list[list[Bool]] = [[] for _ in problems]
        if self.starts != "obs":
            given = [[kept] for kept, _ in split_rows(problems, rules, expired)]
        return [
            self._searched(problem, chosen, supports, starts, limits.seed, expired)
            for problem, chosen, supports, starts in zip(problems, sets, rules, given, strict=True)
        ]

    def _searched(
        self,
        problem: LayerProblem,
        feasible: FeasibleSet,
        supports: Supports,
        starts: list[Bool],
        seed: int,
        expired: Callable[[], bool],
    ) -> Outcome:
        """Climb from every start, kick the best, and return the best of all by its true error."""
        if self.starts != "admm":
            starts = [*starts, eliminate(problem, supports, expired)]
        searches = [Exchange(problem, supports, start, expired) for start in starts]
        for search in searches:
            search.climb()
        best = min(searches, key=lambda search: search.error)
        best.kick(self.kicks, self.size, np.random.default_rng(seed))
        points = [fit_support(problem, feasible, kept) for kept in (best.kept, *starts)]
        status = Status.TIME_LIMIT if expired() else Status.FEASIBLE
        exchanges = sum(search.exchanges for search in searches)
        return Outcome(status, min(points, key=problem.error), iterations=exchanges)

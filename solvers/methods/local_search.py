"""Good roundings made better by pairs of moves and kicks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.solvers.feasible import FeasibleSet, FiniteSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.row_levels import RowLevels
from pvq.solvers.solver import SOLVERS, Limits, RowsSolver

__all__ = ["LocalSearch"]

WORK = 5e7  # multiplications that one call of the kernel may take, a fraction of a second


@SOLVERS.register("local-search")
@dataclass(frozen=True)
class LocalSearch:
    """From the points of other methods, move single weights and pairs until none helps, then kick the best.

    A pair is a step of one weight to a neighbouring level with the best answer of another. A kick moves a few
    random weights to neighbouring levels and is undone unless the moves after it lead lower (iterated local
    search: H. Lourenco, O. Martin, T. Stutzle, arXiv math/0102188). The counterpart of `swap`.

    Parameters
    ----------
    kicks : how many
    size : weights moved in one kick
    starts : methods to begin with, by semicolons
    """

    kicks: int = 200
    size: int = 6
    starts: tuple[str, ...] = ("gptq[order=best,descent=true]", "obq", "beam")

    def __post_init__(self) -> None:
        if self.kicks < 0 or self.size < 1:
            raise ValueError(
                f"kicks must be at least 0 and size at least 1, got {self.kicks} and {self.size}"
            )
        if not self.starts:
            raise ValueError("starts must name a method, got none")

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse anything but a finite set."""
        return (
            None
            if isinstance(feasible, FiniteSet)
            else "local-search moves between levels; use swap to prune"
        )

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return the best point found."""
        return self.run_rows([problem], [feasible], limits)[0]

    def run_rows(
        self, problems: Sequence[LayerProblem], sets: Sequence[FeasibleSet], limits: Limits
    ) -> list[Outcome]:
        """Return the best point of each row; starts that can take all rows at once."""
        expired, points = limits.clock(), [[s.nearest(p.w)] for p, s in zip(problems, sets, strict=True)]
        for spec in self.starts:
            if not expired():
                for found, outcome in zip(points, _started(spec, problems, sets, limits), strict=True):
                    found.extend([] if outcome.point is None else [outcome.point])
        rows = zip(problems, sets, points, strict=True)
        return [self._searched(*row, np.random.default_rng(limits.seed), expired) for row in rows]

    def _searched(
        self,
        problem: LayerProblem,
        feasible: FeasibleSet,
        starts: list[F64],
        rng: np.random.Generator,
        expired: Callable[[], bool],
    ) -> Outcome:
        assert isinstance(feasible, FiniteSet), "refused otherwise"
        row = _Row(problem, feasible)
        settled = [row.settled(start, expired) for start in starts]
        best = min(settled, key=problem.error)
        found, kept = row.kicked(best, self.kicks, self.size, rng, expired)
        status = Status.TIME_LIMIT if expired() else Status.FEASIBLE
        return Outcome(status, min([*starts, *settled, found], key=problem.error), iterations=kept)


def _started(
    spec: str, problems: Sequence[LayerProblem], sets: Sequence[FeasibleSet], limits: Limits
) -> list[Outcome]:
    """Return the outcomes of a method for all rows; those that it refuses or breaks down on have no point."""
    method = SOLVERS.build(spec)
    reasons = [method.refusal(*row) for row in zip(problems, sets, strict=True)]
    if any(reasons):
        return [Outcome(Status.REFUSED, notes=reason or "other rows are refused") for reason in reasons]
    try:
        if isinstance(method, RowsSolver):
            return method.run_rows(problems, sets, limits)
        return [method.run(*row, limits) for row in zip(problems, sets, strict=True)]
    except np.linalg.LinAlgError as error:
        return [Outcome(Status.FAILED, notes=str(error))] * len(problems)


class _Row:
    """One row's data in the form that the kernels read."""

    def __init__(self, problem: LayerProblem, feasible: FiniteSet) -> None:
        levels = RowLevels.of([feasible], problem.n)
        self.problem = problem
        self.levels, self.edges, self.scales = levels.levels[0], levels.edges[0], levels.scales[0]

    def settled(self, start: F64, expired: Callable[[], bool]) -> F64:
        """Return a point that no single move and no pair improves, unless time is up."""
        from pvq.solvers._kernels.pair_moves import settle

        x = start.copy()
        while not expired():
            change = settle(self.problem.H, x, self._slope(x), self.levels, self.edges, self.scales, 1)
            if change >= 0.0:
                break
        return x

    def kicked(
        self, start: F64, kicks: int, size: int, rng: np.random.Generator, expired: Callable[[], bool]
    ) -> tuple[F64, int]:
        """Return the point after so many kicks and how many of them were kept."""
        from pvq.solvers._kernels.pair_moves import kick_and_descend

        x, kept, n = start.copy(), 0, self.problem.n
        share = max(1, int(WORK / (20.0 * n * n)))
        for done in range(0, kicks, share):
            if expired():
                break
            count = min(share, kicks - done)
            where, up = rng.integers(0, n, (count, size)), rng.random((count, size))
            kept += kick_and_descend(
                self.problem.H, x, self._slope(x), self.levels, self.edges, self.scales, where, up
            )
        return x, kept

    def _slope(self, x: F64) -> F64:
        return np.asarray(self.problem.H @ (x - self.problem.w))

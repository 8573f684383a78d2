"""Beam search over the orders of lattice decoding, then local moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pvq.solvers.feasible import FeasibleSet, FiniteSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits

__all__ = ["Beam"]

BEAM_ORDERS = ("v-blast", "activation", "natural")


@SOLVERS.register("beam")
@dataclass(frozen=True)
class Beam:
    """K-best successive rounding (Z. Guo, P. Nilsson, IEEE JSAC 24, 2006) in three orders, then moves.

    After each decision the `width` partial decisions of least cost live on. The best complete ones of each
    order are improved by moves of single weights and, if asked for, of pairs of weights.

    Parameters
    ----------
    width : partial decisions kept
    keep : complete ones of each order that are improved
    moves : `single`, or also joint moves of two weights to neighbouring levels
    """

    width: int = 128
    keep: int = 4
    moves: Literal["single", "pairs"] = "single"

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 2**20:
            raise ValueError(f"width must lie in [1, 1048576], got {self.width}")
        if not 1 <= self.keep <= self.width:
            raise ValueError(f"keep must lie in [1, width = {self.width}], got {self.keep}")

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse anything but a finite set."""
        return None if isinstance(feasible, FiniteSet) else "beam decides between levels; use swap to prune"

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return the best point found; at the time limit the best of the orders tried, at least one."""
        assert isinstance(feasible, FiniteSet), "refused otherwise"
        return self._row(problem, feasible, limits.clock())

    def run_rows(
        self, problems: Sequence[LayerProblem], sets: Sequence[FeasibleSet], limits: Limits
    ) -> list[Outcome]:
        """Return the outcome of each row; orders and factors are made once, the time is for all together."""
        clock = limits.clock()
        return [self._row(*row, clock) for row in zip(problems, sets, strict=True)]

    def _row(self, problem: LayerProblem, feasible: FeasibleSet, stop: Callable[[], bool]) -> Outcome:
        from pvq.solvers._search.beam import best_of_beams
        from pvq.solvers._search.lattice import Lattice

        assert isinstance(feasible, FiniteSet), "refused otherwise"
        lattice = Lattice.of(problem, feasible)
        index = best_of_beams(lattice, BEAM_ORDERS, self.width, self.keep, self.moves == "pairs", stop)
        status = Status.TIME_LIMIT if stop() else Status.FEASIBLE
        return Outcome(status, lattice.point(index), iterations=problem.n)

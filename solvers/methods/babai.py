"""Successive rounding in a chosen order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pvq.solvers.feasible import FeasibleSet, FiniteSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits

__all__ = ["Babai"]


@SOLVERS.register("babai")
@dataclass(frozen=True)
class Babai:
    """Babai's nearest plane (Combinatorica 6, 1986) within the levels: round, pass the error on, go on.

    With H = R'R in the order's numbering, weight i is rounded at the value that is best given the weights
    decided before; every rounding costs R_ii^2 delta^2. GPTQ without damping is the same in the order
    `activation` (arXiv 2507.18553); the other orders come from the decoding of lattices.

    Parameters
    ----------
    order : `natural` (first weight first), `activation` (largest H_ii first), `v-blast` (least conditional
        variance first: Foschini, Bell Labs Tech. J. 1, 1996), `sqrd` (least pivot last: Wuebben et al.,
        Electronics Letters 37, 2001), or `best` of the four
    """

    order: Literal["natural", "activation", "v-blast", "sqrd", "best"] = "best"

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse anything but a finite set."""
        return None if isinstance(feasible, FiniteSet) else "babai rounds to levels; use obs to prune"

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return the rounded point, of several orders the best."""
        from pvq.solvers._search.beam import round_in_order
        from pvq.solvers._search.geometry import ORDERS
        from pvq.solvers._search.lattice import Lattice

        assert isinstance(feasible, FiniteSet), "refused otherwise"
        lattice = Lattice.of(problem, feasible)
        orders = list(ORDERS) if self.order == "best" else [self.order]
        points = [lattice.point(round_in_order(lattice, order)[0]) for order in orders]
        return Outcome(Status.FEASIBLE, min(points, key=problem.error), iterations=len(orders) * problem.n)

    def run_rows(
        self, problems: Sequence[LayerProblem], sets: Sequence[FeasibleSet], limits: Limits
    ) -> list[Outcome]:
        """Return the outcome of each row; orders and factors are made once."""
        return [self.run(*row, limits) for row in zip(problems, sets, strict=True)]

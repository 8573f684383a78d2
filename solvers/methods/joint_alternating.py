"""Alternate between levels and supports under a budget."""

from __future__ import annotations

from dataclasses import dataclass

from pvq.solvers.budget_descent import descend_in_budget
from pvq.solvers.elimination import eliminate
from pvq.solvers.exchange import Exchange
from pvq.solvers.feasible import FeasibleSet, SparseSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.sets.joint import JointSet
from pvq.solvers.solver import SOLVERS, Limits
from pvq.solvers.supports import supports_of

from .joint_obc import compensated

__all__ = ["JointAlternating"]


@SOLVERS.register("joint-alternating")
@dataclass(frozen=True)
class JointAlternating:
    """Moves of one level, and where none helps exchanges of a kept and a pruned weight, until none helps.

    Block coordinate descent on levels and support, from the nearest point of the set, from that of
    `joint-obc` and from one on the support that exchanges make of it; the best end is returned. Moves are the
    best of their kind; in an exchange one weight goes to a cheaper level and another, with the budget freed,
    to a dearer one, each where it is then best.
    """

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse anything but a joint set."""
        return (
            None
            if isinstance(feasible, JointSet)
            else "joint-alternating needs levels under a budget; use swap or coordinate-descent"
        )

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return a point that no single move and no exchange within the budget improves."""
        assert isinstance(feasible, JointSet), "refused otherwise"
        expired = limits.clock()
        rule = supports_of(SparseSet(feasible.n, feasible.nonzero))
        kept = eliminate(problem, rule, expired)
        search = Exchange(problem, rule, kept, expired)
        search.climb()
        starts = [compensated(problem, feasible, support, expired) for support in (kept, search.kept)]
        starts.append(feasible.nearest(problem.w))
        found = [descend_in_budget(problem, feasible, start, True, expired) for start in starts]
        point = min((x for x, _ in found), key=problem.error)
        status = Status.TIME_LIMIT if expired() else Status.FEASIBLE
        return Outcome(status, point, iterations=sum(moves for _, moves in found))

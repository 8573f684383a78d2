"""The diagonal dual bound of pruning and quantizing under one budget."""

from __future__ import annotations

from dataclasses import dataclass

from pvq.solvers._dual.joint import JointDual
from pvq.solvers.feasible import FeasibleSet
from pvq.solvers.outcome import Outcome
from pvq.solvers.problem import LayerProblem
from pvq.solvers.sets.joint import JointSet
from pvq.solvers.solver import SOLVERS, Limits

__all__ = ["JointBound"]


@SOLVERS.register("joint-bound")
@dataclass(frozen=True)
class JointBound:
    """Certified bound for levels under a budget: diagonal dual with a price per bit.

    The separable part of the error is minimised level by level, each at its price; where the levels without
    the budget, or the support without the levels, are proved to cost more, that proof is returned.

    Parameters
    ----------
    relaxations : also bound those two larger sets and return the best proof
    """

    relaxations: bool = True

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse anything but a joint set of the problem's size."""
        if not isinstance(feasible, JointSet):
            return "joint-bound bounds joint sets; use hull for levels and perspective for sparse"
        return None if feasible.n == problem.n else f"the set is for {feasible.n} weights, not {problem.n}"

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return a certificate and a rounded point."""
        assert isinstance(feasible, JointSet), "refused otherwise"
        return JointDual(problem, feasible, self.relaxations).run(limits)

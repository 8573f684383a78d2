"""Prune, then quantize what is left, each time with compensation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64, I64, Bool
from pvq.solvers._dual.linalg import cholesky, inverse
from pvq.solvers._dual.prepared import prepare
from pvq.solvers.budget_descent import class_levels, descend_in_budget
from pvq.solvers.elimination import eliminate, round_greedily
from pvq.solvers.feasible import FeasibleSet, FiniteSet, SparseSet
from pvq.solvers.knapsack import cheapest_classes
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.refit import refit
from pvq.solvers.row_levels import RowLevels
from pvq.solvers.sets.joint import JointSet
from pvq.solvers.solver import SOLVERS, Limits
from pvq.solvers.supports import supports_of
from pvq.theory.codebook import Codebook

__all__ = ["JointObc", "compensated"]


@SOLVERS.register("joint-obc")
@dataclass(frozen=True)
class JointObc:
    """ExactOBS down to as many weights as the budget pays for, then OBQ on those that are left.

    The order of E. Frantar, S. P. Singh, D. Alistarh, "Optimal Brain Compression", arXiv 2208.11580. Where
    levels differ in cost, the refitted weights take the cost classes of least summed
    (w_i - level)^2 / (H^-1)_ii that the budget pays for, what is left of it raises classes, and OBQ may use
    any level that costs no more. The better of this and the nearest point of the set is returned.

    Parameters
    ----------
    descent : afterwards move single weights within the budget until none helps
    """

    descent: bool = False

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse anything but a joint set."""
        return (
            None
            if isinstance(feasible, JointSet)
            else "joint-obc needs levels under a budget; use obs or obq"
        )

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return the pruned and rounded weights."""
        assert isinstance(feasible, JointSet), "refused otherwise"
        expired = limits.clock()
        kept = eliminate(problem, supports_of(SparseSet(feasible.n, feasible.nonzero)), expired)
        points = [compensated(problem, feasible, kept, expired), feasible.nearest(problem.w)]
        if self.descent:
            points = [descend_in_budget(problem, feasible, x, False, expired)[0] for x in points]
        status = Status.TIME_LIMIT if expired() else Status.FEASIBLE
        return Outcome(status, min(points, key=problem.error), iterations=problem.n)


def compensated(problem: LayerProblem, feasible: JointSet, kept: Bool, expired: Callable[[], bool]) -> F64:
    """Return the weights kept, live ones, refitted and rounded with compensation in their cost classes."""
    prepared = prepare(problem.gram)
    index = np.flatnonzero(kept)
    live = np.searchsorted(prepared.alive, index)
    factor = cholesky(np.asfortranarray(prepared.A[np.ix_(live, live)])) if len(live) else None
    A = np.ascontiguousarray(inverse(factor)) if factor is not None else np.zeros((0, 0))
    x, root, levels = refit(problem, index), prepared.root[live], _affordable(feasible)
    weight = np.diagonal(problem.H).copy()
    weight[index] = root**2 / np.diagonal(A)
    losses = weight * (_nearest(class_levels(feasible), x) - x) ** 2
    chosen = cheapest_classes(losses, feasible.classes, feasible.budget)
    _spend(feasible, chosen, index[np.argsort(-weight[index], kind="stable")])
    scales = (levels.scales[0, index] * root)[:, None]
    own = RowLevels(levels.levels, levels.edges, levels.book[chosen[index]], scales)
    least = 1.0 / (1.0 + prepared.ridge)
    x[index] = round_greedily(A, x[index] * root, own, True, least, expired) / root
    return np.asarray(_nearest(levels, x)[chosen, np.arange(problem.n)])


def _spend(feasible: JointSet, chosen: I64, order: I64) -> None:
    """Raise the classes of weights, in the order given, as far as the budget allows, in place."""
    costs = feasible.classes
    slack = int(feasible.budget - costs[chosen].sum())
    for i in order.tolist():
        dearest = int(np.searchsorted(costs, costs[chosen[i]] + slack, side="right")) - 1
        slack -= int(costs[dearest] - costs[chosen[i]])
        chosen[i] = dearest


def _affordable(feasible: JointSet) -> RowLevels:
    """Return for each cost class all levels that cost no more: C rows of n weights."""
    grid = feasible.grid
    upto = [Codebook(grid.levels[feasible.costs <= cost]) for cost in feasible.classes.tolist()]
    return RowLevels.of([FiniteSet(book, grid.scales) for book in upto], feasible.n)


def _nearest(levels: RowLevels, x: F64) -> F64:
    """Return the nearest level of each weight in every class, (C, n)."""
    return levels.nearest(np.repeat(x[None, :], len(levels.book), axis=0))

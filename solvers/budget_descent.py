"""Descent among levels whose costs must stay within a budget: levels, and which weights may be dear."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pvq.arrays import F64, I64
from pvq.solvers.problem import LayerProblem
from pvq.solvers.row_levels import RowLevels
from pvq.solvers.sets.joint import JointSet

__all__ = ["class_levels", "classes_of", "descend_in_budget"]

WORK = 2e8  # operations that one call of the kernel may take, a fraction of a second
MOST_ROUNDS = 1000


def class_levels(feasible: JointSet) -> RowLevels:
    """Return the levels of each cost class as a row: C rows of n weights."""
    return RowLevels.of([feasible.part(cost) for cost in feasible.classes.tolist()], feasible.n)


def classes_of(feasible: JointSet, x: F64) -> I64:
    """Return the cost class of each weight of a point of the set, (n,)."""
    level = class_levels(feasible).nearest(np.repeat(x[None, :], len(feasible.classes), axis=0))
    return np.asarray(np.argmax(level == x, axis=0))


def descend_in_budget(
    problem: LayerProblem,
    feasible: JointSet,
    x: F64,
    pairs: bool,
    expired: Callable[[], bool] = lambda: False,
) -> tuple[F64, int]:
    """Improve a point by its best single moves that the budget allows, then by pairs of moves, best first.

    A pair moves one weight to a cheaper class and another, with the budget that this frees, to a dearer one,
    where each takes the level that is then best: the exchange of supports and levels at once.

    Parameters
    ----------
    x : (n,) a point of the set
    pairs : whether to look at pairs; without, the support grows only where the budget has room
    expired : asked every fraction of a second

    Returns
    -------
    (n,) a point of the set, not worse than x, and the number of moves
    """
    from ._kernels.budget import improve

    levels, start, x, total = class_levels(feasible), x, x.copy(), 0
    chosen = classes_of(feasible, x)
    slack = int(feasible.budget - feasible.classes[chosen].sum())
    share = max(1, int(WORK / (4.0 * problem.n**2 * (1.0 if pairs else 1.0 / problem.n) + 1.0)))
    for _ in range(MOST_ROUNDS):
        slope = problem.H @ (x - problem.w)
        made, slack = improve(
            problem.H, x, slope, chosen, levels.levels[levels.book], levels.edges[levels.book],
            levels.scales[0], feasible.classes, slack, pairs, share,
        )  # fmt: skip
        total += made
        if made == 0 or expired():
            break
    return (x if problem.error(x) < problem.error(start) else start), total

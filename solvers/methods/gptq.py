"""Round weights one after another and let the others make up for each rounding error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pvq.arrays import F64, I64
from pvq.solvers._dual.linalg import cholesky, inverse
from pvq.solvers.descent import descend
from pvq.solvers.feasible import FeasibleSet, FiniteSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits

__all__ = ["Gptq"]


@SOLVERS.register("gptq")
@dataclass(frozen=True)
class Gptq:
    """GPTQ: fixed order, each rounding error is passed on to the weights still to come.

    E. Frantar, S. Ashkboos, T. Hoefler, D. Alistarh, arXiv 2210.17323. The damping changes what is rounded to
    what, never what is measured: the error reported is that of the undamped H.

    Parameters
    ----------
    damping : added to the diagonal, in units of its mean
    order : activation (largest H_ii first, "act-order"), natural, or best of the two
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
        return None if isinstance(feasible, FiniteSet) else "gptq rounds to levels; use obs to prune"

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return the best point over the orders asked for."""
        assert isinstance(feasible, FiniteSet), "refused otherwise"
        natural = np.arange(problem.n)
        activation = np.argsort(-np.diagonal(problem.H), kind="stable")
        orders = {"activation": [activation], "natural": [natural], "best": [activation, natural]}[self.order]
        points = [self._rounded(problem, feasible, order) for order in orders]
        if self.descent:
            points = [descend(problem, feasible, point)[0] for point in points]
        return Outcome(Status.FEASIBLE, min(points, key=problem.error), iterations=len(orders) * problem.n)

    def _rounded(self, problem: LayerProblem, feasible: FiniteSet, order: I64) -> F64:
        """Round in the given order.

        With the upper factor C of the inverse of the ordered H, C'C = H^-1, rounding weight i by an error e
        moves weight j > i by -e C_ij / C_ii.
        """
        live = order[problem.gram.alive[order]]
        x = feasible.nearest(problem.w)
        if len(live) == 0:
            return x
        C = _inverse_factor(problem.H[np.ix_(live, live)], self.damping)
        w = problem.w[live].copy()
        for i, target in enumerate(live):
            x[target] = feasible.nearest(w[i : i + 1])[0]
            w[i + 1 :] -= (w[i] - x[target]) / C[i, i] * C[i, i + 1 :]
        return x


def _inverse_factor(H: F64, damping: float) -> F64:
    """Return the upper triangular C with C'C = (H + damping mean(diag H) I)^-1, more damping if need be."""
    mean = float(np.mean(np.diagonal(H)))
    for share in (damping, 1e-8, 1e-4, 1e-2):
        lower = cholesky(H + max(share, damping) * mean * np.eye(len(H)))
        if lower is None:
            continue
        factor = cholesky(inverse(lower))
        if factor is not None:
            return np.ascontiguousarray(factor.T)
    raise np.linalg.LinAlgError("H is not positive definite even with one per cent damping")

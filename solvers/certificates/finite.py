"""Two numbers per weight that prove a lower bound over a finite set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.solvers.feasible import FeasibleSet, FiniteSet
from pvq.solvers.outcome import CERTIFICATES
from pvq.solvers.problem import LayerProblem
from pvq.solvers.rounding import proves_psd

from .parts import Multipliers, Tangent, bracket, sum_down, tangent_of

__all__ = ["FiniteCertificate", "has_size", "least_over_levels"]

CHUNK = 2**22  # level-by-weight table entries held at once


@CERTIFICATES.register("finite")
@dataclass(frozen=True, eq=False)
class FiniteCertificate(Multipliers):
    """Lower bound for a finite set; d may have any sign.

    min over x >= -u'Mu + sum_i min over levels l of [ d_i (l - w_i)^2 + 2 (Mu)_i (l - w_i) ]

    >>> from pvq.solvers.feasible import fit_set
    >>> problem = LayerProblem(np.eye(1), np.array([0.25]))
    >>> proof = FiniteCertificate(problem.digest, np.array([1.0]), np.array([0.0]))
    >>> round(proof.bound(problem, fit_set("levels[0;1]", problem.w)), 12)
    0.0625
    """

    def bound(self, problem: LayerProblem, feasible: FeasibleSet, slack: float = 1.0) -> float:
        """Return the proved lower bound, -inf if nothing is proved."""
        if not (slack >= 1.0 and isinstance(feasible, FiniteSet) and self.is_about(problem)):
            return -np.inf
        if not (has_size(feasible, problem.n) and proves_psd(problem.H, self.d, slack)):
            return -np.inf
        with np.errstate(all="ignore"):
            tangent = tangent_of(problem, self.d, self.u, slack)
            lowest = least_over_levels(problem.w, feasible, self.d, tangent, slack)
        return sum_down([*lowest, -tangent.quadratic])


def has_size(feasible: FiniteSet, n: int) -> bool:
    """Return whether vectors of n weights can lie in the set: whether it has no scales, or n of them."""
    return feasible.scales is None or len(feasible.scales) == n


def least_over_levels(w: F64, feasible: FiniteSet, d: F64, tangent: Tangent, slack: float) -> F64:
    """Return for each weight a lower bound of its bracket over all levels, in blocks of bounded memory."""
    rows = max(1, CHUNK // len(feasible.levels))
    blocks = [slice(start, start + rows) for start in range(0, len(w), rows)]
    return np.concatenate(
        [
            bracket(
                feasible.level_table(len(w), block) - w[block, None],
                d[block],
                tangent.g[block],
                tangent.error[block],
                slack,
            ).min(1)
            for block in blocks
        ]
    )

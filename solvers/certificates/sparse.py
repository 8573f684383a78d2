"""Two numbers per weight that prove a lower bound over sparse vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.solvers.feasible import FeasibleSet, SparseSet
from pvq.solvers.outcome import CERTIFICATES
from pvq.solvers.problem import LayerProblem
from pvq.solvers.rounding import TINY, gamma, proves_psd

from .parts import Multipliers, Tangent, bracket, sum_down, tangent_of

__all__ = ["SparseCertificate", "branches"]


@CERTIFICATES.register("sparse")
@dataclass(frozen=True, eq=False)
class SparseCertificate(Multipliers):
    """Lower bound for vectors with at least p zeros.

    With g = Mu and delta_i = (d_i w_i - g_i)^2 / d_i,

    min over x >= -u'g - sum_i g_i^2 / d_i + (sum of the p smallest delta_i).

    A weight with d_i = 0 is allowed only where its row of H is zero: then it costs nothing either way. Where
    all weights are removed, p = n, only the sum over removed weights is left and d may have any sign.

    >>> from pvq.solvers.feasible import SparseSet
    >>> problem = LayerProblem(np.eye(2), np.array([2.0, 1.0]))
    >>> proof = SparseCertificate(problem.digest, np.ones(2), np.zeros(2))
    >>> round(proof.bound(problem, SparseSet(2, 1)), 12)
    1.0
    """

    def bound(self, problem: LayerProblem, feasible: FeasibleSet, slack: float = 1.0) -> float:
        """Return the proved lower bound, -inf if nothing is proved."""
        if not (slack >= 1.0 and isinstance(feasible, SparseSet) and self.is_about(problem)):
            return -np.inf
        if feasible.n != problem.n or not (feasible.k == 0 or self._bounds_kept_weights(problem.H)):
            return -np.inf
        if not proves_psd(problem.H, self.d, slack):
            return -np.inf
        with np.errstate(all="ignore"):
            tangent = tangent_of(problem, self.d, self.u, slack)
            kept, removed = branches(problem.w, self.d, tangent, slack)
        return _sum_of_branches(kept, removed, tangent.quadratic, feasible.removed)

    def _bounds_kept_weights(self, H: F64) -> bool:
        """Return whether d v^2 + 2 g v is bounded below over all v for every weight."""
        dead = ~H.any(axis=1)
        return not ((self.d[dead] != 0).any() or (self.d[~dead] <= 0).any())


def branches(w: F64, d: F64, tangent: Tangent, slack: float) -> tuple[F64, F64]:
    """Return lower bounds of d v^2 + 2 g v over all v (a kept weight) and at v = -w (a removed one).

    The kept minimum is -g^2 / d, and 0 for a dead input, where g = 0 exactly; where d <= 0 otherwise, no
    weight is kept and the value cancels in the sum. For v = -w the value d w^2 - 2 g w errs as in `_bracket`.
    """
    most = (np.abs(tangent.g) + tangent.error) * (1.0 + slack * gamma(16))
    positive = np.where(d > 0, d, 1.0)
    kept = np.where(
        d > 0, -(most * (most / positive)) * (1.0 + slack * gamma(16)) - 16 * TINY * (2.0 + most), 0.0
    )
    return kept, bracket(-w[:, None], d, tangent.g, tangent.error, slack)[:, 0]


def _sum_of_branches(kept: F64, removed: F64, quadratic: float, p: int) -> float:
    """Return the least total with p weights removed: all kept, plus the p smallest differences.

    Differences are rounded down, and no choice of p of them sums to less than the p smallest. A difference
    that is not known could be any, and sorting would hide it: then nothing is proved.
    """
    if not np.isfinite(removed).all():
        return -np.inf
    extra = np.sort(np.nextafter(removed - kept, -np.inf))[:p]
    return sum_down([*kept, *extra, -quadratic])

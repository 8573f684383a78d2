"""Two numbers per weight that prove a lower bound over N:M sparse vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.solvers.feasible import FeasibleSet
from pvq.solvers.outcome import CERTIFICATES
from pvq.solvers.problem import LayerProblem
from pvq.solvers.rounding import proves_psd
from pvq.solvers.sets.n_of_m import NOfMSet

from .parts import sum_down, tangent_of
from .sparse import SparseCertificate, branches

__all__ = ["NOfMCertificate"]


@CERTIFICATES.register("n_of_m")
@dataclass(frozen=True, eq=False)
class NOfMCertificate(SparseCertificate):
    """Lower bound for vectors with at least p_j zeros in each group j of consecutive weights.

    As `SparseCertificate`, with the smallest delta_i taken within each group:

    min over x >= -u'g - sum_i g_i^2 / d_i + sum over groups j of (the p_j smallest delta_i of the group).

    >>> problem = LayerProblem(np.eye(4), np.array([2.0, 1.0, 5.0, 3.0]))
    >>> proof = NOfMCertificate(problem.digest, np.ones(4), np.zeros(4))
    >>> round(proof.bound(problem, NOfMSet(4, 1, 2)), 12)
    10.0
    """

    def bound(self, problem: LayerProblem, feasible: FeasibleSet, slack: float = 1.0) -> float:
        """Return the proved lower bound, -inf if nothing is proved."""
        if not (slack >= 1.0 and isinstance(feasible, NOfMSet) and self.is_about(problem)):
            return -np.inf
        if feasible.n != problem.n or not (feasible.kept == 0 or self._bounds_kept_weights(problem.H)):
            return -np.inf
        if not proves_psd(problem.H, self.d, slack):
            return -np.inf
        with np.errstate(all="ignore"):
            tangent = tangent_of(problem, self.d, self.u, slack)
            kept, removed = branches(problem.w, self.d, tangent, slack)
        return _sum_over_groups(kept, removed, tangent.quadratic, feasible)


def _sum_over_groups(kept: F64, removed: F64, quadratic: float, feasible: NOfMSet) -> float:
    """Return the least total: all kept, plus the smallest differences of each group, rounded down."""
    if not np.isfinite(removed).all():
        return -np.inf
    extra = np.nextafter(removed - kept, -np.inf)
    groups = [extra[start : start + feasible.group] for start in range(0, len(extra), feasible.group)]
    smallest = [np.sort(group)[:p] for group, p in zip(groups, feasible.removed, strict=True)]
    return sum_down([*kept, *np.concatenate(smallest), -quadratic])

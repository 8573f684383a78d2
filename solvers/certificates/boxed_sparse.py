"""Two numbers per weight that prove a lower bound over sparse vectors in a box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.solvers.feasible import FeasibleSet
from pvq.solvers.outcome import CERTIFICATES
from pvq.solvers.problem import LayerProblem
from pvq.solvers.rounding import TINY, gamma, proves_psd
from pvq.solvers.sets.boxed_sparse import BoxedSparseSet

from .parts import Multipliers, Tangent, bracket, sum_down, tangent_of
from .sparse import branches

__all__ = ["BoxedSparseCertificate"]


@CERTIFICATES.register("boxed-sparse")
@dataclass(frozen=True, eq=False)
class BoxedSparseCertificate(Multipliers):
    """Lower bound for vectors with at least p zeros and all weights in [low, high]; d may have any sign.

    With g = Mu, a kept weight costs kappa_i = min over v in [low - w_i, high - w_i] of d_i v^2 + 2 g_i v,

    min over x >= -u'g + sum_i kappa_i + (sum of the p smallest d_i w_i^2 - 2 g_i w_i - kappa_i).

    >>> problem = LayerProblem(np.eye(2), np.array([2.0, 1.0]))
    >>> proof = BoxedSparseCertificate(problem.digest, np.ones(2), np.zeros(2))
    >>> round(proof.bound(problem, BoxedSparseSet(2, 1, 0.0, 1.5)), 12)
    1.25
    """

    def bound(self, problem: LayerProblem, feasible: FeasibleSet, slack: float = 1.0) -> float:
        """Return the proved lower bound, -inf if nothing is proved."""
        if not (slack >= 1.0 and isinstance(feasible, BoxedSparseSet) and self.is_about(problem)):
            return -np.inf
        if feasible.n != problem.n or not proves_psd(problem.H, self.d, slack):
            return -np.inf
        with np.errstate(all="ignore"):
            tangent = tangent_of(problem, self.d, self.u, slack)
            free, removed = branches(problem.w, self.d, tangent, slack)
            ends = np.stack([feasible.low - problem.w, feasible.high - problem.w], axis=1)
            kept = np.where(
                _least_at_an_end(ends, self.d, tangent, slack),
                bracket(ends, self.d, tangent.g, tangent.error, slack).min(axis=1),
                free,
            )
            extra = np.nextafter(removed - kept, -np.inf)
        if not np.isfinite(extra).all():
            return -np.inf
        return sum_down([*kept, *np.sort(extra)[: feasible.removed], -tangent.quadratic])


def _least_at_an_end(
    ends: F64, d: F64, tangent: Tangent, slack: float
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return where d v^2 + 2 g v surely has its least value over the box at one of its ends.

    It does where d <= 0, and where half the slope d v + g has one sign: not negative at the lower end or not
    positive at the upper one. Elsewhere the least value over all v is a lower bound.
    """
    product = d[:, None] * ends
    slope = product + tangent.g[:, None]
    doubt = slack * gamma(8) * (np.abs(product) + np.abs(slope)) + 1.01 * tangent.error[:, None]
    doubt += 16 * TINY * (2.0 + np.abs(d[:, None]))
    return (d <= 0) | (slope[:, 0] >= doubt[:, 0]) | (slope[:, 1] <= -doubt[:, 1])

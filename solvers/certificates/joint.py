"""Two numbers per weight and a price per bit that prove a lower bound over levels under a budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import F64
from pvq.solvers.feasible import FeasibleSet
from pvq.solvers.outcome import CERTIFICATES
from pvq.solvers.problem import LayerProblem
from pvq.solvers.rounding import proves_psd
from pvq.solvers.sets.joint import JointSet

from .finite import least_over_levels
from .parts import Multipliers, sum_down, tangent_of

__all__ = ["JointCertificate"]


@CERTIFICATES.register("joint")
@dataclass(frozen=True, eq=False)
class JointCertificate(Multipliers):
    """Lower bound for levels that cost at most a budget in all; d may have any sign.

    For any price t >= 0 the points that keep the budget are not harmed by paying t (cost - budget) <= 0:

    min over x >= -u'Mu - t budget
                  + sum_i min over levels l of [ d_i (l - w_i)^2 + 2 (Mu)_i (l - w_i) + t cost_l ]

    Parameters
    ----------
    problem, d, u : as of every dual certificate
    t : price of one unit of cost, in units of the error

    >>> from pvq.solvers.feasible import fit_set
    >>> problem = LayerProblem(np.eye(2), np.array([2.0, 1.0]))
    >>> feasible = fit_set("joint[bits=2,density=0.5,scale=1]", problem.w)
    >>> proof = JointCertificate(problem.digest, np.ones(2), np.zeros(2), 1.0)
    >>> round(proof.bound(problem, feasible), 12)
    2.0
    """

    t: float

    def bound(self, problem: LayerProblem, feasible: FeasibleSet, slack: float = 1.0) -> float:
        """Return the proved lower bound, -inf if nothing is proved."""
        if not (slack >= 1.0 and isinstance(feasible, JointSet) and self.is_about(problem)):
            return -np.inf
        if not (feasible.n == problem.n and 0.0 <= self.t < np.inf):
            return -np.inf
        if not proves_psd(problem.H, self.d, slack):
            return -np.inf
        with np.errstate(all="ignore"):
            tangent = tangent_of(problem, self.d, self.u, slack)
            branches = [
                least_over_levels(problem.w, feasible.part(cost), self.d, tangent, slack)
                + np.nextafter(self.t * cost, -np.inf)
                for cost in feasible.classes.tolist()
            ]
            lowest = np.nextafter(np.min(branches, axis=0), -np.inf)
            paid = float(np.nextafter(self.t * feasible.budget, np.inf))
        return sum_down([*lowest, -tangent.quadratic, -paid])

    def arrays(self) -> dict[str, F64]:
        """Return what is stored: d, u and t."""
        return {**super().arrays(), "t": np.array([self.t])}

    @classmethod
    def restore(cls, problem: str, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Self:
        """Return the certificate that was stored."""
        if arrays["t"].shape != (1,):
            raise ValueError(f"t must hold one number, got shape {arrays['t'].shape}")
        return cls(problem, arrays["d"], arrays["u"], float(arrays["t"][0]))

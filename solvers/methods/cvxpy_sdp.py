"""The relaxations solved by a general conic solver: an independent reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pvq.solvers.feasible import FeasibleSet, FiniteSet, SparseSet
from pvq.solvers.outcome import Outcome
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits

__all__ = ["CvxpySdp"]


@SOLVERS.register("cvxpy-sdp")
@dataclass(frozen=True)
class CvxpySdp:
    """Reference: the relaxation of `sdp`, of the full hull or of `perspective`, by a solver behind CVXPY.

    What the solver reports is the value of a nearly feasible primal point, which is no lower bound: it goes
    into the notes. The bound is that of a certificate built from the solver's multipliers and re-proved.

    Parameters
    ----------
    solver : CLARABEL, SCS, or MOSEK where the user has it
    relaxation : of finite sets, park-boyd or hull; sparse sets have one, the optimal perspective relaxation
    accuracy : relative accuracy at which the solver stops, its own default if None

    >>> CvxpySdp(accuracy=0.0)
    Traceback (most recent call last):
    ValueError: accuracy must lie in (0, 1), got 0.0
    """

    solver: Literal["CLARABEL", "SCS", "MOSEK"] = "CLARABEL"
    relaxation: Literal["park-boyd", "hull"] = "park-boyd"
    accuracy: float | None = None

    def __post_init__(self) -> None:
        if self.accuracy is not None and not 0 < self.accuracy < 1:
            raise ValueError(f"accuracy must lie in (0, 1), got {self.accuracy}")

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse other sets, and where a package is missing."""
        from pvq.solvers.backends.cvxpy_run import MODULES
        from pvq.solvers.backends.packages import missing

        if not isinstance(feasible, (FiniteSet, SparseSet)):
            return "cvxpy-sdp bounds finite and sparse sets"
        return missing("cvxpy", MODULES[self.solver])

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return a rounded point and a certificate from the multipliers; the solver's value is in the notes.

        The time limit is looked at between the solver's iterations: one of Clarabel's takes seconds from
        64 weights on.
        """
        if isinstance(feasible, SparseSet):
            from pvq.solvers.backends.cvxpy_perspective import relax_sparse

            return relax_sparse(problem, feasible, self.solver, self.accuracy, limits)
        from pvq.solvers.backends.cvxpy_sdp import relax_finite

        assert isinstance(feasible, FiniteSet), "refused otherwise"
        return relax_finite(problem, feasible, self.relaxation, self.solver, self.accuracy, limits)

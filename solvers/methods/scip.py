"""SCIP: a general branch and bound, as an independent reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pvq.solvers.feasible import FeasibleSet
from pvq.solvers.outcome import Outcome
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits

__all__ = ["Scip"]


@SOLVERS.register("scip")
@dataclass(frozen=True)
class Scip:
    """Reference: the mixed-integer program solved by SCIP, from our incumbent and with our diagonal.

    Its status and its dual bound, read also at a time-out, are its own, within its tolerances: they stand in
    the notes and are never certified.

    Parameters
    ----------
    form : of sparse sets: perspective (x_i^2 <= t_i z_i with the best diagonal) or big-m; levels are
        integers where they are evenly spaced, binaries otherwise
    gap : relative gap of its own bounds at which SCIP stops; it then says gaplimit, not optimal

    >>> Scip(gap=-1.0)
    Traceback (most recent call last):
    ValueError: gap must not be negative, got -1.0
    """

    form: Literal["perspective", "big-m"] = "perspective"
    gap: float = 1e-4

    def __post_init__(self) -> None:
        if not self.gap >= 0:
            raise ValueError(f"gap must not be negative, got {self.gap}")

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse other sets, very long lists of levels, and where PySCIPOpt is missing."""
        from pvq.solvers.backends.branching import refuse
        from pvq.solvers.backends.packages import missing

        return refuse("scip", problem, feasible) or missing("pyscipopt")

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return a point, with SCIP's own status; its dual bound is in the notes."""
        from pvq.solvers.backends.branching import branch
        from pvq.solvers.backends.scip import run_scip

        return branch("SCIP", run_scip, problem, feasible, self.form, self.gap, limits)

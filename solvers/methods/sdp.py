"""Park and Boyd's semidefinite bound."""

from __future__ import annotations

from dataclasses import dataclass

from pvq.solvers._dual.dense import DEVICES, device_refusal
from pvq.solvers._dual.finite import FiniteDual
from pvq.solvers.feasible import FeasibleSet, FiniteSet
from pvq.solvers.outcome import Outcome
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits

__all__ = ["Sdp"]


@SOLVERS.register("sdp")
@dataclass(frozen=True)
class Sdp:
    """Certified bound for finite sets from (x - a)(x - b) >= 0 for the levels a < b around each weight.

    The relaxation of J. Park and S. Boyd, "A semidefinite programming method for integer convex quadratic
    minimization" (arXiv 1504.07672), as Kuzmin et al. (arXiv 2307.02973) use it; weaker than `hull`.

    Parameters
    ----------
    device : "cpu" (LAPACK), "cuda" or "torch-cpu" (torch in float64); certificates are proved on the CPU
    """

    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise ValueError(f"device must be one of {', '.join(DEVICES)}, got {self.device!r}")

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse anything but a finite set."""
        if not isinstance(feasible, FiniteSet):
            return "sdp bounds finite sets; use perspective for sparse"
        return device_refusal(self.device)

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return a certificate and a rounded point."""
        assert isinstance(feasible, FiniteSet), "refused otherwise"
        return FiniteDual(problem, feasible, hull=False, device=self.device).run(limits)

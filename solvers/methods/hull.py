"""The diagonal dual bound over the hull of the levels."""

from __future__ import annotations

from dataclasses import dataclass

from pvq.solvers._dual.dense import DEVICES, device_refusal
from pvq.solvers._dual.finite import FiniteDual
from pvq.solvers.feasible import FeasibleSet, FiniteSet
from pvq.solvers.outcome import Outcome
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits

__all__ = ["Hull"]


@SOLVERS.register("hull")
@dataclass(frozen=True)
class Hull:
    """Certified bound for finite sets: lower edges, box and upper edge of the levels' hull.

    Park and Boyd's inequalities (arXiv 1504.07672) let weights leave the grid; the box and the upper edge,
    which matter wherever the scale clips weights, bring most of what the full hull of {(x, x^2)} can bring.

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
            return "hull bounds finite sets; use perspective for sparse"
        return device_refusal(self.device)

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return a certificate and a rounded point."""
        assert isinstance(feasible, FiniteSet), "refused otherwise"
        return FiniteDual(problem, feasible, hull=True, device=self.device).run(limits)

"""The hull bound, tightened by cuts across two and three weights."""

from __future__ import annotations

from dataclasses import dataclass

from pvq.solvers.feasible import FeasibleSet, FiniteSet
from pvq.solvers.outcome import Outcome
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits

__all__ = ["HullCuts"]


@SOLVERS.register("hull-cuts")
@dataclass(frozen=True)
class HullCuts:
    """Certified bound for grids: the hull, tightened by splits across two and three weights.

    With integers y and an integer vector a, (a'y - k)(a'y - k - 1) >= 0 for every integer k. Each round
    adds the broken ones with the least variance along the relaxation's minimiser. Levels without a common
    step get the hull bound.

    Parameters
    ----------
    rounds : how often cuts are added; 0 is the hull with its own engine
    pairs, triples : cuts of two and of three weights, per weight and round
    """

    rounds: int = 3
    pairs: float = 1.0
    triples: float = 1.0

    def __post_init__(self) -> None:
        if self.rounds < 0:
            raise ValueError(f"rounds must not be negative, got {self.rounds}")
        for name in ("pairs", "triples"):
            if not 0 <= getattr(self, name) <= 100:
                raise ValueError(f"{name} must lie in [0, 100], got {getattr(self, name)}")

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse anything but a finite set."""
        if isinstance(feasible, FiniteSet):
            return None
        return "hull-cuts bounds finite sets; use perspective for sparse"

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return a certificate and a rounded point."""
        from pvq.solvers._dual.split import SplitDual

        assert isinstance(feasible, FiniteSet), "refused otherwise"
        return SplitDual(problem, feasible, self.rounds, (self.pairs, self.triples)).run(limits)

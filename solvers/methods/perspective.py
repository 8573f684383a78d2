"""The diagonal dual bound of pruning."""

from __future__ import annotations

from dataclasses import dataclass

from pvq.solvers._dual.sparse import SparseDual
from pvq.solvers.feasible import FeasibleSet
from pvq.solvers.outcome import Outcome
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits
from pvq.solvers.supports import Supports

__all__ = ["PerspectiveBound"]


@SOLVERS.register("perspective")
@dataclass(frozen=True)
class PerspectiveBound:
    """Certified bound for pruning: the optimal diagonal perspective relaxation.

    X. Zheng, X. Sun, D. Li (INFORMS J. Comput. 26, 2014); H. Dong, K. Chen, J. Linderoth (arXiv 1510.06083).
    """

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse anything but a sparse, N:M or boxed sparse set."""
        known = Supports.of(feasible) is not None
        return None if known else "perspective bounds sparse sets; use hull for levels"

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return a certificate and a rounded, refitted point."""
        return SparseDual(problem, feasible).run(limits)

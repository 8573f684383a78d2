"""The block-diagonal dual bound of pruning."""

from __future__ import annotations

from dataclasses import dataclass

from pvq.solvers.feasible import FeasibleSet, SparseSet
from pvq.solvers.outcome import Outcome
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits

__all__ = ["BlockPerspectiveBound"]

SMALLEST, LARGEST = 1, 10


@SOLVERS.register("block-perspective")
@dataclass(frozen=True)
class BlockPerspectiveBound:
    """Certified bound for pruning, tighter than ``perspective``: blocks of weights are pruned exactly.

    A block-diagonal D with H - D semidefinite is split off the error, and all 2^size subsets of each block
    are looked at with the kept weights free; with blocks of one weight this is ``perspective``.

    Parameters
    ----------
    size : weights in a block, from 1 to 10; the work grows as 2^size once that is more than the weights
    """

    size: int = 4

    def __post_init__(self) -> None:
        if not SMALLEST <= self.size <= LARGEST:
            raise ValueError(f"size must lie in [{SMALLEST}, {LARGEST}], got {self.size}")

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse anything but a sparse set."""
        return None if isinstance(feasible, SparseSet) else "block-perspective bounds sparse sets only"

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return a certificate and a rounded, refitted point."""
        from pvq.solvers._dual.block_sparse import BlockDual

        assert isinstance(feasible, SparseSet), "refused otherwise"
        return BlockDual(problem, feasible, self.size).run(limits)

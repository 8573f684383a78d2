"""Prune column after column and let the later weights make up for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pvq.arrays import F64, I64, Bool
from pvq.solvers.feasible import FeasibleSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.propagation import BLOCK, inverse_factor, propagate
from pvq.solvers.sets.boxed_sparse import BoxedSparseSet
from pvq.solvers.solver import SOLVERS, Limits
from pvq.solvers.supports import Supports, fit_support, supports_of

__all__ = ["SparseGpt"]


@SOLVERS.register("sparsegpt")
@dataclass(frozen=True)
class SparseGpt:
    """SparseGPT: columns in their order, masks chosen block by block, pruning errors passed to the right.

    E. Frantar, D. Alistarh, arXiv 2301.00774. At the start of a block the weights with the largest
    w_i^2 / C_ii^2 stay, C'C = H^-1. Every block of a row keeps the same share of its live weights, N:M sets
    are decided group by group. The damping is never in what is measured. A whole layer shares the factor of H
    and is pruned at once; other rows beside it change a row by rounding alone.

    Parameters
    ----------
    damping : added to the diagonal, in units of its mean
    block : columns whose mask is chosen together, where the set has no groups of its own
    refit : give the weights that stay their least-squares values; in a box that is always done
    """

    damping: float = 0.01
    block: int = 128
    refit: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.damping < np.inf:
            raise ValueError(f"damping must not be negative, got {self.damping}")
        if self.block < 1:
            raise ValueError(f"block must be at least 1, got {self.block}")

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse sets without supports."""
        return None if Supports.of(feasible) is not None else "sparsegpt prunes; use gptq to quantize"

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return the pruned weights."""
        return self.run_rows([problem], [feasible], limits)[0]

    def run_rows(
        self, problems: Sequence[LayerProblem], sets: Sequence[FeasibleSet], limits: Limits
    ) -> list[Outcome]:
        """Return the pruned weights of each row; rows whose sets keep equally many run together."""
        gram = problems[0].gram
        C = inverse_factor(gram.matrix, self.damping)
        plans = [self._parts(chosen, gram.alive) for chosen in sets]
        alike: dict[bytes, list[int]] = {}
        for r, (starts, keep) in enumerate(plans):
            alike.setdefault(starts.tobytes() + keep.tobytes(), []).append(r)
        outcomes: dict[int, Outcome] = {}
        for rows in alike.values():
            W = np.array([np.where(gram.alive, problems[r].w, 0.0) for r in rows])
            X = _pruned(W, C, *plans[rows[0]])
            for r, x in zip(rows, X, strict=True):
                point = self._finished(problems[r], sets[r], x)
                outcomes[r] = Outcome(Status.FEASIBLE, point, iterations=len(C))
        return [outcomes[r] for r in range(len(problems))]

    def _parts(self, feasible: FeasibleSet, alive: Bool) -> tuple[I64, I64]:
        """Return the first columns of parts whose masks are chosen together, and n; how many each keeps."""
        supports = supports_of(feasible)
        if len(supports.keep) > 1:
            return supports.starts, supports.keep
        starts = np.append(np.arange(0, len(alive), self.block), len(alive))
        live = np.append(0, np.cumsum(alive))[starts]
        kept = min(int(supports.keep[0]), int(live[-1]))
        return starts, np.diff(np.floor(live * kept / max(1, live[-1]) + 0.5).astype(np.int64))

    def _finished(self, problem: LayerProblem, feasible: FeasibleSet, x: F64) -> F64:
        if self.refit or isinstance(feasible, BoxedSparseSet):
            return fit_support(problem, feasible, x != 0)
        return x


def _pruned(W: F64, C: F64, starts: I64, keep: I64) -> F64:
    """Return all rows pruned; several short parts make one block of the propagation."""
    from pvq.solvers._kernels.propagation import prune_block

    bounds = [0]
    for start in starts[1:].tolist():
        if start - bounds[-1] >= BLOCK or start == len(C):
            bounds.append(start)
    inside = {
        first: slice(*np.searchsorted(starts, (first, last)).tolist()) for first, last in pairwise(bounds)
    }

    def settle(V: F64, C: F64, X: F64, E: F64, first: int) -> None:
        parts = inside[first]
        edges = starts[parts.start : parts.stop + 1] - first
        prune_block(V, C, X, E, edges, keep[parts])

    return propagate(W, C, bounds, settle)

"""Run the enumeration of a certificate and price what it leaves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64, I64
from pvq.solvers.exact_error import error_down
from pvq.solvers.feasible import FiniteSet
from pvq.solvers.problem import LayerProblem

from .geometry import Factor
from .lattice import Lattice
from .remaining import Remaining
from .replay_kernels import replay
from .thresholds import Thresholds, proved_shares

__all__ = ["Replay"]

NODES_PER_CALL = 4_000_000  # a fraction of a second
LEAVES = 256  # complete decisions priced without rounding; of more, the search's own cost is used


@dataclass(frozen=True, eq=False)
class Replay:
    """An enumeration of all points whose error could be below a claim.

    Parameters
    ----------
    claim, ridge, nodes, order : as of `EnumerationCertificate`
    remaining : its knots and shares
    """

    claim: float
    ridge: float
    nodes: int
    order: I64
    remaining: Remaining

    def prove(self, problem: LayerProblem, feasible: FiniteSet, slack: float) -> float:
        """Return the least of the claim and of the errors of all points that are not given up.

        -inf where the enumeration takes more nodes than are allowed.
        """
        lattice = Lattice.of(problem, feasible)
        factor = Factor.of(lattice.geometry.A, self.order, self.ridge)
        if factor is None:
            return -np.inf
        with np.errstate(all="ignore"):
            thresholds = Thresholds.of(lattice, factor, slack)
            shares = proved_shares(thresholds, self.remaining)
        found = self._enumerate(thresholds, shares)
        if found is None:
            return -np.inf
        leaves, least = found
        index = np.empty_like(leaves)
        index[:, factor.order] = leaves
        prices = [error_down(problem, lattice.point(row)) for row in index]
        unpriced = [thresholds.below(least)] if np.isfinite(least) else []
        return float(min([self.claim, *unpriced, *prices]))

    def _enumerate(self, thresholds: Thresholds, shares: F64) -> tuple[I64, float] | None:
        """Return complete decisions that stay below the threshold, and the least cost of those left out."""
        lattice, factor = thresholds.lattice, thresholds.factor
        threshold, m = thresholds.at(self.claim), len(factor.order)
        means, part = np.zeros((m + 1, m)), np.zeros(m + 1)
        means[m] = lattice.centre[factor.order]
        tried, state = np.full(m, -1), np.array([m - 1, 0, 0])
        leaves, least = np.zeros((LEAVES, m), np.int64), np.full(1, np.inf)
        while state[1] < self.nodes:
            if replay(
                factor.K, factor.R, shares, self.remaining.depth, lattice.levels, lattice.uniform, threshold,
                means, part, tried, leaves, least, state, min(NODES_PER_CALL, self.nodes - int(state[1])),
            ):  # fmt: skip
                return leaves[: state[2]], float(least[0])
        return None

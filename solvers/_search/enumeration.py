"""Depth-first search for the best point, and for proofs that there is none below a given error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from pvq.arrays import F64, I64
from pvq.solvers.certificates.enumeration import EnumerationCertificate
from pvq.solvers.exact_error import error_down

from .geometry import RIDGES, Factor
from .lattice import Lattice
from .remaining import Remaining, remaining_of
from .thresholds import Thresholds, proved_shares
from .tree_kernels import DONE, FOUND, search

__all__ = ["Enumeration", "Incumbent"]

NODES_PER_CALL = 4_000_000
LOSS = 1e-4  # of a claim: how much a threshold may exceed it before a larger ridge is tried
SPARE = 4  # times the nodes of the search are allowed to its replay
CLAIM = (
    1.0 - 2.0**-32
)  # of the best error is proved: ties, and weights that hardly matter, are not told apart


@dataclass(eq=False)
class Incumbent:
    """The best point known, priced without rounding.

    Parameters
    ----------
    x : (n,) weights
    error : largest float at most its exact error
    """

    x: F64
    error: float


@dataclass(frozen=True, eq=False)
class Enumeration:
    """All that a depth-first search over one row needs; `of` chooses the ridge for errors near `value`.

    Parameters
    ----------
    lattice, factor, ridge : what is searched, in the order v-blast
    thresholds : bounds of all rounding
    remaining, shares : what positions left must add at least, as made and as proved
    """

    lattice: Lattice
    factor: Factor
    ridge: float
    thresholds: Thresholds
    remaining: Remaining
    shares: F64
    visited: list[int] = field(default_factory=lambda: [0])

    @staticmethod
    def of(lattice: Lattice, value: float, slack: float) -> Enumeration | None:
        """Return the enumeration with the least ridge whose rounding does not blur errors near `value`."""
        order = lattice.geometry.factor("v-blast").order
        best: tuple[float, float, Factor, Thresholds] | None = None
        for ridge in RIDGES:
            factor = Factor.of(lattice.geometry.A, order, ridge)
            if factor is None:
                continue
            thresholds = Thresholds.of(lattice, factor, slack)
            blur = thresholds.at(value)
            if best is None or blur < best[0]:
                best = (blur, ridge, factor, thresholds)
            if blur * lattice.factor <= value * (1.0 + LOSS):
                break
        if best is None or not np.isfinite(best[0]):
            return None
        remaining = remaining_of(lattice.geometry.A[np.ix_(order, order)], lattice.outside[order])
        return Enumeration(lattice, best[2], best[1], best[3], remaining, proved_shares(best[3], remaining))

    @cached_property
    def _place(self) -> tuple[F64, F64, I64, I64, I64, I64]:
        m = len(self.factor.order)
        low, high, choice = (np.zeros(m, np.int64) for _ in range(3))
        return np.zeros((m + 1, m)), np.zeros(m + 1), low, high, choice, np.zeros(3, np.int64)

    def below(self, value: float, best: Incumbent, most: int, expired: Callable[[], bool]) -> bool:
        """Search for points with errors below `value`; every better point becomes the incumbent at once.

        Returns
        -------
        whether all of them were visited, within `most` nodes and before the time was up

        Notes
        -----
        Then no point has an error below both `value` and `CLAIM` times that of the incumbent.
        """
        means, part, low, high, choice, state = self._place
        m = len(choice)
        means[m], state[:] = self.lattice.centre[self.factor.order], (m - 1, 1, 0)
        self.visited[0] = 0
        threshold = self.thresholds.at(min(value, best.error * CLAIM))
        while state[2] < most and not expired():
            call = min(NODES_PER_CALL, most - int(state[2]))
            answer = search(
                self.factor.K, self.factor.weights, self.shares, self.remaining.depth, self.lattice.levels,
                self.lattice.uniform, threshold, means, part, low, high, choice, state, call,
            )  # fmt: skip
            self.visited[0] = int(state[2])
            if answer == DONE:
                return True
            if answer == FOUND and self._adopt(choice, best):
                threshold = min(threshold, self.thresholds.at(best.error * CLAIM))
        return False

    def _adopt(self, choice: I64, best: Incumbent) -> bool:
        index = np.empty_like(choice)
        index[self.factor.order] = choice
        x = self.lattice.point(index)
        error = error_down(self.lattice.problem, x)
        if error >= best.error:
            return False
        best.x, best.error = x, error
        return True

    def certificate(self, claim: float) -> EnumerationCertificate:
        """Return the proof that no error is below `claim`, as far as the last search went through."""
        return EnumerationCertificate(
            self.lattice.problem.digest,
            float(claim),
            float(self.ridge),
            SPARE * self.visited[0] + NODES_PER_CALL,
            self.factor.order,
            self.remaining.knots,
            self.shares,
        )

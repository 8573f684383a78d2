"""A replay: how to enumerate, again and independently, all points that could be better than a claim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import F64, I64
from pvq.solvers.feasible import FeasibleSet, FiniteSet
from pvq.solvers.outcome import CERTIFICATES
from pvq.solvers.problem import LayerProblem

from .finite import has_size

__all__ = ["EnumerationCertificate"]

MOST_NODES = 10**12


@CERTIFICATES.register("enumeration")
@dataclass(frozen=True, eq=False)
class EnumerationCertificate:
    """Lower bound for a finite set by a depth-first enumeration that `bound` runs anew.

    With y'Ay = |Ry|^2 up to a known allowance, positions are decided one after another and a partial
    decision is given up where its rows of R y, plus a bound of what the others add, prove an error of at
    least the claim. `pvq.solvers._search.thresholds` states the lemmas and bounds all rounding a priori: the
    threshold on floating-point costs is raised by as much. Complete decisions that are not given up are
    priced in integers. What is proved is the least of the claim and of those prices: whatever order, shares
    or claim are stored, it never exceeds the optimum.

    Parameters
    ----------
    problem : content hash of H and w
    claim : the bound to be proved, in units of the error
    ridge : relative to the diagonal, added before H is factored
    nodes : most nodes that `bound` visits before it gives up
    order : (m,) positions of the live inputs, the last one decided first
    knots, shares : diagonals that bound what positions left must add, as of `Remaining`
    """

    problem: str
    claim: float
    ridge: float
    nodes: int
    order: I64
    knots: I64
    shares: F64

    def bound(self, problem: LayerProblem, feasible: FeasibleSet, slack: float = 1.0) -> float:
        """Return the proved lower bound, -inf if nothing is proved."""
        if not (slack >= 1.0 and isinstance(feasible, FiniteSet) and self.problem == problem.digest):
            return -np.inf
        if not (has_size(feasible, problem.n) and self._is_usable(problem)):
            return -np.inf
        from pvq.solvers._search.remaining import Remaining
        from pvq.solvers._search.replay import Replay

        replay = Replay(self.claim, self.ridge, self.nodes, self.order, Remaining(self.knots, self.shares))
        return replay.prove(problem, feasible, slack)

    def _is_usable(self, problem: LayerProblem) -> bool:
        """Return whether the numbers have the kinds, shapes and ranges that a replay needs."""
        m, k = int(problem.gram.alive.sum()), len(self.knots)
        integers = self.order.dtype.kind == "i" and self.knots.dtype.kind == "i"
        return (
            integers
            and self.shares.dtype == np.float64
            and self.order.shape == (m,)
            and self.knots.shape == (k,)
            and self.shares.shape == (k, m)
            and m > 0
            and k > 0
            and bool((np.sort(self.order) == np.arange(m)).all())
            and bool((np.diff(self.knots) > 0).all() and self.knots[0] >= 0 and self.knots[-1] == m - 1)
            and 0.0 < self.claim < np.inf
            and 0.0 <= self.ridge < 1.0
            and 0 < self.nodes <= MOST_NODES
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays to store."""
        return {"order": self.order, "knots": self.knots, "shares": self.shares}

    def facts(self) -> dict[str, Any]:
        """Return the numbers to store beside them."""
        return {"enumerated_below": self.claim, "ridge": self.ridge, "nodes": self.nodes}

    @classmethod
    def restore(cls, problem: str, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Self:
        """Return the certificate that was stored."""
        claim, ridge, nodes = facts["enumerated_below"], facts["ridge"], facts["nodes"]
        if not (type(claim) is float and type(ridge) is float and type(nodes) is int):
            raise ValueError("enumerated_below and ridge must be stored as float, nodes as int")
        return cls(problem, claim, ridge, nodes, arrays["order"], arrays["knots"], arrays["shares"])

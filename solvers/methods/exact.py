"""Exact optima with proof: enumeration of levels, branch and bound on supports."""

from __future__ import annotations

from dataclasses import dataclass

from pvq.solvers.feasible import FeasibleSet, FiniteSet
from pvq.solvers.outcome import Outcome
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits
from pvq.solvers.supports import Supports

__all__ = ["Exact"]

MOST_WEIGHTS = 512  # live ones, for levels: far beyond what can be enumerated, still quick to bound
MOST_TABLE = 2**22  # levels times weights


@SOLVERS.register("exact")
@dataclass(frozen=True)
class Exact:
    """The best point of the set, proved; at a limit the best point found and the best bound proved.

    Levels: depth-first enumeration (C. P. Schnorr, M. Euchner, Math. Programming 66, 1994) within the levels
    in the V-BLAST order, with the beam's point as first incumbent and a diagonal bound of what the weights
    left must add (after M. Stojnic, H. Vikalo, B. Hassibi, IEEE Trans. Signal Processing 56, 2008). At a
    time limit the bound proved is the larger of the hull's, as far as the time for it went, and of the last
    error below which everything was enumerated. The certificate is replayed, which takes about as long as the
    search.

    Supports of sparse, N:M and boxed sparse sets: branch and bound on the perspective bound.

    Parameters
    ----------
    nodes : most nodes of the search tree; 0 for as many as the method's size allows
    kicks : of the local search that finds the first support
    resume : file in which the tree of supports is kept from run to run; none if empty
    """

    nodes: int = 0
    kicks: int = 30
    resume: str = ""

    def __post_init__(self) -> None:
        if self.nodes < 0 or self.kicks < 0:
            raise ValueError(f"nodes and kicks must not be negative, got {self.nodes} and {self.kicks}")

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse sets that neither search covers, and sizes beyond reason."""
        if isinstance(feasible, FiniteSet):
            return _too_large(int(problem.gram.alive.sum()), len(feasible.levels))
        known = Supports.of(feasible) is not None
        return None if known else "exact searches finite and sparse sets; use joint-bound for others"

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return the optimum or, at a limit, bounds on both sides."""
        if isinstance(feasible, FiniteSet):
            from pvq.solvers._search.exact import MOST_NODES, exact_finite

            return exact_finite(problem, feasible, limits, self.nodes or MOST_NODES)
        from pvq.solvers.methods.prune_exact import PruneOptions, exact_sparse

        options = PruneOptions(self.nodes or PruneOptions().nodes, self.kicks, self.resume)
        return exact_sparse(problem, feasible, limits, options)


def _too_large(weights: int, levels: int) -> str | None:
    if weights > MOST_WEIGHTS:
        return f"exact enumerates at most {MOST_WEIGHTS} live weights, got {weights}; use hull and beam"
    if weights * levels > MOST_TABLE:
        return f"exact takes at most {MOST_TABLE} levels times weights, got {weights * levels}; use hull"
    return None

"""Exact pruning: branch and bound on the perspective bound, and a tree that proves the optimum."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pvq.arrays import F64, Bool
from pvq.solvers.certificates.tree_leaf import Normal, normalise, remains_psd
from pvq.solvers.elimination import eliminate
from pvq.solvers.exchange import Exchange
from pvq.solvers.feasible import FeasibleSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import CLAIM_SLACK, Limits
from pvq.solvers.supports import Supports, fit_support, supports_of

if TYPE_CHECKING:
    from pvq.solvers._tree.tree import TreeState

__all__ = ["PruneOptions", "exact_sparse"]


@dataclass(frozen=True)
class PruneOptions:
    """How an exact pruning search runs.

    Parameters
    ----------
    nodes : most nodes of the tree that are taken up
    kicks : of the local search that finds the first point
    resume : file from which the tree is taken up if it exists, and where it is left; none if empty
    """

    nodes: int = 10**9
    kicks: int = 30
    resume: str = ""

    def __post_init__(self) -> None:
        if self.nodes < 0 or self.kicks < 0:
            raise ValueError(f"nodes and kicks must not be negative, got {self.nodes} and {self.kicks}")


def exact_sparse(
    problem: LayerProblem, feasible: FeasibleSet, limits: Limits, options: PruneOptions | None = None
) -> Outcome:
    """Return the best point of a sparse, N:M or boxed sparse set and a tree that proves it.

    At a limit the point is the best one met and the tree proves what was reached: status TIME_LIMIT or
    ITERATION_LIMIT. Where H is too nearly singular for a proof, the best point met comes without one.
    """
    from pvq.solvers._tree.search import PruningSearch

    options, expired = options or PruneOptions(), limits.clock()
    kept = _first_support(problem, supports_of(feasible), options.kicks, limits.seed, expired)
    normal = normalise(problem, feasible)
    floor = _floor(normal) if normal else 0.0
    point = fit_support(problem, feasible, kept)
    if normal is None or floor == 0.0 or not normal.w.any() or problem.error(point) <= 1e-13 * problem.signal:
        return Outcome(Status.FEASIBLE, point, notes="H or w leaves nothing that could be proved")
    price = _pricing(problem, feasible, normal)
    tree = _tree(problem, feasible, kept[normal.live], options.resume)
    search = PruningSearch(normal, tree, price, floor)
    closed = search.run(expired, options.nodes)
    if options.resume:
        tree.save(options.resume)
    status = Status.BOUND if closed else Status.TIME_LIMIT if expired() else Status.ITERATION_LIMIT
    best = np.zeros(problem.n, dtype=np.bool_)
    best[normal.live] = tree.kept
    point = min(point, fit_support(problem, feasible, best), key=problem.error)
    return Outcome(status, point, search.certificate(problem.digest), tree.done)


def _tree(problem: LayerProblem, feasible: FeasibleSet, kept: Bool, path: str) -> TreeState:
    """Return the stored tree, or a new one."""
    from pvq.solvers._tree.tree import TreeState

    identity = f"{problem.digest} {feasible.describe()}"
    return TreeState.load(path, identity) if path and Path(path).exists() else TreeState(identity, kept)


def _first_support(
    problem: LayerProblem, supports: Supports, kicks: int, seed: int, expired: Callable[[], bool]
) -> Bool:
    """Return ExactOBS's support after exchanges and kicks."""
    search = Exchange(problem, supports, eliminate(problem, supports, expired), expired)
    search.climb()
    search.kick(kicks, 4, np.random.default_rng(seed))
    return search.kept


def _floor(normal: Normal) -> float:
    """Return a uniform diagonal that can be taken off H with proof, 0 if there is none."""
    n = len(normal.w)
    floor = 0.5 * float(np.linalg.eigvalsh(normal.H)[0])
    provable = floor > 0 and remains_psd(normal.H, np.arange(n), np.full(n, floor), CLAIM_SLACK)
    return floor if provable else 0.0


def _pricing(
    problem: LayerProblem, feasible: FeasibleSet, normal: Normal
) -> Callable[[Bool], tuple[float, F64]]:
    """Return a function from a support over live inputs to its error and x - w, in normal units."""

    def price(kept: Bool) -> tuple[float, F64]:
        whole = np.zeros(problem.n, dtype=np.bool_)
        whole[normal.live] = kept
        x = fit_support(problem, feasible, whole)
        change = np.ldexp((x - problem.w)[normal.live], -normal.scale)
        return math.ldexp(problem.error(x), -normal.exponent), change

    return price

"""The best point of a finite set, or bounds on both sides of its error when the time is up."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from pvq.solvers._dual.finite import FiniteDual
from pvq.solvers.exact_error import error_down
from pvq.solvers.feasible import FiniteSet
from pvq.solvers.methods.local_search import LocalSearch
from pvq.solvers.outcome import Certificate, Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import CLAIM_SLACK, Limits

from .beam import best_of_beams
from .enumeration import CLAIM, Enumeration, Incumbent
from .lattice import Lattice

__all__ = ["MOST_NODES", "exact_finite"]

BEAM_ORDERS = ("v-blast", "activation", "natural")
WIDTH, KEEP = 128, 4  # of the beam that finds the first incumbent
MOST_NODES = 10**11  # hours: no limit to speak of
PILOT = 20_000_000  # nodes before a limited search turns to proving what it can: about a second
DEEPER = 8.0  # how many times the nodes of the last stage the next one may take
FIRST = 1.05  # times the hull bound, the first error below which everything is enumerated


@dataclass(eq=False)
class _Budget:
    """Seconds and nodes left for one row."""

    seconds: float | None
    nodes: int
    start: float
    spent: int = 0

    def seconds_left(self) -> float:
        """Return the seconds left, inf without a limit."""
        return np.inf if self.seconds is None else self.seconds - (time.perf_counter() - self.start)

    def expired(self) -> bool:
        """Return whether the time is used up."""
        return self.seconds_left() <= 0.0

    @property
    def nodes_left(self) -> int:
        """How many nodes may still be visited."""
        return self.nodes - self.spent

    @property
    def pilot(self) -> int:
        """How many nodes the search for the optimum may take before the staged proof: all without limits."""
        return (
            self.nodes if self.seconds is None and self.nodes >= MOST_NODES else min(PILOT, self.nodes // 4)
        )


def exact_finite(
    problem: LayerProblem, feasible: FiniteSet, limits: Limits, nodes: int = MOST_NODES
) -> Outcome:
    """Return the optimum with its replay certificate; at a limit the best point and the best bound proved.

    Parameters
    ----------
    nodes : most nodes of the search tree, all stages together
    """
    budget = _Budget(limits.seconds, nodes, time.perf_counter())
    lattice = Lattice.of(problem, feasible)
    best = _first(lattice, budget)
    if best.error == 0.0:
        return Outcome(Status.OPTIMAL, best.x, notes="a point without error")
    enumeration = Enumeration.of(lattice, best.error, CLAIM_SLACK)
    if enumeration is None:
        return _bounded(lattice, best, limits, Status.STALLED)
    whole = enumeration.below(np.inf, best, budget.pilot, budget.expired)
    budget.spent += enumeration.visited[0]
    if whole:
        return _optimal(enumeration, best, budget)
    return _Stages(enumeration, best, budget, limits).run()


def _first(lattice: Lattice, budget: _Budget) -> Incumbent:
    """Return the best point of the beams."""
    if len(lattice.geometry.live) == 0:
        return Incumbent(lattice.point(np.zeros(0, np.int64)), 0.0)
    index = best_of_beams(lattice, BEAM_ORDERS, WIDTH, KEEP, False, budget.expired)
    x = lattice.point(index)
    return Incumbent(x, error_down(lattice.problem, x))


def _optimal(enumeration: Enumeration, best: Incumbent, budget: _Budget) -> Outcome:
    if best.error == 0.0:
        return Outcome(Status.OPTIMAL, best.x, iterations=budget.spent, notes="a point without error")
    certificate = enumeration.certificate(best.error * CLAIM)
    return Outcome(Status.OPTIMAL, best.x, certificate, budget.spent)


def _bounded(lattice: Lattice, best: Incumbent, limits: Limits, status: Status) -> Outcome:
    """Return the hull bound; its point, or that of a local search, becomes the incumbent if better."""
    outcome = FiniteDual(lattice.problem, lattice.feasible, hull=True).run(limits)
    searched = LocalSearch().run(lattice.problem, lattice.feasible, limits)
    for point in (outcome.point, searched.point):
        error = np.inf if point is None else error_down(lattice.problem, point)
        if point is not None and error < best.error:
            best.x, best.error = point, error
    return Outcome(status, best.x, outcome.certificate)


@dataclass(eq=False)
class _Stages:
    """Prove growing lower bounds until the budget is spent: all points below v1 < v2 < ... are enumerated.

    The nodes of a stage grow like a power of its value; the power is read off the last two stages and the
    next value chosen so that the stage takes at most `DEEPER` times the nodes, and fits what is left.
    """

    enumeration: Enumeration
    best: Incumbent
    budget: _Budget
    limits: Limits

    def run(self) -> Outcome:
        """Return the optimum if a stage meets it, the last bound otherwise."""
        bounded = self._hull()
        proved, certificate = _value(self.enumeration, bounded), bounded.certificate
        value, power = max(FIRST * proved, 0.5 * self.best.error), len(self.enumeration.factor.order) / 2.0
        last: tuple[float, int] | None = None
        while value > 0.0:
            start = time.perf_counter()
            whole = self.enumeration.below(value, self.best, self.budget.nodes_left, self.budget.expired)
            visited = self.enumeration.visited[0]
            self.budget.spent += visited
            if not whole:
                break
            if self.best.error <= value:
                return _optimal(self.enumeration, self.best, self.budget)
            proved, certificate = value, self.enumeration.certificate(value)
            if last is not None:
                power = _power(last, (value, visited), power)
            last = (value, visited)
            value *= self._factor(visited, time.perf_counter() - start) ** (1.0 / power)
        status = Status.TIME_LIMIT if self.budget.expired() else Status.ITERATION_LIMIT
        return Outcome(status, self.best.x, certificate, self.budget.spent)

    def _hull(self) -> Outcome:
        seconds = self.budget.seconds_left()
        left = None if np.isinf(seconds) else max(0.0, seconds)
        limits = Limits(left, self.limits.tolerance, self.limits.seed)
        return _bounded(self.enumeration.lattice, self.best, limits, Status.BOUND)

    def _factor(self, visited: int, elapsed: float) -> float:
        """Return how many times more nodes the next stage may have: a little more even past the limit."""
        seconds, nodes = self.budget.seconds_left(), self.budget.nodes_left
        fits = 0.7 * min(seconds / max(elapsed, 1e-6), nodes / max(visited, 1))
        return max(1.1, min(DEEPER, fits))


def _power(last: tuple[float, int], now: tuple[float, int], before: float) -> float:
    """Return the exponent of nodes in the value between two stages, kept within sensible limits."""
    if now[0] <= last[0] or now[1] <= last[1]:
        return before
    slope = np.log(now[1] / last[1]) / np.log(now[0] / last[0])
    return float(np.clip(slope, 2.0, 4.0 * before))


def _value(enumeration: Enumeration, outcome: Outcome) -> float:
    lattice = enumeration.lattice
    certificate: Certificate | None = outcome.certificate
    return max(0.0, certificate.bound(lattice.problem, lattice.feasible, CLAIM_SLACK) if certificate else 0.0)

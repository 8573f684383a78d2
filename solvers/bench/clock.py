"""The clock: around a method's own work alone, in processor seconds of this process and its children."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from threadpoolctl import threadpool_limits

from pvq.solvers.feasible import FeasibleSet
from pvq.solvers.outcome import Outcome
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import Limits, Solver

__all__ = ["Spent", "Timed"]


class Spent(NamedTuple):
    """Seconds of processors, over all threads and child processes, and seconds on the wall."""

    cpu: float
    wall: float


@dataclass(frozen=True, eq=False)
class Timed:
    """A method with a clock around its `run`; the checks that `solve` makes are not on it.

    Parameters
    ----------
    solver : the method
    spent : one entry a run
    """

    solver: Solver
    spent: list[Spent] = field(default_factory=list)

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Return what the method says."""
        return self.solver.refusal(problem, feasible)

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Run the method with one thread of linear algebra, and note what it took."""
        with threadpool_limits(1):
            cpu, wall = _processors(), time.perf_counter()
            outcome = self.solver.run(problem, feasible, limits)
            self.spent.append(Spent(_processors() - cpu, time.perf_counter() - wall))
        return outcome


def _processors() -> float:
    """Return the processor seconds of this process and of the children that have ended."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system

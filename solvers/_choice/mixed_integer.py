"""A plan from HiGHS, the mixed-integer solver of SciPy; nothing that it claims is taken on trust."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pvq.arrays import F64

from .instance import Instance

__all__ = ["mixed_integer_plan", "quiet"]

OBJECTIVE_RANGE = 1e6  # HiGHS stops at an absolute gap of 1e-6
TRIES = 4


def mixed_integer_plan(instance: Instance, seconds: float) -> tuple[int, ...] | None:
    """Return the plan that HiGHS finds, None where it finds none that really fits.

    HiGHS allows constraints a tolerance; where its plan exceeds the budget in integers, it is asked again
    with as much less.
    """
    options = [(g, o) for g in range(len(instance.costs)) for o in instance.undominated(g)]
    budget = instance.budget
    for _ in range(TRIES):
        plan = _solve(instance, options, budget, seconds)
        if plan is None or instance.cost(plan) <= instance.budget:
            return plan
        budget -= instance.cost(plan) - instance.budget
    return None


def _solve(
    instance: Instance, options: list[tuple[int, int]], budget: int, seconds: float
) -> tuple[int, ...] | None:
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    groups = np.array([group for group, _ in options])
    one_of_each = csr_array((np.ones(len(options)), (groups, np.arange(len(options)))))
    cost = np.array([float(instance.costs[g][o]) for g, o in options]) / max(1, budget)
    with quiet():
        solved: Any = milp(
            _objective(instance, options),
            integrality=np.ones(len(options), dtype=np.int64),
            bounds=Bounds(0.0, 1.0),
            constraints=[LinearConstraint(one_of_each, 1, 1), LinearConstraint(cost[None, :], -np.inf, 1.0)],
            options={"mip_rel_gap": 0.0, "time_limit": seconds},
        )
    if solved.x is None:
        return None
    plan, most = [0] * len(instance.costs), [-1.0] * len(instance.costs)
    for (group, option), share in zip(options, solved.x, strict=True):
        if share > most[group]:
            plan[group], most[group] = option, share
    return tuple(plan)


@contextmanager
def quiet() -> Iterator[None]:
    """Send what C++ code writes to standard output nowhere: HiGHS prints debug lines there, unasked."""
    sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:  # standard output is closed
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _objective(instance: Instance, options: list[tuple[int, int]]) -> F64:
    """Return the values beyond the least of each group, scaled into [0, 1e6]."""
    beyond = [instance.values[g][o] - min(instance.values[g]) for g, o in options]
    largest = max(1, *beyond) if beyond else 1
    return np.array([float(value * 2**53 // largest) for value in beyond]) * (OBJECTIVE_RANGE / 2**53)

"""One class for every item at the least total loss within a budget."""

from __future__ import annotations

import numpy as np

from pvq.arrays import F64, I64

__all__ = ["MOST_ENTRIES", "cheapest_classes", "table_entries"]

MOST_ENTRIES = 2**28  # of the table that says how each item spent each budget


def cheapest_classes(losses: F64, costs: I64, budget: int) -> I64:
    """Return which class each item takes, of least total loss with total cost <= budget, (n,).

    The multiple-choice knapsack problem, exact: two classes by sorting, more by dynamic programming over the
    budget in units of the greatest common divisor of the cost differences (S. Martello, P. Toth, Knapsack
    Problems, 1990). Of equal losses the cheaper class is taken, then the item that comes first.

    Parameters
    ----------
    losses : (C, n) finite
    costs : (C,) increasing
    budget : at least n costs[0]

    >>> cheapest_classes(np.array([[4.0, 9.0], [1.0, 1.0]]), np.array([0, 3]), 5)
    array([0, 1])
    """
    n = losses.shape[1]
    steps, room = _units(costs, budget, n)
    if len(costs) == 1:
        return np.zeros(n, dtype=np.int64)
    if len(costs) == 2:
        gain = losses[0] - losses[1]
        chosen = np.argsort(-gain, kind="stable")[:room]
        classes = np.zeros(n, dtype=np.int64)
        classes[chosen] = gain[chosen] > 0
        return classes
    return _by_dynamic_programming(losses, steps, room)


def table_entries(costs: I64, budget: int, n: int) -> int:
    """Return how many entries the table of `cheapest_classes` has."""
    return n * (_units(costs, budget, n)[1] + 1) if len(costs) > 2 else n


def _units(costs: I64, budget: int, n: int) -> tuple[I64, int]:
    """Return what each class costs beyond the cheapest, and what n items may spend so, in common units."""
    extra = costs - costs[0]
    unit = max(1, int(np.gcd.reduce(extra)))
    steps = extra // unit
    return steps, min((budget - n * int(costs[0])) // unit, n * int(steps[-1]))


def _by_dynamic_programming(losses: F64, steps: I64, room: int) -> I64:
    """Fill the table item by item, then read the choices back."""
    n = losses.shape[1]
    least = np.zeros(room + 1)
    taken = np.zeros((n, room + 1), dtype=np.uint16)
    for i in range(n):
        best = losses[0, i] + least
        for j, step in enumerate(steps[1:].tolist(), 1):
            if step > room:
                break
            other = losses[j, i] + least[: room + 1 - step]
            better = other < best[step:]
            best[step:][better] = other[better]
            taken[i, step:][better] = j
        least = best
    classes, left = np.empty(n, dtype=np.int64), room
    for i in range(n - 1, -1, -1):
        classes[i] = taken[i, left]
        left -= int(steps[classes[i]])
    return classes

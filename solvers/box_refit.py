"""Best weights within a box on a given support."""

from __future__ import annotations

import numpy as np

from pvq.arrays import F64, I64

from .problem import SMALLEST_WEIGHT, LayerProblem
from .refit import refit

__all__ = ["refit_free", "refit_in_box"]

MOST_ROUNDS = 50


def refit_free(problem: LayerProblem, x: F64, free: I64) -> F64:
    """Return x with its entries `free` set to the values of least error, the others as they are.

    >>> problem = LayerProblem(np.array([[1.0, 0.5], [0.5, 1.0]]), np.array([1.0, 1.0]))
    >>> refit_free(problem, np.array([0.0, 2.0]), np.array([0]))
    array([0.5, 2. ])
    """
    fixed = x.copy()
    fixed[free] = 0.0
    rest = problem.w - fixed
    rest[np.abs(rest) < SMALLEST_WEIGHT] = 0.0
    return fixed + refit(LayerProblem(problem.H, rest, problem.gram), free)


def refit_in_box(problem: LayerProblem, kept: I64, low: float, high: float) -> F64:
    """Return weights in [low, high] that vanish outside `kept`, with an error that no single face improves.

    An active-set method: the free weights are refitted and those that leave the box are held at its end; when
    none leaves, the held weight whose release lowers the error most is released. It stops where the error no
    longer falls, at an optimum unless that takes more than 50 rounds.

    >>> problem = LayerProblem(np.array([[1.0, 0.5], [0.5, 1.0]]), np.array([1.0, 1.0]))
    >>> refit_in_box(problem, np.array([0]), 0.0, 1.25)
    array([1.25, 0.  ])
    """
    start = np.zeros(problem.n)
    start[kept] = np.clip(problem.w[kept], low, high)
    x = _settled(problem, start, kept, low, high)
    for _ in range(MOST_ROUNDS):
        trial = _settled(problem, x, _released(problem, x, kept, low, high), low, high)
        if not problem.error(trial) < problem.error(x) * (1.0 - 1e-12):
            break
        x = trial
    return x


def _settled(problem: LayerProblem, x: F64, free: I64, low: float, high: float) -> F64:
    """Move towards the refitted free weights, holding the first that reaches an end, until none does."""
    while len(free):
        move = refit_free(problem, x, free) - x
        room = np.where(move > 0, high - x, x - low)[free]
        size = np.abs(move[free])
        reach = room / np.where(size > 0, size, np.inf)
        reach[size <= room] = np.inf
        x = np.clip(x + min(1.0, float(reach.min())) * move, low, high)
        if reach.min() == np.inf:
            break
        first = int(np.argmin(reach))
        x[free[first]] = high if move[free[first]] > 0 else low
        free = np.delete(free, first)
    return x


def _released(problem: LayerProblem, x: F64, kept: I64, low: float, high: float) -> I64:
    """Return the weights inside the box and the held one whose release gains most."""
    slope = (problem.H @ (x - problem.w))[kept]
    value = x[kept]
    inside = (value > low) & (value < high)
    push = np.where(value <= low, -slope, slope) / np.sqrt(np.diagonal(problem.H)[kept] + 1e-300)
    gain = np.where(inside, 0.0, push)
    if gain.max(initial=0.0) > 0:
        inside[np.argmax(gain)] = True
    return kept[inside]

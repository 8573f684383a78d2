"""Learned rounding: between its two neighbouring levels each weight is placed by a rectified sigmoid.

M. Nagel, R. A. Amjad, M. van Baalen, C. Louizos, T. Blankevoort, "Up or Down? Adaptive Rounding", arXiv
2004.10568. With low and high the levels around a weight,

    x = low + (high - low) h(V),   h(V) = clip(1.2 sigmoid(V) - 0.1, 0, 1),

and Adam minimises the error plus a regulariser sum_i 1 - |2 h_i - 1|^beta, beta annealed from 20 to 2, which
drives h to 0 or 1. The gradient of the error is 2 H (x - w) (high - low) h'(V).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64

__all__ = ["Schedule", "soften"]

STRETCH, SHIFT = 1.2, -0.1  # zeta - gamma and gamma of the paper
DECAY_MEAN, DECAY_SQUARE = 0.9, 0.999  # Adam's


@dataclass(frozen=True)
class Schedule:
    """How long and how hard to learn.

    Parameters
    ----------
    iterations : Adam steps
    rate : of Adam
    weight : of the regulariser, in units of the mean error per weight of uncorrelated rounding
    warm : share of the iterations before the regulariser comes in
    """

    iterations: int = 1000
    rate: float = 0.05
    weight: float = 10.0
    warm: float = 0.2

    def __post_init__(self) -> None:
        if self.iterations < 1 or not (0 < self.rate < np.inf and 0 <= self.weight < np.inf):
            raise ValueError(
                f"iterations and rate must be positive and weight not negative, "
                f"got {self.iterations}, {self.rate} and {self.weight}"
            )
        if not 0 <= self.warm < 1:
            raise ValueError(f"warm must lie in [0, 1), got {self.warm}")

    def beta(self, step: int) -> float | None:
        """Return the exponent at a step, None while the regulariser is off; linear, as the paper's code."""
        done = step / self.iterations
        return None if done < self.warm else 20.0 - 18.0 * (done - self.warm) / (1.0 - self.warm)


def soften(H: F64, W: F64, low: F64, high: F64, schedule: Schedule, expired: Callable[[], bool]) -> F64:
    """Return h in [0, 1] of all weights, (R, n), learned for all rows at once.

    Rows do not touch each other; each is scaled so that uncorrelated rounding has the error 1 per weight.

    Parameters
    ----------
    H : (n, n) Gram matrix
    W, low, high : (R, n) weights and the levels between which they are rounded, low <= high
    expired : asked at every step
    """
    gap = high - low
    place = np.clip((W - low) / np.where(gap > 0, gap, 1.0), 0.0, 1.0)
    unit = _unit(H, gap)
    V = _logit((np.clip(place, 0.01, 0.99) - SHIFT) / STRETCH)
    mean, square = np.zeros_like(V), np.zeros_like(V)
    for step in range(1, schedule.iterations + 1):
        h, slope = _rectified(V)
        gradient = 2.0 * ((low + gap * h - W) / unit) @ H * (gap / unit)
        beta = schedule.beta(step)
        if beta is not None:
            gradient += schedule.weight * _pull(h, beta)
        gradient *= slope
        mean += (1.0 - DECAY_MEAN) * (gradient - mean)
        square += (1.0 - DECAY_SQUARE) * (gradient * gradient - square)
        speed = np.sqrt(square / (1.0 - DECAY_SQUARE**step)) + 1e-8
        V -= schedule.rate / (1.0 - DECAY_MEAN**step) * mean / speed
        if expired():
            break
    return _rectified(V)[0]


def _rectified(V: F64) -> tuple[F64, F64]:
    """Return h(V) and its derivative."""
    s = 1.0 / (1.0 + np.exp(-V))
    h = STRETCH * s + SHIFT
    return np.clip(h, 0.0, 1.0), np.where((h > 0) & (h < 1), STRETCH * s * (1.0 - s), 0.0)


def _logit(s: F64) -> F64:
    return np.asarray(np.log(s / (1.0 - s)))


def _pull(h: F64, beta: float) -> F64:
    """Return the derivative of 1 - |2h - 1|^beta."""
    t = 2.0 * h - 1.0
    return np.asarray(-2.0 * beta * np.sign(t) * np.abs(t) ** (beta - 1.0))


def _unit(H: F64, gap: F64) -> F64:
    """Return the root of the mean error per weight of uncorrelated rounding, (R, 1); 1 where it is 0."""
    error = (gap * gap * np.diagonal(H)).mean(axis=1) / 12.0
    return np.asarray(np.where(error > 0, np.sqrt(error), 1.0)[:, None])

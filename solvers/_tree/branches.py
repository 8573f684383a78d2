"""What each weight contributes to the dual: the lesser of keeping and removing it, smoothed by a barrier.

For multipliers (u, d) a kept weight costs alpha = min over v of d v^2 + 2 u v, over its box if it has one,
and a removed one beta = d w^2 - 2 u w, less its group's price t. The barrier problem in
theta < min(alpha, beta - t) has a solution in closed form; its removed fraction s is computed without
cancellation.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pvq.arrays import F64, I64, Bool
from pvq.solvers._kernels.jit import kernel

__all__ = ["Branches", "Region", "new_branches", "smooth"]

MOST_BISECTIONS = 60


class Region(NamedTuple):
    """A part of the problem, reduced to the weights with multipliers of their own.

    Parameters
    ----------
    H : (m, m) after the kept weights without a box are minimised out
    w : (m,) weights after the removed ones are compensated for
    ahead : (m,) w less the problem's own weights
    group, quota : (m,), (G,) each weight's group and the removals left in it
    low, high : (m,) range of x - w of a kept weight
    undecided : (m,) False for a kept weight that stays because it has a box
    constant : error of the compensated weights
    full : (g, g) the matrix whose definiteness proves d, less what the proof itself needs
    """

    H: F64
    w: F64
    ahead: F64
    group: I64
    quota: I64
    low: F64
    high: F64
    undecided: Bool
    constant: float
    full: F64


class Branches(NamedTuple):
    """Per weight: removed and kept fraction, v of a kept weight, and the coefficients of the Hessian."""

    s: F64
    k: F64
    v: F64
    curvature: F64  # 4 k / (second derivative of the kept cost)
    mixing: F64  # sigma = s^2 k^2 / (mu (s^2 + k^2))


@kernel
def new_branches(m: int) -> Branches:
    """Return room for m weights."""
    return Branches(np.empty(m), np.empty(m), np.empty(m), np.empty(m), np.empty(m))


@kernel
def smooth(region: Region, d: F64, u: F64, t: F64, mu: float, out: Branches) -> float:
    """Fill `out` and return the sum of the smoothed contributions, the barriers' logarithms included."""
    total = 0.0
    for i in range(len(d)):
        alpha, v, second = _kept(u[i], d[i], region.low[i], region.high[i], mu)
        out.v[i] = v
        if region.undecided[i]:
            w = region.w[i]
            theta = _share(alpha, d[i] * w * w - 2.0 * u[i] * w - t[region.group[i]], mu, i, out)
            total += theta - mu * (np.log(out.k[i] / mu) + np.log(out.s[i] / mu))
        else:
            out.s[i], out.k[i] = 0.0, 1.0
            total += alpha
        s, k = out.s[i], out.k[i]
        out.curvature[i] = 4.0 * k / second
        out.mixing[i] = s * s * k * k / (mu * (s * s + k * k))
        total += mu * np.log(d[i])
    return total


@kernel
def _share(alpha: float, beta: float, mu: float, i: int, out: Branches) -> float:
    """Set the fractions of weight i and return theta, at the barrier's optimum between alpha and beta."""
    gap = beta - alpha
    root = math.sqrt(gap * gap + 4.0 * mu * mu)
    lesser = 2.0 * mu / (abs(gap) + 2.0 * mu + root)
    if gap >= 0:
        out.s[i], out.k[i] = lesser, 1.0 - lesser
        return alpha - mu / (1.0 - lesser)
    out.s[i], out.k[i] = 1.0 - lesser, lesser
    return beta - mu / (1.0 - lesser)


@kernel
def _kept(u: float, d: float, low: float, high: float, mu: float) -> tuple[float, float, float]:
    """Return the least d v^2 + 2 u v, with a barrier at the ends of a box, its v and its curvature."""
    if low == -np.inf:
        return -u * u / d, -u / d, 2.0 * d
    v = _inside(u, d, low, high, mu)
    second = 2.0 * d + mu / ((v - low) * (v - low)) + mu / ((high - v) * (high - v))
    return d * v * v + 2.0 * u * v - mu * (np.log(v - low) + np.log(high - v)), v, second


@kernel
def _inside(u: float, d: float, low: float, high: float, mu: float) -> float:
    """Return the zero of 2 d v + 2 u - mu / (v - low) + mu / (high - v), by Newton steps in a bracket."""
    a, b = low, high
    v = min(max(-u / d, low + 0.05 * (high - low)), high - 0.05 * (high - low))
    for _ in range(MOST_BISECTIONS):
        slope = 2.0 * (d * v + u) - mu / (v - low) + mu / (high - v)
        second = 2.0 * d + mu / ((v - low) * (v - low)) + mu / ((high - v) * (high - v))
        if slope < 0:
            a = v
        else:
            b = v
        trial = v - slope / second
        if not a < trial < b:
            trial = 0.5 * (a + b)
        if abs(trial - v) <= 1e-15 * (high - low) or trial in (low, high):
            break
        v = trial
    return v

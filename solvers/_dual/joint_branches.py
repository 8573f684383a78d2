"""The least of several branch costs per weight, smoothed by a logarithmic barrier.

Branch l of weight i costs c_il; with the slacks s_l = c_l - theta,

    F(c) = max over theta < min c of theta + mu sum_l log(c_l - theta)

has gradient q_l = mu / s_l, which sums to 1, and negative Hessian (diag(q^2) - q^2 q^2' / sum q^2) / mu: a
covariance under the weights p = q^2 / sum q^2. Barriers stay self-concordant under such partial
maximisation (Y. Nesterov, A. Nemirovskii, Interior-Point Polynomial Algorithms, 1994, section 5.1.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pvq.arrays import F64

__all__ = ["Branches", "Curvature", "Smoothed", "smoothed"]

ROOT_STEPS = 60


@dataclass(frozen=True, eq=False)
class Branches:
    """Which changes a each weight can make; a branch costs d_i a^2 + 2 g_i a + t k.

    Parameters
    ----------
    change : (n, L) level - w
    price : (L,) cost k of the branch in the budget
    budget : what all weights may cost
    """

    change: F64
    price: F64
    budget: float

    def costs(self, g: F64, d: F64, t: float) -> F64:
        """Return all branch costs, (n, L)."""
        return np.asarray((d[:, None] * self.change + 2.0 * g[:, None]) * self.change + t * self.price)

    def best_price(self, g: F64, d: F64) -> float:
        """Return the t >= 0 that maximises sum of the least costs - t budget, by bisection on its slope."""
        base, t = self.costs(g, d, 0.0), 1.0
        if self._spent(base, 0.0) <= self.budget:
            return 0.0
        while self._spent(base, t) > self.budget and t < 1e300:
            t *= 2.0
        while self._spent(base, 0.5 * t) <= self.budget and t > 1e-300:
            t *= 0.5
        low, high = 0.5 * t, t
        for _ in range(55):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self._spent(base, middle) > self.budget else (low, middle)
        return high

    def _spent(self, base: F64, t: float) -> float:
        """Return the least that minimisers at price t can spend."""
        cost = base + t * self.price
        tied = cost <= cost.min(axis=1, keepdims=True)
        return float(np.where(tied, self.price, np.inf).min(axis=1).sum())


class Smoothed(NamedTuple):
    """Value of sum F, slacks s and weights q of the branches, (n, L)."""

    value: float
    slack: F64
    q: F64


class Curvature(NamedTuple):
    """Negative Hessian of sum F in (g, d, t), weight by weight.

    `g` (n,) is the entry of g with itself; `on_g` (2, n) are the coefficients of d and t in the regression on
    g, and `rest` (3, n) what that leaves: d with d, d with t, t with t.
    """

    g: F64
    on_g: F64
    rest: F64


def smoothed(costs: F64, mu: float) -> Smoothed:
    """Return the smoothed least costs.

    With s the slack of the cheapest branch and e_l >= 0 the others' extra costs, 1 / sum_l mu / (e_l + s) is
    concave and increasing in s, so Newton's method from the left end s = mu grows to its root 1.
    """
    least = costs.min(axis=1, keepdims=True)
    extra = costs - least
    s = np.full((len(costs), 1), mu)
    for _ in range(ROOT_STEPS):
        inverse = 1.0 / (extra + s)
        total = mu * inverse.sum(axis=1, keepdims=True)
        step = total * (total - 1.0) / (mu * (inverse * inverse).sum(axis=1, keepdims=True))
        s = s + np.maximum(step, 0.0)
        if (step <= 1e-14 * s).all():
            break
    slack = extra + s
    value = float((least - s).sum() + mu * np.log(slack).sum())
    return Smoothed(value, slack, mu / slack)


def curvature(branches: Branches, at: Smoothed, mu: float) -> Curvature:
    """Return the negative Hessian, each part without cancellation: what is left is summed as squares."""
    square = at.q * at.q
    total = square.sum(axis=1, keepdims=True)
    p = square / total

    def centred(feature: F64) -> F64:
        return np.asarray(feature - (p * feature).sum(axis=1, keepdims=True))

    x, y = centred(2.0 * branches.change), centred(branches.change**2)
    k = centred(np.broadcast_to(branches.price, x.shape))
    variance = np.maximum((p * x * x).sum(axis=1), np.finfo(float).tiny)
    on_g = np.array([(p * x * y).sum(axis=1) / variance, (p * x * k).sum(axis=1) / variance])
    y, k = y - on_g[0, :, None] * x, k - on_g[1, :, None] * x
    scale = total[:, 0] / mu
    rest = scale * np.array([(p * y * y).sum(axis=1), (p * y * k).sum(axis=1), (p * k * k).sum(axis=1)])
    return Curvature(scale * variance, on_g, rest)

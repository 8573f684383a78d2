"""Dual barrier path for levels under a budget: maximise a lower bound over (g, d, t).

With R = A - diag(d) and the least branch costs m_i of each weight, the bound

    phi(g, d, t) = -g'R^-1 g + sum_i m_i(g, d, t) - t budget

is concave on R > 0, t >= 0. The path maximises phi with m smoothed (`joint_branches`), plus
mu (logdet R + log t); its Newton equations are those of `joint_system`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pvq.arrays import F64
from pvq.solvers.outcome import Status

from .joint_branches import Branches, Smoothed, curvature, smoothed
from .joint_system import System, factored
from .linalg import cholesky, diagonal_operator, inverse, largest_eigenvalue, solve_factored

__all__ = ["JointPath", "Priced"]

CENTRED = 1.5  # squared Newton decrement below which mu may fall, as on the path of finite sets
REACH = 0.7
LEAST_FACTOR = 0.1
MOST_STEPS = 300
CENTRING_STEPS = 25  # at the first mu: where that takes longer, mu was too small, and is raised


class Priced(NamedTuple):
    """Best dual point met: e estimates x - w, d is split off, t the price; and the bound they give."""

    e: F64
    d: F64
    t: float
    bound: float


class _Point(NamedTuple):
    """Variables (g, d, t) as one vector, and what follows from them."""

    x: F64
    factor: F64
    e: F64
    branches: Smoothed
    value: float
    bound: float


class _Newton(NamedTuple):
    """Newton step at fixed mu, the direction that moves the centre as mu falls, and the squared decrement."""

    step: F64
    tangent: F64
    decrement: float


@dataclass
class JointPath:
    """State of the path follower.

    Parameters
    ----------
    A : (n, n) positive definite
    branches : what each weight may do
    d : (n,) strictly feasible start
    expired : says when time is up
    is_on_path : whether a centre was ever near
    """

    A: F64
    branches: Branches
    d: F64
    expired: Callable[[], bool]
    rng: np.random.Generator
    iterations: int = field(default=0, init=False)
    is_on_path: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        g = np.zeros(len(self.d))
        t = self.branches.best_price(g, self.d)
        costs = np.sort(self.branches.costs(g, self.d, t), axis=1)
        self.mu = max(float((costs[:, 1] - costs[:, 0]).mean()), 1e-3 * float(costs[:, 0].mean()), 1e-290)
        self.start = np.concatenate([g, self.d, [max(t, self.mu / max(1.0, self.branches.budget))]])
        self.best = Priced(g, self.d, t, -np.inf)
        self._restart()

    def follow(self, tolerance: float, floor: float) -> Status:
        """Follow the path until the gap is about tolerance * bound or below floor."""
        while self.iterations < MOST_STEPS:
            if self.expired():
                return Status.TIME_LIMIT
            self.iterations += 1
            newton = self._newton()
            if newton is None:
                return Status.STALLED
            share = self._share_of_mu(newton) if newton.decrement < CENTRED else 0.0
            if share == 0 and not self.is_on_path and self.iterations == CENTRING_STEPS:
                self._restart_higher()
                continue
            moved = self._advance(newton, share) if share > 0 else self._centre(newton)
            if not moved:
                return Status.STALLED
            self.is_on_path |= share > 0
            self._record(self.point)
            if share > 0 and 3 * len(self.d) * self.mu < max(tolerance * self.best.bound, floor):
                return Status.BOUND
        return Status.ITERATION_LIMIT

    def _restart_higher(self) -> None:
        """Go back to the start, with mu so large that the start is not far from its centre."""
        for _ in range(30):
            self.mu *= 10.0
            self._restart()
            newton = self._newton()
            if newton is not None and newton.decrement < len(self.d):
                return

    def _restart(self) -> None:
        """Go back to the start."""
        point = self._evaluate(self.start)
        assert point is not None, "the start lies inside: its diagonal is dominated by the analytic centre"
        self.point = point
        self._record(point)

    def look_at(self, branches: Branches) -> None:
        """Go on with other branches from the same point; the best bound is that of the new ones."""
        self.branches = branches
        point = self._evaluate(self.point.x)
        assert point is not None, "R and t do not depend on the branches"
        self.point, self.best = point, self.best._replace(bound=-np.inf)
        self._record(point)

    def vertex(self) -> F64:
        """Return where each weight's part of the bound is least over all changes, (n,); e where d <= 0."""
        n = len(self.d)
        g, d = self.point.x[:n], self.point.x[n:-1]
        return np.asarray(np.where(d > 0, -g / np.where(d > 0, d, 1.0), self.point.e))

    def _record(self, point: _Point) -> None:
        if point.bound > self.best.bound:
            n = len(self.d)
            self.best = Priced(point.e, point.x[n:-1], float(point.x[-1]), point.bound)

    def _evaluate(self, x: F64) -> _Point | None:
        """Return everything known at x, None outside."""
        n, t = len(self.d), float(x[-1])
        g, d = x[:n], x[n:-1]
        if not t > 0:
            return None
        R = self.A.copy(order="F")
        R[np.diag_indices(n)] -= d
        factor = cholesky(R)
        if factor is None:
            return None
        e = solve_factored(factor, g)
        costs = self.branches.costs(g, d, t)
        at = smoothed(costs, self.mu)
        fixed = -float(g @ e) - t * self.branches.budget
        barrier = 2.0 * float(np.log(np.diagonal(factor)).sum()) + float(np.log(t))
        return _Point(
            x, factor, e, at, fixed + at.value + self.mu * barrier, fixed + float(costs.min(1).sum())
        )

    def _newton(self) -> _Newton | None:
        n, mu, point = len(self.d), self.mu, self.point
        P = inverse(point.factor)
        bend = curvature(self.branches, point.branches, mu)
        R = self.A - np.diag(point.x[n:-1])
        inner = cholesky(np.diag(1.0 / bend.g) + 0.5 * R)
        if inner is None:
            return None
        system = System(R, inverse(inner), bend, point.e)
        S = system.schur()
        S[:n, :n] += mu * P * P
        S[n, n] += mu / point.x[-1] ** 2
        factor = factored(S)
        if factor is None:
            return None
        gradient, drift = self._gradient(np.diagonal(P))
        step, tangent = system.solve(factor, gradient), system.solve(factor, -drift)
        return _Newton(step, tangent, float(gradient @ step) / mu)

    def _gradient(self, diagonal: F64) -> tuple[F64, F64]:
        """Return the gradient and its derivative in mu, given the diagonal of P."""
        point, mu, q = self.point, self.mu, self.point.branches.q
        total = (q * q).sum(axis=1, keepdims=True)
        t = float(point.x[-1])
        gradient = self._features(q)
        gradient -= np.concatenate(
            [2.0 * point.e, point.e**2 + mu * diagonal, [self.branches.budget - mu / t]]
        )
        drift = self._features((q - q * q / total) / mu)
        drift -= np.concatenate([0.0 * point.e, diagonal, [-1.0 / t]])
        return gradient, drift

    def _features(self, weights: F64) -> F64:
        """Return the sums of 2a, a^2 and k over the branches under these weights, as one vector."""
        a = self.branches.change
        spent = float((weights @ self.branches.price).sum())
        return np.concatenate([(2.0 * a * weights).sum(axis=1), (a * a * weights).sum(axis=1), [spent]])

    def _stretch(self, step: F64, share: float) -> float:
        """Return 1 / (largest step length that stays feasible), estimated from above."""
        n, at = len(self.d), self.point.branches
        top = largest_eigenvalue(diagonal_operator(self.point.factor, step[n:-1]), n, self.rng)
        square = at.q * at.q
        total = square.sum(axis=1, keepdims=True)
        change = self.branches.costs(step[:n], step[n:-1], float(step[-1]))
        change -= (square * change).sum(axis=1, keepdims=True) / total + share * self.mu / total
        return max(top, float(-step[-1] / self.point.x[-1]), float((-change / at.slack).max()))

    def _share_of_mu(self, newton: _Newton) -> float:
        """Return the largest share of mu that a step within REACH can shed; the stretch is convex."""

        def stretch(share: float) -> float:
            return self._stretch(newton.step + share * self.mu * newton.tangent, share)

        low, high = 0.0, 1.0 - LEAST_FACTOR
        at_low, at_high = stretch(low), stretch(high)
        if at_low > REACH or at_high <= REACH:
            return high if at_low <= REACH else 0.0
        for _ in range(5):
            middle = low + (high - low) * min(0.9, max(0.1, (REACH - at_low) / (at_high - at_low)))
            value = stretch(middle)
            if value <= REACH:
                low, at_low = middle, value
            else:
                high, at_high = middle, value
            if 0.9 * REACH <= value <= REACH:
                break
        return low

    def _advance(self, newton: _Newton, share: float) -> bool:
        """Take the combined step and lower mu."""
        step = newton.step + share * self.mu * newton.tangent
        self.mu *= 1.0 - share
        for _ in range(40):
            point = self._evaluate(self.point.x + step)
            if point is not None:
                self.point = point
                return True
            step = 0.7 * step
        return False

    def _centre(self, newton: _Newton) -> bool:
        """Take a Newton step at fixed mu with Armijo's rule."""
        stretch = self._stretch(newton.step, 0.0)
        length = min(1.0, 0.5 / stretch) if stretch > 0 else 1.0
        while length > 1e-8:
            point = self._evaluate(self.point.x + length * newton.step)
            if point is not None:
                gain = point.value - self.point.value
                if gain >= 0.1 * length * newton.decrement * self.mu - 1e-11 * abs(self.point.value):
                    self.point = point
                    return True
            length *= 0.6
        return False

"""Dual barrier path for separable cuts: maximise a lower bound over nonnegative multipliers.

With multipliers x, D = diag(sum alpha x), p = sum beta x, M = A - D and Z = M^-1, the Lagrangian dual of
min u'Au subject to the cuts is

    phi(x) = rho'x - p'Zp / 4,   attained at u = -Zp / 2,

concave on M > 0. The path maximises phi + mu (logdet M + sum log x). With g = beta - 2 alpha u:

    gradient          rho + beta u - alpha u^2 - mu (alpha Z_ii - 1/x)
    negative Hessian  (g g') o Z / 2 + mu (alpha alpha') o Z o Z + mu diag(1/x^2)

(the DSDP form of a dual interior-point method: S. Benson, Y. Ye, X. Zhang, SIAM J. Optim. 10, 2000).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pvq.arrays import F64
from pvq.solvers.outcome import Status

from .cuts import Cuts
from .linalg import cholesky, diagonal_operator, inverse, largest_eigenvalue, solve_factored

__all__ = ["Path", "Point"]

# Reducing mu off the central path converges, apparently, to values up to 7 % low: reduce it only when the
# squared Newton decrement is below CENTRED, and never move further than REACH of the way to the boundary.
CENTRED = 1.5
REACH = 0.7
LEAST_FACTOR = 0.2
MOST_STEPS = 150


class Point(NamedTuple):
    """Multipliers and what follows from them: D, the factor of A - D, u, phi and the barrier."""

    x: F64
    D: F64
    factor: F64
    u: F64
    value: float
    barrier: float


class _Newton(NamedTuple):
    """Newton step at fixed mu, the direction that moves the centre as mu falls, and the squared decrement."""

    step: F64
    tangent: F64
    decrement: float


@dataclass
class Path:
    """State of the path follower.

    Parameters
    ----------
    A : (n, n) positive definite
    cuts : N inequalities
    point : strictly feasible start
    mu : barrier weight
    expired : says when time is up
    """

    A: F64
    cuts: Cuts
    point: Point
    mu: float
    expired: Callable[[], bool]
    rng: np.random.Generator
    iterations: int = 0

    @staticmethod
    def start(A: F64, cuts: Cuts, x: F64, expired: Callable[[], bool], seed: int) -> Path:
        """Return a path at strictly feasible multipliers x with mu as large as the complementarity there."""
        point = evaluate(A, cuts, x)
        assert point is not None, "the start lies inside: its diagonal is dominated by the analytic centre"
        products = _slope(cuts, point.u) * x
        mu = 3.0 * max(abs(float(products.sum())), 0.3 * float(np.abs(products).sum())) / len(cuts)
        return Path(A, cuts, point, max(mu, np.finfo(float).tiny), expired, np.random.default_rng(seed))

    @property
    def gap(self) -> float:
        """Duality gap of the relaxation on the central path at this mu."""
        return self.mu * (len(self.A) + len(self.cuts) + 1)

    def follow(self, tolerance: float, floor: float) -> Status:
        """Follow the path until the gap is below tolerance * |phi| or below floor."""
        for _ in range(MOST_STEPS):
            if self.expired():
                return Status.TIME_LIMIT
            self.iterations += 1
            newton = self._newton()
            if newton is None:
                return Status.STALLED
            share = self._share_of_mu(newton) if newton.decrement < CENTRED else 0.0
            moved = self._advance(newton, share) if share > 0 else self._centre(newton)
            if not moved:
                return Status.STALLED
            if share > 0 and self.gap < max(tolerance * abs(self.point.value), floor):
                return Status.BOUND
        return Status.ITERATION_LIMIT

    def second_moment(self) -> F64:
        """Return the primal's E u_i^2 = u_i^2 + mu Z_ii on the path, (n,)."""
        return np.asarray(self.point.u**2 + self.mu * np.diagonal(inverse(self.point.factor)))

    def extend(self, extra: Cuts, old: F64, new: F64) -> None:
        """Add cuts with multipliers `new`, the others changed to `old`, unless that is infeasible."""
        cuts = self.cuts + extra
        point = evaluate(self.A, cuts, np.concatenate([old, new]))
        if point is not None:
            self.cuts, self.point = cuts, point

    def _newton(self) -> _Newton | None:
        cuts, x, mu = self.cuts, self.point.x, self.mu
        Z = inverse(self.point.factor)
        barrier_slope = cuts.alpha * np.diagonal(Z)[cuts.index] - 1.0 / x
        if len(cuts) != len(self.A):
            Z = Z[np.ix_(cuts.index, cuts.index)]
        g = (cuts.beta - 2.0 * cuts.alpha * self.point.u[cuts.index]) * np.sqrt(0.5)
        K = Z * (np.outer(mu * cuts.alpha, cuts.alpha) * Z + np.outer(g, g))
        K[np.diag_indices_from(K)] += mu / x**2
        factor = cholesky(K)
        if factor is None:
            return None
        gradient = _slope(cuts, self.point.u) - mu * barrier_slope
        step = solve_factored(factor, gradient)
        return _Newton(step, solve_factored(factor, barrier_slope), float(gradient @ step) / mu)

    def _stretch(self, step: F64) -> float:
        """Return 1 / (largest step length that stays feasible), estimated from above."""
        move = self.cuts.diagonal(step, len(self.A))
        top = largest_eigenvalue(diagonal_operator(self.point.factor, move), len(move), self.rng)
        return max(top, float(np.max(-step / self.point.x)))

    def _share_of_mu(self, newton: _Newton) -> float:
        """Return the largest share of mu that a step within REACH can shed; the stretch is convex."""

        def stretch(share: float) -> float:
            return self._stretch(newton.step + share * self.mu * newton.tangent)

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
        for _ in range(40):
            point = evaluate(self.A, self.cuts, self.point.x + step)
            if point is not None:
                self.point = point
                self.mu *= 1.0 - share
                return True
            step = 0.7 * step
        return False

    def _centre(self, newton: _Newton) -> bool:
        """Take a Newton step at fixed mu with Armijo's rule."""
        stretch = self._stretch(newton.step)
        length = min(1.0, 0.5 / stretch) if stretch > 0 else 1.0
        base = self.point.value + self.mu * self.point.barrier
        while length > 1e-8:
            point = evaluate(self.A, self.cuts, self.point.x + length * newton.step)
            if point is not None:
                gain = point.value + self.mu * point.barrier - base
                if gain >= 0.1 * length * newton.decrement * self.mu - 1e-11 * abs(base):
                    self.point = point
                    return True
            length *= 0.6
        return False


def _slope(cuts: Cuts, u: F64) -> F64:
    """Return the gradient of phi."""
    at = u[cuts.index]
    return cuts.rho + cuts.beta * at - cuts.alpha * at * at


def evaluate(A: F64, cuts: Cuts, x: F64) -> Point | None:
    """Return everything known at multipliers x, None where x or A - D is not positive."""
    if not (x > 0).all():
        return None
    n = len(A)
    D = cuts.diagonal(x, n)
    M = A.copy(order="F")
    M[np.diag_indices(n)] -= D
    factor = cholesky(M)
    if factor is None:
        return None
    p = cuts.linear(x, n)
    Zp = solve_factored(factor, p)
    barrier = 2.0 * float(np.log(np.diagonal(factor)).sum()) + float(np.log(x).sum())
    return Point(x, D, factor, -0.5 * Zp, float(cuts.rho @ x - 0.25 * (p @ Zp)), barrier)

"""Dual barrier path for separable cuts: maximise a lower bound over nonnegative multipliers.

With multipliers x, D = diag(sum alpha x), p = sum beta x, M = A - D and Z = M^-1, the Lagrangian dual of
min u'Au subject to the cuts is

    phi(x) = rho'x - p'Zp / 4,   attained at u = -Zp / 2,

concave on M > 0. The path maximises phi + mu (logdet M + sum log x). With g = beta - 2 alpha u:

    gradient          rho + beta u - alpha u^2 - mu (alpha Z_ii - 1/x)
    negative Hessian  (g g') o Z / 2 + mu (alpha alpha') o Z o Z + mu diag(1/x^2)

A cut that is an equation has a multiplier of any sign and no part in sum log x
(the DSDP form of a dual interior-point method: S. Benson, Y. Ye, X. Zhang, SIAM J. Optim. 10, 2000).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pvq.arrays import F64
from pvq.solvers.outcome import Status

from .cuts import Cuts
from .dense import Dense, Matrix, Newton
from .linalg import largest_eigenvalue

__all__ = ["Path", "Point"]

# Reducing mu off the central path converges, apparently, to values up to 7 % low: reduce it only when the
# squared Newton decrement is below CENTRED, and never move further than REACH of the way to the boundary, to
# the centre CENTRE_REACH: at 0.85 some paths jam.
CENTRED = 1.5
REACH = 0.7
CENTRE_REACH = 0.6
LEAST_FACTOR = 0.2
MOST_STEPS = 150
START = 9.0  # times the complementarity at the start; 3 or 30 take one or two steps more
PATIENCE, RETREAT = 14, 5.0  # after so many steps to the centre of one mu, a larger one has its centre nearer
TRUSTED_GAP = 20.0  # tolerances: the estimate of what is still to gain is used once the gap is below that


class Point(NamedTuple):
    """Multipliers and what follows from them: D, the factor of A - D, u, phi and the barrier."""

    x: F64
    D: F64
    factor: Matrix
    u: F64
    value: float
    barrier: float


class _Step(NamedTuple):
    """Newton step at fixed mu, the direction that moves the centre as mu falls, and the squared decrement."""

    step: F64
    tangent: F64
    decrement: float


@dataclass
class Path:
    """State of the path follower.

    Parameters
    ----------
    dense : where matrices live
    A : (n, n) positive definite, as the backend holds it
    cuts : N inequalities, in the order of their coordinates
    point : strictly feasible start
    mu : barrier weight
    expired : says when time is up
    rng : draws the first vector of each Lanczos run
    """

    dense: Dense
    A: Matrix
    cuts: Cuts
    point: Point
    mu: float
    expired: Callable[[], bool]
    rng: np.random.Generator
    iterations: int = 0
    dual_part: float = field(default=float("inf"), init=False)
    share: float = field(default=0.5, init=False)

    @staticmethod
    def start(dense: Dense, A: F64, cuts: Cuts, x: F64, expired: Callable[[], bool], seed: int) -> Path:
        """Return a path at strictly feasible multipliers x with mu well above the complementarity there."""
        order = np.argsort(cuts.index, kind="stable")
        cuts, x, matrix = cuts.take(order), x[order], dense.load(A)
        point = evaluate(dense, matrix, cuts, x, len(A))
        assert point is not None, "the start lies inside: its diagonal is dominated by the analytic centre"
        products = cuts.slope(point.u) * x
        mu = START * max(abs(float(products.sum())), 0.3 * float(np.abs(products).sum())) / len(cuts)
        mu = max(mu, np.finfo(float).tiny)
        return Path(dense, matrix, cuts, point, mu, expired, np.random.default_rng(seed))

    @property
    def gap(self) -> float:
        """Duality gap of the relaxation on the central path at this mu."""
        return self.mu * (len(self.point.D) + len(self.cuts) - float(self.cuts.equation.sum()) + 1)

    @property
    def loss(self) -> float:
        """How much phi may still rise: the dual's part of the gap, about a tenth of it.

        Along the central path d phi / d mu = -mu b'K^-1 b with the barrier's slope b, and mu b'K^-1 b hardly
        changes near its end: it counts the multipliers and the eigenvalues of A - D that vanish there.
        """
        return self.mu * self.dual_part

    def follow(self, tolerance: float, floor: float) -> Status:
        """Follow the path until phi can rise by less than tolerance * |phi|, or the gap is below floor."""
        centring = 0
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
            centring = 0 if share > 0 else centring + 1
            if centring == PATIENCE:
                self.mu, centring = RETREAT * self.mu, 0
            if share > 0 and (self.gap < floor or self._converged(tolerance * abs(self.point.value))):
                return Status.BOUND
        return Status.ITERATION_LIMIT

    def _converged(self, aim: float) -> bool:
        return self.loss < aim and self.gap < TRUSTED_GAP * aim

    def second_moment(self) -> F64:
        """Return the primal's E u_i^2 = u_i^2 + mu Z_ii on the path, (n,)."""
        variance = self.dense.diagonal(self.dense.inverse(self.point.factor))
        return np.asarray(self.point.u**2 + self.mu * variance)

    def extend(self, extra: Cuts, old: F64, new: F64) -> None:
        """Add cuts with multipliers `new`, the others changed to `old`, unless that is infeasible."""
        cuts, x = self.cuts + extra, np.concatenate([old, new])
        order = np.argsort(cuts.index, kind="stable")
        cuts = cuts.take(order)
        point = self._at(cuts, x[order])
        if point is not None:
            self.cuts, self.point = cuts, point

    def _at(self, cuts: Cuts, x: F64) -> Point | None:
        return evaluate(self.dense, self.A, cuts, x, len(self.point.D))

    def _newton(self) -> _Step | None:
        cuts, x, mu, u = self.cuts, self.point.x, self.mu, self.point.u
        Z = self.dense.inverse(self.point.factor)
        reciprocal = (1.0 - cuts.equation) / np.where(cuts.equation > 0, 1.0, x)
        barrier_slope = cuts.alpha * self.dense.diagonal(Z)[cuts.index] - reciprocal
        g = (cuts.beta - 2.0 * cuts.alpha * u[cuts.index]) * np.sqrt(0.5)
        parts = Newton(cuts.index, np.sqrt(mu) * cuts.alpha, g, mu * reciprocal**2)
        factor = self.dense.newton(Z, parts)
        if factor is None:
            return None
        gradient = cuts.slope(u) - mu * barrier_slope
        step, tangent = self.dense.solve(factor, np.array([gradient, barrier_slope]).T).T
        self.dual_part = mu * float(barrier_slope @ tangent)
        return _Step(step, tangent, float(gradient @ step) / mu)

    def _stretch(self, step: F64) -> float:
        """Return 1 / (largest step length that stays feasible), estimated from above."""
        move = self.cuts.diagonal(step, len(self.point.D))
        top = largest_eigenvalue(self.dense.congruence(self.point.factor, move), len(move), self.rng)
        signed = self.cuts.equation == 0
        return max(top, float(np.max(-step[signed] / self.point.x[signed], initial=0.0)))

    def _share_of_mu(self, newton: _Step) -> float:
        """Return about the largest share of mu that a step within REACH can shed; the stretch is convex.

        The share of the step before is tried first.
        """

        def stretch(share: float) -> float:
            return self._stretch(newton.step + share * self.mu * newton.tangent)

        most = 1.0 - LEAST_FACTOR
        low, high, at_low, at_high = 0.0, most, stretch(0.0), float("inf")
        if at_low > REACH:
            return 0.0
        trial = min(most, 1.05 * self.share)
        for _ in range(6):
            value = stretch(trial)
            if value <= REACH:
                low, at_low = trial, value
            else:
                high, at_high = trial, value
            if low == most or 0.9 * REACH <= value <= REACH:
                break
            portion = (REACH - at_low) / (at_high - at_low) if np.isfinite(at_high) else 0.7
            trial = (
                most if np.isinf(at_high) and low > 0.6 else low + (high - low) * min(0.9, max(0.1, portion))
            )
        self.share = max(low, 0.1)
        return low

    def _advance(self, newton: _Step, share: float) -> bool:
        """Take the combined step and lower mu."""
        step = newton.step + share * self.mu * newton.tangent
        for _ in range(40):
            point = self._at(self.cuts, self.point.x + step)
            if point is not None:
                self.point = point
                self.mu *= 1.0 - share
                return True
            step = 0.7 * step
        return False

    def _centre(self, newton: _Step) -> bool:
        """Take a Newton step at fixed mu with Armijo's rule."""
        stretch = self._stretch(newton.step)
        length = min(1.0, CENTRE_REACH / stretch) if stretch > 0 else 1.0
        base = self.point.value + self.mu * self.point.barrier
        while length > 1e-8:
            point = self._at(self.cuts, self.point.x + length * newton.step)
            if point is not None:
                gain = point.value + self.mu * point.barrier - base
                if gain >= 0.1 * length * newton.decrement * self.mu - 1e-11 * abs(base):
                    self.point = point
                    return True
            length *= 0.6
        return False


def evaluate(dense: Dense, A: Matrix, cuts: Cuts, x: F64, n: int) -> Point | None:
    """Return everything known at multipliers x, None where x or A - D is not positive."""
    signed = cuts.equation == 0
    if not (x[signed] > 0).all():
        return None
    D = cuts.diagonal(x, n)
    factor = dense.factor(A, D)
    if factor is None:
        return None
    p = cuts.linear(x, n)
    Zp = dense.solve(factor, p)
    barrier = 2.0 * dense.log_diagonal(factor) + float(np.log(x[signed]).sum())
    return Point(x, D, factor, -0.5 * Zp, float(cuts.rho @ x - 0.25 * (p @ Zp)), barrier)

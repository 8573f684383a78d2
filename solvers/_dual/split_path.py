"""Dual barrier path for cuts along sparse directions: `path` with W = B Z B' in place of Z.

With multipliers x, Q = B' diag(alpha x) B, p = B' (beta x), M = A - Q, Z = M^-1 and tau = B u:

    phi(x) = rho'x - p'Zp / 4,   attained at u = -Zp / 2,
    gradient          rho + beta tau - alpha tau^2 - mu (alpha W_mm - 1/x)
    negative Hessian  (g g') o W / 2 + mu (alpha alpha') o W o W + mu diag(1/x^2),  g = beta - 2 alpha tau

for phi + mu (logdet M + sum log x) (S. Benson, Y. Ye, X. Zhang, SIAM J. Optim. 10, 2000). A step costs
n^3 + N^3 / 3 for N cuts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import blas, lapack

from pvq.arrays import F64, Bool
from pvq.solvers.outcome import Status

from .linalg import cholesky, inverse, largest_eigenvalue, solve_factored
from .split_cuts import SplitCuts
from .split_kernels import newton_matrix

__all__ = ["SplitPath"]

# As of `path`: reduce mu only near the central path, never go further than REACH of the way to the boundary.
CENTRED = 1.5
REACH = 0.7
LEAST_FACTOR = 0.2
MOST_STEPS = 150
FAR, LONGEST = 100.0, 5.0  # beyond this squared decrement steps of up to five times Newton's pay
NEW_REACH = 0.3  # of the way to the boundary that new cuts take together


class _Point(NamedTuple):
    """Multipliers and what follows from them: the factor of M, u, phi and the barrier."""

    x: F64
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
class SplitPath:
    """State of the path follower.

    Parameters
    ----------
    A : (n, n) positive definite
    cuts : N inequalities
    point : strictly feasible
    mu : barrier weight
    expired : says when time is up
    """

    A: F64
    cuts: SplitCuts
    point: _Point
    mu: float
    expired: Callable[[], bool]
    rng: np.random.Generator
    iterations: int = 0

    @staticmethod
    def start(A: F64, cuts: SplitCuts, x: F64, expired: Callable[[], bool], seed: int) -> SplitPath | None:
        """Return a path at multipliers x with mu as large as the complementarity; None if infeasible."""
        point = _evaluate(A, cuts, x)
        if point is None:
            return None
        products = _slope(cuts, cuts.directions.along(point.u)) * x
        mu = 3.0 * max(abs(float(products.sum())), 0.3 * float(np.abs(products).sum())) / len(cuts)
        return SplitPath(A, cuts, point, max(mu, 1e-300), expired, np.random.default_rng(seed))

    @property
    def gap(self) -> float:
        """Duality gap of the relaxation on the central path at this mu."""
        return self.mu * (len(self.A) + len(self.cuts) + 1)

    def covariance(self) -> F64:
        """Return the primal's covariance mu Z of y, (n, n)."""
        return np.asarray(self.mu * inverse(self.point.factor))

    def slacks(self) -> F64:
        """Return the expected value of each cut's left-hand side on the path, (N,)."""
        return np.asarray(self.mu / self.point.x)

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

    def drop(self, keep: Bool) -> None:
        """Keep the marked cuts only, if that is feasible: dropping an upper arch may not be."""
        cuts = self.cuts.take(keep)
        point = _evaluate(self.A, cuts, self.point.x[keep])
        if point is not None:
            self.cuts, self.point = cuts, point

    def extend(self, extra: SplitCuts) -> None:
        """Add cuts with multipliers inverse to their variances, well inside what is feasible."""
        x = 1.0 / extra.directions.variances(inverse(self.point.factor))
        x *= NEW_REACH / max(1.0, self._top(extra.directions.weighted_square(extra.alpha * x, len(self.A))))
        cuts = self.cuts + extra
        point = _evaluate(self.A, cuts, np.concatenate([self.point.x, x]))
        if point is not None:
            self.cuts, self.point = cuts, point

    def _newton(self) -> _Newton | None:
        cuts, x, mu, a = self.cuts, self.point.x, self.mu, self.cuts.directions
        along = a.along(self.point.u)
        image = a.images(inverse(self.point.factor))
        g = cuts.beta - 2.0 * cuts.alpha * along
        K, diagonal = newton_matrix(a.start, a.index, a.coefficient, image, cuts.alpha, g, mu / x**2, mu)
        factor, info = lapack.dpotrf(K.T, lower=0, clean=0, overwrite_a=1)
        if info != 0 or not np.isfinite(np.diagonal(factor)).all():
            return None
        barrier_slope = cuts.alpha * diagonal - 1.0 / x
        gradient = _slope(cuts, along) - mu * barrier_slope
        step, tangent = (lapack.dpotrs(factor, side, lower=0)[0] for side in (gradient, barrier_slope))
        return _Newton(step, tangent, float(gradient @ step) / mu)

    def _top(self, change: F64) -> float:
        """Return the largest eigenvalue of L^-1 change L^-T, estimated from above."""
        L = self.point.factor

        def apply(v: F64) -> F64:
            return blas.dtrsv(L, change @ blas.dtrsv(L, v, lower=1, trans=1), lower=1)

        return largest_eigenvalue(apply, len(change), self.rng)

    def _stretch(self, step: F64) -> float:
        """Return 1 / (largest step length that stays feasible), estimated from above."""
        change = self.cuts.directions.weighted_square(self.cuts.alpha * step, len(self.A))
        return max(self._top(change), float(np.max(-step / self.point.x)))

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
            point = _evaluate(self.A, self.cuts, self.point.x + step)
            if point is not None:
                self.point = point
                self.mu *= 1.0 - share
                return True
            step = 0.7 * step
        return False

    def _centre(self, newton: _Newton) -> bool:
        """Take a Newton step at fixed mu with Armijo's rule; far from the centre one longer than Newton's."""
        far = newton.decrement > FAR
        stretch = self._stretch(newton.step)
        reach, longest = (REACH, LONGEST) if far else (0.5, 1.0)
        length = min(longest, reach / stretch) if stretch > 0 else 1.0
        base = self.point.value + self.mu * self.point.barrier
        while length > 1e-8:
            point = _evaluate(self.A, self.cuts, self.point.x + length * newton.step)
            if point is not None:
                gain = point.value + self.mu * point.barrier - base
                if gain >= 0.1 * min(1.0, length) * newton.decrement * self.mu - 1e-11 * abs(base):
                    self.point = point
                    return True
            length *= 0.6
        return False


def _slope(cuts: SplitCuts, along: F64) -> F64:
    """Return the gradient of phi where a_m'u = along."""
    return np.asarray(cuts.rho + cuts.beta * along - cuts.alpha * along * along)


def _evaluate(A: F64, cuts: SplitCuts, x: F64) -> _Point | None:
    """Return everything known at multipliers x, None where x or M is not positive."""
    if not (x > 0).all():
        return None
    n = len(A)
    factor = cholesky(A - cuts.directions.weighted_square(cuts.alpha * x, n))
    if factor is None:
        return None
    p = cuts.directions.gather(cuts.beta * x, n)
    Zp = solve_factored(factor, p)
    barrier = 2.0 * float(np.log(np.diagonal(factor)).sum()) + float(np.log(x).sum())
    return _Point(x, factor, -0.5 * Zp, float(cuts.rho @ x - 0.25 * (p @ Zp)), barrier)

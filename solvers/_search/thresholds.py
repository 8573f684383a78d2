r"""From an error that is claimed to be minimal to the cost at which a partial decision may be given up.

Everything a search in floating point relies on is bounded here a priori, so that the search itself is plain
code. Let A be the exact scaled H, y the exact change of the weights in level units, ``ranges`` bounds of
|y_i|, R and K the floats of the factor, and m_j the centres as floating point computes them.

Lemma 1 (H against R'R). If |A - R'R| <= E entrywise and eps_i = s_i sum_j E_ij / s_j for any s > 0, then both
A - R'R + diag(eps) and R'R - A + diag(eps) are positive semidefinite (Gershgorin's circles of the matrix
scaled by 1/s). So y'Ay >= |Ry|^2 - sum_i eps_i ranges_i^2. R need not be a good factor of A: a ridge only
makes eps larger. E is computed in extended precision, and its own rounding added.

Lemma 2 (centres). Let q hold the levels of the decided positions and the computed centres of the others,
minus the initial centres. Deciding position i at a distance delta from its centre changes row k < i of Rq
by (R_k,<i K_i + R_ki) delta plus roundings of at most 2^-53 (|R_ki delta| + sum_j |R_kj| (|m_j| + |K_ij
delta|)), and makes row i equal to R_ii delta (1 + e), |e| <= 2^-53, plus what it was. Where the costs so far
sum to less than T, |delta_i| <= sqrt(T) / R_ii and, by Cauchy-Schwarz, |m_j - centre_j| <= sqrt(T)
|(K_ij / R_ii)_i|. Hence the exact vector R y differs from what the costs and the centres describe by a vector
whose entries are at most sigma(T) (`Thresholds._error`), plus sum_i theta_i |R_i| in norm for the error theta
of describing the levels in these units.

Lemma 3 (shares). Where R'R - diag(d) is positive semidefinite on the i positions left, the rows of R y that
are not decided have a squared norm of at least sum_j d_j dist(m_j, levels)^2, up to the vector of lemma 2.

So with e the norm of that vector, any point whose partial cost plus share reaches

    T = (1 + gamma) (sqrt(claim + sum_i eps_i ranges_i^2) + e)^2

has an exact error of at least the claim. The factor 1 + gamma covers the sums of nonnegative terms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.solvers.rounding import TINY, UNIT, gamma, proves_psd

from .geometry import Factor
from .lattice import Lattice
from .remaining import Remaining

__all__ = ["Thresholds", "proved_shares"]

SAFETY = 1.0 + 2.0**-20  # covers that the bounds, relative errors below 1e-9 themselves, are floats
MOST_TRIES = 40


@dataclass(frozen=True, eq=False)
class Thresholds:
    """Bounds of all rounding in a search with one factor; see the module for what they mean.

    Parameters
    ----------
    lattice, factor : what the search works on
    residual : (m,) sum_j E_ij s_i / s_j
    allowance : sum_i eps_i ranges_i^2
    theta : sum_i theta_i |R_i|
    drift : (m, m) bound of |R_k,<i K_i + R_ki|
    slack : factor on every allowance, at least 1
    """

    lattice: Lattice
    factor: Factor
    residual: F64
    allowance: float
    theta: float
    drift: F64
    slack: float

    @staticmethod
    def of(lattice: Lattice, factor: Factor, slack: float = 1.0) -> Thresholds:
        """Return the thresholds; one product of extended-precision matrices is the most work."""
        residual = slack * _residual(lattice, factor)
        theta, ranges = _in_units(lattice, factor)
        allowance = SAFETY * float(residual @ ranges**2)
        norms = np.linalg.norm(factor.R, axis=0)
        drift = slack * _drift(factor)
        return Thresholds(
            lattice, factor, residual, allowance, slack * SAFETY * float(theta @ norms), drift, slack
        )

    def at(self, claim: float) -> float:
        """Return T for a claimed error in the problem's units; inf, which gives nothing up, if none."""
        with np.errstate(all="ignore"):
            wanted = claim / self.lattice.geometry.size / self.lattice.spacing**2 * (1.0 + 16 * UNIT) + TINY
            root = np.sqrt(wanted + self.allowance) * (1.0 + 4 * UNIT)
            guess = 1.1 * root**2
            for _ in range(MOST_TRIES):
                reach = (root + self._error(guess)) ** 2 * (1.0 + self.slack * gamma(8 * self._m + 64))
                if reach <= guess:
                    return float(reach)
                guess *= 2.0
        return np.inf

    def below(self, cost: float) -> float:
        """Return a lower bound, in the problem's units, of the error of a point of this cost."""
        with np.errstate(all="ignore"):
            shrunk = np.sqrt(cost * (1.0 - self.slack * gamma(8 * self._m + 64)))
            root = max(0.0, float(shrunk) - self._error(1.1 * cost))
            value = root**2 - self.allowance - TINY
            return float(value * (self.lattice.geometry.size * self.lattice.spacing**2) * (1.0 - 64 * UNIT))

    @property
    def _m(self) -> int:
        return len(self.factor.order)

    def _error(self, T: float) -> float:
        """Return the norm of the vector of lemma 2, rounded up."""
        R, K = np.abs(self.factor.R), np.abs(self.factor.K)
        pivots = np.diagonal(R)
        delta = SAFETY * np.sqrt(T) / pivots
        centre = np.abs(self.lattice.centre[self.factor.order])
        reach = centre + SAFETY * np.sqrt(T) * np.linalg.norm(K / pivots[:, None], axis=0)
        roundings = delta + self._m * reach + K.T @ delta
        sigma = self.drift @ delta + self.slack * UNIT * (R @ roundings) + self._m * TINY
        return float(np.linalg.norm(sigma)) * SAFETY + self.theta


def _residual(lattice: Lattice, factor: Factor) -> F64:
    """Return eps of lemma 1."""
    geometry, order = lattice.geometry, factor.order
    live = geometry.live[order]
    shape = geometry.shape[order].astype(np.longdouble)
    H = lattice.problem.H[np.ix_(live, live)].astype(np.longdouble)
    A = H / np.longdouble(geometry.size) * shape[:, None] * shape[None, :]
    R = factor.R.astype(np.longdouble)
    product, size = R.T @ R, np.abs(R).T @ np.abs(R)
    E = np.abs(A - product) + _extended_gamma(len(A) + 8) * (np.abs(A) + size) + 16 * len(A) * TINY
    s = np.sqrt(np.diagonal(A))
    return np.asarray(SAFETY * (s * (E @ (1.0 / s))), dtype=np.float64)


def _in_units(lattice: Lattice, factor: Factor) -> tuple[F64, F64]:
    """Return theta, how far the exact changes are from level minus centre, and the ranges of the changes."""
    live = lattice.geometry.live[factor.order]
    unit = lattice.geometry.shape[factor.order].astype(np.longdouble) * np.longdouble(lattice.spacing)
    table = lattice.feasible.level_table(lattice.problem.n)[live].astype(np.longdouble)
    w = lattice.problem.w[live].astype(np.longdouble)[:, None]
    exact = (table - w) / unit[:, None]
    centre = lattice.centre[factor.order].astype(np.longdouble)[:, None]
    used = lattice.levels.astype(np.longdouble)[None, :] - centre
    size = (np.abs(table) + np.abs(w)) / unit[:, None] + np.abs(used)
    theta = np.max(np.abs(exact - used) + _extended_gamma(8) * size, axis=1)
    ranges = np.max(np.abs(exact), axis=1) + theta
    return np.asarray(SAFETY * theta + TINY, np.float64), np.asarray(SAFETY * ranges + TINY, np.float64)


def _drift(factor: Factor) -> F64:
    """Return the bound of |R_k,<i K_i + R_ki|: with U = I + K' that is R U off the diagonal."""
    R, U = factor.R.astype(np.longdouble), (factor.K.T + np.eye(len(factor.K))).astype(np.longdouble)
    bound = np.abs(R @ U) + _extended_gamma(len(R) + 8) * (np.abs(R) @ np.abs(U)) + len(R) * TINY
    return np.asarray(np.triu(SAFETY * bound, 1), dtype=np.float64)


def _extended_gamma(k: int) -> np.longdouble:
    """Return gamma(k) of extended precision, which is float64 where the platform has no wider type."""
    unit = np.finfo(np.longdouble).eps / 2
    return np.longdouble(k * unit / (1 - k * unit))


def proved_shares(thresholds: Thresholds, remaining: Remaining) -> F64:
    """Return the shares with every row set to zero whose R'R - diag(d) is not proved semidefinite.

    That R'R exceeds the float A by no less than -diag(residual + rounding of A) is lemma 1.
    """
    order = thresholds.factor.order
    A = thresholds.lattice.geometry.A[np.ix_(order, order)]
    s = np.sqrt(np.diagonal(A))
    doubt = SAFETY * (thresholds.residual + thresholds.slack * 8 * UNIT * (s * (np.abs(A) @ (1.0 / s))))
    shares = np.zeros_like(remaining.shares)
    for row, k in enumerate(remaining.knots):
        d = remaining.shares[row, :k]
        usable = k > 0 and bool(np.isfinite(d).all() and (d >= 0).all() and d.any())
        if usable and proves_psd(np.ascontiguousarray(A[:k, :k]), d + doubt[:k] * SAFETY, thresholds.slack):
            shares[row, :k] = d
    return shares

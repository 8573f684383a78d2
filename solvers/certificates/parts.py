"""Dual certificates: two numbers per weight that prove a lower bound of the error.

Any diagonal D = diag(d) with M = H - D positive semidefinite splits the error of x = w + v into a convex
part, bounded below by its tangent at any u, and a part that is a sum over weights:

    v'Hv = v'Mv + sum_i d_i v_i^2 >= -u'Mu + sum_i [ d_i v_i^2 + 2 (Mu)_i v_i ].

The bracket is then minimised exactly on what each weight may be. No inverse is needed and neither d nor u
must be optimal: a wrong pair proves less, never something false.

All evaluations are in float64 with an a-priori bound of their rounding error subtracted (`rounding.gamma`);
positive semidefiniteness is proved by a shifted Cholesky factorisation (`rounding.proves_psd`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum
from typing import NamedTuple

import numpy as np

from pvq.arrays import F64

from .feasible import FeasibleSet, FiniteSet, SparseSet
from .problem import LayerProblem
from .rounding import TINY, gamma, proves_psd

__all__ = ["FiniteCertificate", "SparseCertificate"]

CHUNK = 2**22  # level-by-weight table entries held at once


@dataclass(frozen=True, eq=False)
class _Multipliers:
    """What both certificates hold: the problem they are about and two numbers per weight.

    Parameters
    ----------
    problem : content hash of H and w
    d : (n,) diagonal that is split off, in units of H
    u : (n,) tangent point, an estimate of x - w, in weight units
    """

    problem: str
    d: F64
    u: F64

    def _is_about(self, problem: LayerProblem) -> bool:
        return (
            self.problem == problem.digest
            and self.d.shape == self.u.shape == problem.w.shape
            and bool(np.isfinite(self.d).all() and np.isfinite(self.u).all())
        )


@dataclass(frozen=True, eq=False)
class FiniteCertificate(_Multipliers):
    """Lower bound for a finite set; d may have any sign.

    min over x >= -u'Mu + sum_i min over levels l of [ d_i (l - w_i)^2 + 2 (Mu)_i (l - w_i) ]

    >>> from pvq.solvers.feasible import fit_set
    >>> problem = LayerProblem(np.eye(1), np.array([0.25]))
    >>> proof = FiniteCertificate(problem.digest, np.array([1.0]), np.array([0.0]))
    >>> round(proof.bound(problem, fit_set("levels[0;1]", problem.w)), 12)
    0.0625
    """

    def bound(self, problem: LayerProblem, feasible: FeasibleSet, slack: float = 1.0) -> float:
        """Return the proved lower bound, -inf if nothing is proved."""
        if not (slack >= 1.0 and isinstance(feasible, FiniteSet) and self._is_about(problem)):
            return -np.inf
        if not proves_psd(problem.H, self.d, slack):
            return -np.inf
        with np.errstate(all="ignore"):
            tangent = _tangent(problem, self.d, self.u, slack)
            lowest = _least_over_levels(problem.w, feasible.levels, self.d, tangent, slack)
        return _sum_down([*lowest, -tangent.quadratic])


@dataclass(frozen=True, eq=False)
class SparseCertificate(_Multipliers):
    """Lower bound for vectors with at least p zeros.

    With g = Mu and delta_i = (d_i w_i - g_i)^2 / d_i,

    min over x >= -u'g - sum_i g_i^2 / d_i + (sum of the p smallest delta_i).

    A weight with d_i = 0 is allowed only where its row of H is zero: then it costs nothing either way. Where
    all weights are removed, p = n, only the sum over removed weights is left and d may have any sign.

    >>> from pvq.solvers.feasible import SparseSet
    >>> problem = LayerProblem(np.eye(2), np.array([2.0, 1.0]))
    >>> proof = SparseCertificate(problem.digest, np.ones(2), np.zeros(2))
    >>> round(proof.bound(problem, SparseSet(2, 1)), 12)
    1.0
    """

    def bound(self, problem: LayerProblem, feasible: FeasibleSet, slack: float = 1.0) -> float:
        """Return the proved lower bound, -inf if nothing is proved."""
        if not (slack >= 1.0 and isinstance(feasible, SparseSet) and self._is_about(problem)):
            return -np.inf
        if feasible.n != problem.n or not (feasible.k == 0 or self._bounds_kept_weights(problem.H)):
            return -np.inf
        if not proves_psd(problem.H, self.d, slack):
            return -np.inf
        with np.errstate(all="ignore"):
            tangent = _tangent(problem, self.d, self.u, slack)
            kept, removed = _branches(problem.w, self.d, tangent, slack)
        return _sum_of_branches(kept, removed, tangent.quadratic, feasible.removed)

    def _bounds_kept_weights(self, H: F64) -> bool:
        """Return whether d v^2 + 2 g v is bounded below over all v for every weight."""
        dead = ~H.any(axis=1)
        return not ((self.d[dead] != 0).any() or (self.d[~dead] <= 0).any())


class _Tangent(NamedTuple):
    """g = Mu with a bound of its error, and an upper bound of u'Mu."""

    g: F64
    error: F64
    quadratic: float


def _tangent(problem: LayerProblem, d: F64, u: F64, slack: float) -> _Tangent:
    """Evaluate the linear part.

    Each g_i is a sum of n + 1 products, so it errs by at most gamma(n + 2) (|H||u| + |d u|)_i; the allowance
    of 2n + 16 roundings also covers that this bound is itself evaluated in floating point.
    """
    size, n = np.abs(u), problem.n
    g = problem.H @ u - d * u
    allowance = slack * gamma(2 * n + 16)
    error = allowance * (problem.gram.magnitude @ size + np.abs(d) * size) + slack * 4 * n * TINY
    quadratic = float(u @ g) + allowance * float(size @ np.abs(g)) + 1.01 * float(size @ error)
    return _Tangent(g, error, float(np.nextafter(quadratic + 8 * n * TINY, np.inf)))


def _least_over_levels(w: F64, levels: F64, d: F64, tangent: _Tangent, slack: float) -> F64:
    """Return for each weight a lower bound of its bracket over all levels, in blocks of bounded memory."""
    rows = max(1, CHUNK // len(levels))
    blocks = [slice(start, start + rows) for start in range(0, len(w), rows)]
    return np.concatenate(
        [
            _bracket(
                levels[None, :] - w[block, None], d[block], tangent.g[block], tangent.error[block], slack
            ).min(1)
            for block in blocks
        ]
    )


def _bracket(a: F64, d: F64, g: F64, error: F64, slack: float) -> F64:
    """Return a lower bound of d a^2 + 2 g a where g is known up to `error`, per row of a.

    At most 8 roundings reach the result, that of a = level - w included; 16 are allowed.
    """
    size = np.abs(a)
    square, linear = d[:, None] * a * a, 2.0 * g[:, None] * a
    doubt = slack * gamma(16) * (np.abs(square) + np.abs(linear)) + 2.02 * error[:, None] * size
    return square + linear - doubt - 16 * TINY * (2.0 + size)


def _branches(w: F64, d: F64, tangent: _Tangent, slack: float) -> tuple[F64, F64]:
    """Return lower bounds of d v^2 + 2 g v over all v (a kept weight) and at v = -w (a removed one).

    The kept minimum is -g^2 / d, and 0 for a dead input, where g = 0 exactly; where d <= 0 otherwise, no
    weight is kept and the value cancels in the sum. For v = -w the value d w^2 - 2 g w errs as in `_bracket`.
    """
    most = (np.abs(tangent.g) + tangent.error) * (1.0 + slack * gamma(16))
    positive = np.where(d > 0, d, 1.0)
    kept = np.where(
        d > 0, -(most * (most / positive)) * (1.0 + slack * gamma(16)) - 16 * TINY * (2.0 + most), 0.0
    )
    return kept, _bracket(-w[:, None], d, tangent.g, tangent.error, slack)[:, 0]


def _sum_of_branches(kept: F64, removed: F64, quadratic: float, p: int) -> float:
    """Return the least total with p weights removed: all kept, plus the p smallest differences.

    Differences are rounded down, and no choice of p of them sums to less than the p smallest. A difference
    that is not known could be any, and sorting would hide it: then nothing is proved.
    """
    if not np.isfinite(removed).all():
        return -np.inf
    extra = np.sort(np.nextafter(removed - kept, -np.inf))[:p]
    return _sum_down([*kept, *extra, -quadratic])


def _sum_down(terms: list[float]) -> float:
    """Return a float at most the exact sum; -inf where a term is not finite."""
    if not np.isfinite(terms).all():
        return -np.inf
    try:
        return float(np.nextafter(fsum(terms), -np.inf))
    except OverflowError:
        return -np.inf

"""What one pair of multipliers proves about one part of a pruning problem, with every rounding accounted for.

A part fixes some weights at zero (O), keeps some (I) and leaves the rest open (F), of which at least p in
each group must be zero. Write x = w + e + z for any e with e_O = -w_O, so that z_O = 0, and h = He. For every
diagonal D with H - D positive semidefinite on the weights outside O,

    (x - w)' H (x - w) = e'He + 2 h'z + z'Hz >= e'He + sum over i outside O of ( d_i z_i^2 + 2 h_i z_i ),

and the sum is minimised weight by weight: over all z_i (or those in the box) where i is kept, at
z_i = -w_i - e_i where it is removed. The least total takes the p smallest differences of each group. This is
the bound of X. Zheng, X. Sun, D. Li (INFORMS J. Comput. 26, 2014) for a part of the problem, in a form that
does not cancel: at the solution e'He is the error itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from pvq.arrays import F64, I64
from pvq.solvers.feasible import FeasibleSet
from pvq.solvers.problem import LayerProblem
from pvq.solvers.rounding import UNIT, gamma, psd_shift, subtract_down
from pvq.solvers.sets.boxed_sparse import BoxedSparseSet
from pvq.solvers.supports import Supports

from .parts import bracket, sum_down

__all__ = [
    "KEPT",
    "OPEN",
    "REMOVED",
    "Normal",
    "Proof",
    "complete",
    "normalise",
    "price",
    "prove",
    "remains_psd",
]

OPEN, KEPT, REMOVED = 0, 1, 2
UNDERFLOW = 1e-280  # covers every underflow in units where the diagonal of H and the weights are about 1
AT_END = 1e-6  # of the weights' unit: a kept weight this near to an end of its box is put there

State = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Normal:
    """A pruning problem without its dead inputs, scaled by powers of two and therefore exactly.

    Parameters
    ----------
    H : (m, m) with diagonal in [1, 4)
    size : (m, m) its magnitudes
    w : (m,) weights, the largest in [0.5, 1)
    scale : (m,) exponents: a weight of the problem is w_i 2^scale_i
    exponent : an error of the problem is the error here times 2^exponent
    group : (m,) each weight's group, from 0
    quota : (G,) how many weights of a group are zero at least
    low, high : (m,) ends of each weight's box, infinite where there is none
    live : (m,) positions in the problem
    """

    H: F64
    size: F64
    w: F64
    scale: I64
    exponent: int
    group: I64
    quota: I64
    low: F64
    high: F64
    live: I64

    @cached_property
    def boxed(self) -> bool:
        """Return whether kept weights have a box."""
        return bool(np.isfinite(self.low).any())

    def active(self, state: State) -> I64:
        """Return the weights with multipliers of their own: open ones, and kept ones that have a box."""
        return np.flatnonzero(state != REMOVED if self.boxed else state == OPEN)


def normalise(problem: LayerProblem, feasible: FeasibleSet) -> Normal | None:
    """Return the normal form; None for a set without supports and where scaling would lose a digit.

    A weight of a dead input may be set to zero in every point of the set without changing its error, so dead
    inputs count as removed.
    """
    supports = Supports.of(feasible)
    live = np.flatnonzero(problem.gram.alive)
    if supports is None or len(supports.group) != problem.n or len(live) == 0:
        return None
    H, w = problem.H[np.ix_(live, live)], problem.w[live]
    half = ((np.frexp(np.diagonal(H))[1] - 1) // 2).astype(np.int64)
    top = int(np.frexp(np.ldexp(w, half))[1][w != 0].max(initial=-(10**6))) if w.any() else 0
    scaled, weights = np.ldexp(H, -(half[:, None] + half[None, :])), np.ldexp(w, half - top)
    exact = np.array_equal(np.ldexp(scaled, half[:, None] + half[None, :]), H)
    if not (exact and np.array_equal(np.ldexp(weights, top - half), w)):
        return None
    ends = (feasible.low, feasible.high) if isinstance(feasible, BoxedSparseSet) else (-np.inf, np.inf)
    low, high = (np.ldexp(np.full(len(live), end), half - top) for end in ends)
    group = supports.group[live]
    quota = np.maximum(0, np.bincount(group, minlength=len(supports.keep)) - supports.keep)
    return Normal(
        scaled, np.abs(scaled), weights, top - half, 2 * top, group, quota.astype(np.int64), low, high, live
    )


def complete(state: State, group: I64, quota: I64) -> bool:
    """Decide in place what a group's quota decides; return whether the part is not empty.

    With all removals made the open weights of a group are kept; with as many open as removals left they go.
    """
    if len(quota) == 1:
        return _complete_one(state, int(quota[0]))
    left = quota - np.bincount(group[state == REMOVED], minlength=len(quota))
    count = np.bincount(group[state == OPEN], minlength=len(quota))
    if (left > count).any() or (left < 0).any():
        return False
    gone, stay = (left == count) & (count > 0), (left == 0) & (count > 0)
    if gone.any() or stay.any():
        opened = state == OPEN
        state[opened & gone[group]] = REMOVED
        state[opened & stay[group]] = KEPT
    return True


def _complete_one(state: State, quota: int) -> bool:
    """Do the same where there is one group."""
    left = quota - int(np.count_nonzero(state == REMOVED))
    count = int(np.count_nonzero(state == OPEN))
    if 0 <= left <= count and left in (0, count):
        state[state == OPEN] = REMOVED if left else KEPT
    return 0 <= left <= count


class Proof(NamedTuple):
    """Lower bounds over a part, over its points that keep weight i, and over those that remove it."""

    value: float
    keeping: F64
    removing: F64


def prove(P: Normal, state: State, d: F64, e: F64, kept: float, slack: float) -> Proof:
    """Return what the multipliers prove; -inf where that is nothing.

    Parameters
    ----------
    d, e : of the active weights; e estimates x - w
    kept : diagonal of kept weights without a box, whose e is chosen here, by stationarity
    """
    nothing = Proof(-np.inf, np.full(len(P.w), -np.inf), np.full(len(P.w), -np.inf))
    active, rest = P.active(state), np.flatnonzero(state != REMOVED)
    if not (np.isfinite(d).all() and np.isfinite(e).all() and (d > 0).all() and 0 < kept < 1):
        return nothing
    D = np.full(len(P.w), kept)
    D[active] = d
    if not remains_psd(P.H, rest, D[rest], slack):
        return nothing
    with np.errstate(all="ignore"):
        return _least(P, state, D, _point(P, state, active, e), slack)


def price(P: Normal, state: State, floor: float, slack: float) -> float:
    """Return a lower bound of the error where every weight is decided and there is no box.

    Parameters
    ----------
    floor : H - floor * identity is known to be positive semidefinite
    """
    with np.errstate(all="ignore"):
        e = _point(P, state, np.zeros(0, dtype=np.int64), np.zeros(0))
        return _least(P, state, np.full(len(P.w), floor), e, slack).value


def remains_psd(H: F64, rest: I64, d: F64, slack: float) -> bool:
    """Return True only if H - diag(d) is positive semidefinite on `rest`, as in `rounding.proves_psd`.

    The diagonal of H lies in [1, 4), where no scaling is needed.
    """
    A = H[np.ix_(rest, rest)]
    n = len(rest)
    diagonal = subtract_down(np.diagonal(A).copy(), d)
    if n == 0 or not (diagonal > 0).all():
        return n == 0
    shift = slack * psd_shift(n) * diagonal * (1.0 + 16 * UNIT) + n * UNDERFLOW
    A[np.arange(n), np.arange(n)] = np.nextafter(diagonal - shift, -np.inf)
    factor, info = lapack.dpotrf(A.T, lower=1, clean=0, overwrite_a=1)
    pivots = np.diagonal(factor)
    return info == 0 and bool(np.isfinite(pivots).all() and (pivots > 0).all())


def _point(P: Normal, state: State, active: I64, e: F64) -> F64:
    """Return e of all weights: removed ones exactly, kept ones near stationarity, in their box if any.

    Any choice is valid. Where nothing is open, the given e decides only which weights stand at an end.
    """
    full = np.where(state == REMOVED, -P.w, 0.0)
    full[active] = e
    free = np.flatnonzero(state == KEPT)
    if P.boxed:
        if (state == OPEN).any():
            return full
        low, high = P.low - P.w, P.high - P.w
        inside = (full > low + AT_END) & (full < high - AT_END)
        full = np.where((state == KEPT) & ~inside, np.where(full - low < high - full, low, high), full)
        free = np.flatnonzero((state == KEPT) & inside)
    full[free] = 0.0
    if len(free) == 0:
        return full
    solution, info = lapack.dposv(P.H[np.ix_(free, free)], -(P.H[free] @ full), lower=1)[1:]
    full[free] = solution if info == 0 and np.isfinite(solution).all() else 0.0
    return full


def _least(P: Normal, state: State, d: F64, e: F64, slack: float) -> Proof:
    """Add up the weights' least terms. Errors of h and e'h are bounded as in `parts.tangent_of`."""
    n, size = len(e), np.abs(e)
    allowance = slack * gamma(2 * n + 16)
    h = P.H @ e
    error = allowance * (P.size @ size) + UNDERFLOW
    base = float(e @ h) - 1.01 * float(size @ error) - allowance * float(size @ np.abs(h)) - UNDERFLOW
    kept = _kept(P, d, e, h, error, slack)
    gone = bracket((-P.w - e)[:, None], d, h, error, slack)[:, 0]
    opened = state == OPEN
    terms = [base, *kept[state != REMOVED].tolist()]
    if not (np.isfinite(terms).all() and np.isfinite(gone[opened]).all()):
        return Proof(-np.inf, np.full(n, -np.inf), np.full(n, -np.inf))
    extra = np.where(opened, np.nextafter(gone - kept, -np.inf), np.inf)
    chosen, last, next_one = _smallest(extra, state, P)
    value = sum_down([*terms, *extra[chosen].tolist()])
    return Proof(
        value,
        _shifted(value, np.where(chosen, next_one[P.group] - extra, 0.0)),
        _shifted(value, np.where(chosen, 0.0, extra - last[P.group])),
    )


def _kept(P: Normal, d: F64, e: F64, h: F64, error: F64, slack: float) -> F64:
    """Return a lower bound of d z^2 + 2 h z over all z, or over the z that lead into the box.

    Without a box it is -h^2 / d. In a box that begins at z = a the least value is that at a if d a + h >= 0;
    a is rounded outwards, which only adds to the box.
    """
    most = (np.abs(h) + error) * (1.0 + slack * gamma(16))
    least = -(most * (most / d)) * (1.0 + slack * gamma(16)) - UNDERFLOW
    for end, sign in ((P.low, -1.0), (P.high, 1.0)):
        if not np.isfinite(end).all():
            continue
        a = (end - P.w) - e
        a = a + sign * slack * gamma(8) * (np.abs(end) + np.abs(P.w) + np.abs(e))
        slope = -sign * (d * a + h)
        sure = slope > error + slack * gamma(16) * (np.abs(d * a) + np.abs(h)) + UNDERFLOW
        least = np.where(sure, np.maximum(least, bracket(a[:, None], d, h, error, slack)[:, 0]), least)
    return least


def _smallest(extra: F64, state: State, P: Normal) -> tuple[NDArray[np.bool_], F64, F64]:
    """Return which weights have the p smallest differences of their group, the p-th and the one after it."""
    left = P.quota - np.bincount(P.group[state == REMOVED], minlength=len(P.quota))
    order = np.lexsort((extra, P.group))
    start = np.searchsorted(P.group[order], np.arange(len(P.quota) + 1))
    rank = np.empty(len(extra), dtype=np.int64)
    rank[order] = np.arange(len(extra)) - start[P.group[order]]
    padded = np.append(extra[order], np.inf)
    following = np.where(
        start[:-1] + left < start[1:], padded[np.minimum(start[:-1] + left, len(extra))], np.inf
    )
    last = np.where(left > 0, padded[np.maximum(start[:-1] + left - 1, 0)], np.inf)
    return rank < left[P.group], last, following


def _shifted(value: float, change: F64) -> F64:
    """Return a lower bound of value + change, where change > 0 is a rounded difference; else value."""
    gain = np.where(np.isfinite(change) & (change > 0), change, 0.0)
    return np.where(gain > 0, value + gain - gamma(8) * (abs(value) + gain), value)

"""The perspective relaxation of a part: barrier steps, whose iterates may close the part or fix weights.

What is looked at is each iterate as it would be stored, in float32 and with a diagonal a little smaller, so
that what is found here is what the stored multipliers prove.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import F64, I64
from pvq.solvers._kernels.jit import kernel

from .branches import Branches, Region, new_branches, smooth
from .lapack import factor, invert, invert_lower, solve
from .newton import Direction, branching_gains, direction
from .vectors import add_multiple, copy_matrix, copy_vector, dot

__all__ = [
    "CLOSED",
    "HOPELESS",
    "RUNNING",
    "STUCK",
    "Iterate",
    "Trail",
    "branching_scores",
    "confirm_best",
    "evaluate",
    "factor_less",
    "log_determinant",
    "relax",
]

RUNNING, CLOSED, HOPELESS, STUCK = 0, 1, 2, 3
BEST, MU, SHRINK, GAP, LOG_DET, USED, ITERATIONS, HAS_START = range(8)
TOWARDS_BOUNDARY = 0.9
CUT = 0.1  # of mu, once centred
CENTRED = 1.0  # squared decrement over mu
ENOUGH = 0.2  # share of weights fixed, at which the smaller part is better begun at once
WORTH = 0.25  # share of (parameter of the barrier) * mu that the bound may still gain
F32 = NDArray[np.float32]


class Iterate(NamedTuple):
    """Where the method stands, changed in place.

    Parameters
    ----------
    d, u, t : (m,), (m,), (G,) dual variables
    R : (m, m) factor of H - diag(d)
    start_d, start_e : an early centred point, from which parts of this part are started
    number : BEST bound, MU, SHRINK of the stored diagonal, GAP to be closed, LOG_DET of R, USED records,
        ITERATIONS, HAS_START
    """

    d: F64
    u: F64
    t: F64
    R: F64
    start_d: F64
    start_e: F64
    number: F64


class Trail(NamedTuple):
    """What was proved: row r of d, e (float32) for the weights with fixed == r, towards side; row 0 the best.

    side is 1 for kept and 2 for removed; best holds the removed fractions at the last centred point.
    """

    d: F32
    e: F32
    fixed: I64
    side: I64
    share: F64


@kernel
def evaluate(region: Region, d: F64, e: F64, delta: F64, low: F64, high: F64) -> float:
    """Return the bound of (d, e), with e an estimate of x - w, without the part's constant.

    Fills delta, the cost of removing each weight rather than keeping it, and per group the last delta that is
    chosen and the first that is not.
    """
    h = np.zeros(len(d))
    for i in range(len(d)):
        add_multiple(h, e[i], region.H[i])
    total = dot(e, h)
    for i in range(len(d)):
        z = -h[i] / d[i]
        if region.low[i] > -np.inf:
            z = min(max(z, region.low[i] - e[i]), region.high[i] - e[i])
        kept = d[i] * z * z + 2.0 * h[i] * z
        a = -region.w[i] - e[i]
        delta[i] = d[i] * a * a + 2.0 * h[i] * a - kept if region.undecided[i] else np.inf
        total += kept
    for g in range(len(low)):
        total += _least(region, g, delta, low, high)
    return total


@kernel
def _least(region: Region, g: int, delta: F64, low: F64, high: F64) -> float:
    """Return the sum of the deltas that a group must remove at least; set the last and the one after."""
    values, count, total = np.empty(len(delta)), 0, 0.0
    for i in range(len(delta)):
        if region.undecided[i] and region.group[i] == g:
            values[count] = delta[i]
            count += 1
    values = np.sort(values[:count])
    for j in range(region.quota[g]):
        total += values[j]
    low[g] = values[region.quota[g] - 1]
    high[g] = values[region.quota[g]] if region.quota[g] < count else np.inf
    return total


@kernel
def relax(region: Region, at: Iterate, trail: Trail, steps: int, undecided: bool) -> int:
    """Take at most `steps` Newton steps; return RUNNING, CLOSED, HOPELESS (branch) or STUCK.

    Parameters
    ----------
    undecided : stop once the gap cannot be closed; otherwise converge
    """
    m = len(at.d)
    branches = new_branches(m)
    for _ in range(steps):
        e = at.u.copy().reshape(1, m)
        solve(at.R, e)
        if _look(region, at, e[0], trail):
            return CLOSED
        P = at.R.copy()
        invert_lower(P)
        mu = at.number[MU]
        value = smooth(region, at.d, at.u, at.t, mu, branches)
        copy_vector(trail.share, branches.s)
        value += mu * at.number[LOG_DET] - dot(at.u, e[0]) + dot(region.quota, at.t)
        step = direction(region, P, at.d, e[0], mu, branches)
        decrement = step.gain / mu
        if not decrement < np.inf:
            return STUCK
        if decrement < CENTRED and _may_stop(region, at, e[0], undecided):
            return HOPELESS
        if at.number[HAS_START] > 0.0 and _share_fixed(trail) > ENOUGH:
            return HOPELESS
        length = _search(region, at, step, value, decrement, branches)
        at.number[ITERATIONS] += 1
        if length == 0.0:
            return STUCK
        if decrement < CENTRED and length > 0.5:
            at.number[MU] *= CUT
    return RUNNING


@kernel
def _share_fixed(trail: Trail) -> float:
    """Return the share of weights that were fixed."""
    fixed = 0
    for side in trail.side:
        fixed += side > 0
    return fixed / len(trail.side)


@kernel
def branching_scores(region: Region, at: Iterate) -> F64:
    """Return how much both branches on a weight promise, -1 where there is no branch.

    The product of the rises that the barrier's model foresees (`branching_gains`), each as far as the gap;
    where the model breaks down, s (1 - s) w^2 / inv(H)_ii, what the removal costs at least.
    """
    m, gap = len(at.d), at.number[GAP] - at.number[BEST]
    branches, kept, removed = new_branches(m), np.empty(m), np.empty(m)
    smooth(region, at.d, at.u, at.t, at.number[MU], branches)
    e = at.u.copy().reshape(1, m)
    solve(at.R, e)
    P = at.R.copy()
    invert_lower(P)
    modelled = branching_gains(region, P, at.d, e[0], at.number[MU], branches, kept, removed)
    inverse = region.H.copy()
    if not modelled:
        factor(inverse)
        invert(inverse)
        for i in range(m):
            kept[i] = removed[i] = np.sqrt(branches.s[i] * branches.k[i] / inverse[i, i]) * abs(region.w[i])
    score = np.empty(m)
    for i in range(m):
        a, b = min(kept[i], gap), min(removed[i], gap)
        score[i] = max(min(a, b), 1e-9 * gap) * max(a, b) if region.undecided[i] else -1.0
    return score


@kernel
def _may_stop(region: Region, at: Iterate, e: F64, undecided: bool) -> bool:
    """Keep the point for later starts while mu is moderate; return whether going on is no use."""
    number = at.number
    reach = (4.0 * len(at.d) + 1.0) * number[MU]
    if number[HAS_START] == 0.0 or reach >= 0.2 * (number[GAP] - number[BEST]):
        copy_vector(at.start_d, at.d)
        copy_vector(at.start_e, e)
        number[HAS_START] = 1.0
    if undecided and number[BEST] + WORTH * reach < number[GAP]:
        return True
    return bool(reach < 1e-6 * abs(number[BEST] + region.constant))


@kernel
def _look(region: Region, at: Iterate, e: F64, trail: Trail) -> bool:
    """Record what the iterate proves, as it would be stored; return whether it closes the part.

    Definiteness is tested where something is concluded, and not for the best bound, which may be improved on.
    """
    number, groups = at.number, len(region.quota)
    delta, low, high = np.empty(len(e)), np.empty(groups), np.empty(groups)
    e32, d32 = np.empty(len(e), np.float32), np.empty(len(e), np.float32)
    rounded, d = np.empty(len(e)), np.empty(len(e))
    for _ in range(8):
        for i in range(len(e)):
            e32[i], d32[i] = e[i] + region.ahead[i], at.d[i] * (1.0 - number[SHRINK])
            rounded[i], d[i] = np.float64(e32[i]) - region.ahead[i], np.float64(d32[i])
        bound = evaluate(region, d, rounded, delta, low, high)
        new = _count_new(region, trail, number[GAP], bound, delta, low, high)
        if (new == 0 and bound < number[GAP]) or _provable(region, d):
            break
        number[SHRINK] *= 8.0
    else:
        return False
    if bound > number[BEST]:
        number[BEST] = bound
        copy_vector(trail.d[0], d32)
        copy_vector(trail.e[0], e32)
    if bound >= number[GAP]:
        return True
    if new > 0 and number[USED] + 1 < len(trail.d):
        number[USED] += 1
        row = int(number[USED])
        copy_vector(trail.d[row], d32)
        copy_vector(trail.e[row], e32)
        _record(region, trail, row, number[GAP], bound, delta, low, high)
    return False


@kernel
def _side(region: Region, i: int, gap: float, bound: float, delta: F64, low: F64, high: F64) -> int:
    """Return 2 if any better point removes weight i, 1 if any keeps it, 0 if that is not known."""
    if not region.undecided[i]:
        return 0
    g = region.group[i]
    if delta[i] <= low[g]:
        return 2 if bound + high[g] - delta[i] >= gap else 0
    return 1 if bound + delta[i] - low[g] >= gap else 0


@kernel
def _count_new(
    region: Region, trail: Trail, gap: float, bound: float, delta: F64, low: F64, high: F64
) -> int:
    new = 0
    for i in range(len(delta)):
        if trail.side[i] == 0 and _side(region, i, gap, bound, delta, low, high) > 0:
            new += 1
    return new


@kernel
def _record(
    region: Region, trail: Trail, row: int, gap: float, bound: float, delta: F64, low: F64, high: F64
) -> None:
    for i in range(len(delta)):
        if trail.side[i] == 0:
            trail.side[i] = _side(region, i, gap, bound, delta, low, high)
            trail.fixed[i] = row


@kernel
def _provable(region: Region, d: F64) -> bool:
    """Return whether the leaf's own test of definiteness will pass."""
    return factor_less(region.full, d, np.empty(region.full.shape))


@kernel
def factor_less(H: F64, d: F64, R: F64) -> bool:
    """Factor H - diag(d), with d of the first weights only if it is shorter; return whether that exists."""
    copy_matrix(R, H)
    for i in range(len(d)):
        R[i, i] -= d[i]
    return factor(R)


@kernel
def log_determinant(R: F64) -> float:
    """Return log det of the matrix with factor R."""
    total = 0.0
    for i in range(len(R)):
        total += 2.0 * np.log(R[i, i])
    return total


@kernel
def confirm_best(region: Region, at: Iterate, trail: Trail) -> bool:
    """Return whether the best bound's multipliers will pass the test of definiteness."""
    return at.number[BEST] > -np.inf and _provable(region, trail.d[0].astype(np.float64))


@kernel
def _search(
    region: Region, at: Iterate, step: Direction, value: float, decrement: float, branches: Branches
) -> float:
    """Move along the step; return the length taken, 0 where none gains.

    Shortened until the barrier gains as Armijo asks; doubled while it gains, where the model was met.
    """
    longest = 64.0
    for i in range(len(at.d)):
        if step.d[i] < 0:
            longest = min(longest, -TOWARDS_BOUNDARY * at.d[i] / step.d[i])
    length, taken, best = min(1.0, longest), 0.0, -np.inf
    R = np.empty_like(at.R)
    for _ in range(25):
        trial, log_det = _trial(region, at, step, length, R, branches, decrement < 0.1)
        if trial < np.inf and taken > 0.0 and trial <= best:
            break
        if trial >= value + 0.1 * length * step.gain - 1e-13 * abs(value):
            gained = trial - value
            taken, best = length, trial
            at.number[LOG_DET] = log_det
            copy_matrix(at.R, R)
            if not (length >= 1.0 and decrement > 0.5 and length < longest and gained > 0.4 * step.gain):
                break
            length = min(2.0 * length, longest)
        elif taken > 0.0:
            break
        else:
            length *= 0.5
    if taken > 0.0:
        add_multiple(at.d, taken, step.d)
        add_multiple(at.u, taken, step.u)
        add_multiple(at.t, taken, step.t)
    return taken


@kernel
def _trial(
    region: Region, at: Iterate, step: Direction, length: float, R: F64, branches: Branches, trusted: bool
) -> tuple[float, float]:
    """Return the barrier function at a step's length and log det R; -inf outside, inf where it is trusted."""
    m = len(at.d)
    d, u, t = at.d.copy(), at.u.copy(), at.t.copy()
    add_multiple(d, length, step.d)
    add_multiple(u, length, step.u)
    add_multiple(t, length, step.t)
    if not factor_less(region.H, d, R):
        return -np.inf, 0.0
    log_det = log_determinant(R)
    if trusted:
        return np.inf, log_det
    e = u.copy().reshape(1, m)
    solve(R, e)
    mu = at.number[MU]
    value = smooth(region, d, u, t, mu, branches)
    return value + mu * log_det - dot(u, e[0]) + dot(region.quota, t), log_det

"""From the whole problem to a part, in which only its undecided weights are left."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import F64, I64
from pvq.solvers._kernels.jit import kernel
from pvq.solvers.certificates.tree_leaf import KEPT, OPEN, REMOVED

from .branches import Region
from .lapack import factor, solve
from .vectors import add_product, dot

__all__ = ["Whole", "active_of", "reduce_to_part"]


class Whole(NamedTuple):
    """The problem in normal form.

    Parameters
    ----------
    H, w, low, high, group, quota : as in `certificates.tree_leaf.Normal`
    boxed : whether kept weights have a box and therefore stay
    margin, kept : what a proof takes off the diagonal, of any weight (n,) and of kept ones besides
    inside : (n,) a strictly feasible diagonal
    """

    H: F64
    w: F64
    low: F64
    high: F64
    group: I64
    quota: I64
    boxed: bool
    margin: F64
    kept: float
    inside: F64


@kernel
def active_of(whole: Whole, state: NDArray[np.int8]) -> I64:
    """Return the weights with multipliers of their own."""
    active, m = np.empty(len(state), np.int64), 0
    for i in range(len(state)):
        if state[i] == OPEN or (whole.boxed and state[i] == KEPT):
            active[m] = i
            m += 1
    return active[:m].copy()


@kernel
def reduce_to_part(whole: Whole, state: NDArray[np.int8]) -> tuple[Region, bool]:
    """Return a part, and whether it is positive definite in floating point.

    With A active, K kept and minimised out, O removed, H becomes H_AA - H_AK inv(H_KK) H_KA; the compensated
    weights w + e0 have e0_O = -w_O and no slope in e0_A and e0_K, and the constant is e0'H e0.
    """
    order, m = _order(whole, state)
    full, slope, constant = _outside(whole, state, order)
    reduced, constant, definite = _minimised(full, slope, constant, m)
    e0, R = np.empty((1, m)), reduced.copy()
    for a in range(m):
        e0[0, a] = -slope[a]
    definite = definite and factor(R)
    if definite:
        solve(R, e0)
        constant += dot(slope[:m], e0[0])
    for a in range(len(order)):
        full[a, a] -= whole.margin[order[a]] + (whole.kept if a >= m else 0.0)
    return _region(whole, state, order[:m], reduced, full, e0[0], constant), definite


@kernel
def _order(whole: Whole, state: NDArray[np.int8]) -> tuple[I64, int]:
    """Return the active weights, then the kept ones to be minimised out, and the number of the former."""
    active = active_of(whole, state)
    order, at = np.empty(len(state), np.int64), len(active)
    for a in range(len(active)):
        order[a] = active[a]
    for i in range(len(state)):
        if state[i] == KEPT and not whole.boxed:
            order[at] = i
            at += 1
    return order[:at].copy(), len(active)


@kernel
def _outside(whole: Whole, state: NDArray[np.int8], order: I64) -> tuple[F64, F64, float]:
    """Return H of the ordered weights, the slope -H_.O w_O there, and w_O'H w_O."""
    g, constant = len(order), 0.0
    full, slope = np.empty((g, g)), np.zeros(g)
    for a in range(g):
        row = whole.H[order[a]]
        for b in range(g):
            full[a, b] = row[order[b]]
        for j in range(len(row)):
            if state[j] == REMOVED:
                slope[a] -= row[j] * whole.w[j]
    for i in range(len(state)):
        if state[i] == REMOVED:
            for j in range(len(state)):
                if state[j] == REMOVED:
                    constant += whole.w[i] * whole.H[i, j] * whole.w[j]
    return full, slope, constant


@kernel
def _minimised(full: F64, slope: F64, constant: float, m: int) -> tuple[F64, float, bool]:
    """Return H after the weights from m on are minimised out, and the constant; change the slope in place."""
    k = len(full) - m
    reduced, coupling, across = np.empty((m, m)), np.empty((m, k)), np.empty((k, m))
    K, pull = np.empty((k, k)), np.empty((1, k))
    for a in range(m):
        for b in range(m):
            reduced[a, b] = full[a, b]
        for b in range(k):
            coupling[a, b] = across[b, a] = full[a, m + b]
    for a in range(k):
        pull[0, a] = slope[m + a]
        for b in range(k):
            K[a, b] = full[m + a, m + b]
    if k == 0:
        return reduced, constant, True
    if not factor(K):
        return reduced, constant, False
    solve(K, coupling)
    add_product(reduced, -1.0, coupling, across)
    for a in range(m):
        slope[a] -= dot(coupling[a], pull[0])
    solve(K, pull)
    return reduced, constant - dot(slope[m:], pull[0]), True


@kernel
def _region(
    whole: Whole, state: NDArray[np.int8], active: I64, reduced: F64, full: F64, ahead: F64, constant: float
) -> Region:
    """Number the groups that have undecided weights, and put everything together."""
    m, left = len(active), whole.quota.copy()
    for i in range(len(state)):
        if state[i] == REMOVED:
            left[whole.group[i]] -= 1
    number, quota, groups = np.full(len(left), -1, np.int64), np.empty(len(left), np.int64), 0
    group, undecided = np.zeros(m, np.int64), np.empty(m, np.bool_)
    w, low, high = np.empty(m), np.empty(m), np.empty(m)
    for a in range(m):
        i = active[a]
        undecided[a] = state[i] == OPEN
        w[a] = whole.w[i] + ahead[a]
        low[a], high[a] = whole.low[i] - w[a], whole.high[i] - w[a]
        g = whole.group[i]
        if undecided[a]:
            if number[g] < 0:
                number[g], quota[groups] = groups, left[g]
                groups += 1
            group[a] = number[g]
        for b in range(a):
            reduced[a, b] = reduced[b, a] = 0.5 * (reduced[a, b] + reduced[b, a])
    return Region(reduced, w, ahead, group, quota[:groups].copy(), low, high, undecided, constant, full)

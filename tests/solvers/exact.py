"""Exact rational arithmetic for tests: errors, optima, and what the simplest certificates claim."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from pvq.arrays import F64
from pvq.solvers.catalogue import brute_force
from pvq.solvers.feasible import FeasibleSet, SparseSet
from pvq.solvers.problem import LayerProblem
from pvq.solvers.sets.n_of_m import NOfMSet

Matrix = list[list[Fraction]]


def rational(values: F64) -> list[Fraction]:
    """The floats as exact numbers."""
    return [Fraction(float(value)) for value in values]


def remainder(H: F64, d: F64) -> Matrix:
    """H - diag(d) without rounding."""
    M = [rational(row) for row in H]
    for i, value in enumerate(rational(d)):
        M[i][i] -= value
    return M


def is_psd(M: Matrix) -> bool:
    """Symmetric elimination; a zero pivot is allowed where its whole row is zero."""
    M = [row[:] for row in M]
    for k in range(len(M)):
        pivot = M[k][k]
        if pivot < 0 or (pivot == 0 and any(M[k][j] for j in range(k, len(M)))):
            return False
        for i in range(k + 1, len(M)):
            factor = M[i][k] / pivot if pivot else Fraction(0)
            for j in range(k, len(M)):
                M[i][j] -= factor * M[k][j]
    return True


def times(M: Matrix, u: list[Fraction]) -> list[Fraction]:
    return [sum((a * b for a, b in zip(row, u, strict=True)), Fraction(0)) for row in M]


def dot(a: list[Fraction], b: list[Fraction]) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def exact_error(problem: LayerProblem, x: F64) -> Fraction:
    change = [a - b for a, b in zip(rational(x), rational(problem.w), strict=True)]
    return dot(change, times([rational(row) for row in problem.H], change))


def finite_value(problem: LayerProblem, levels: F64, d: F64, u: F64) -> Fraction:
    """What (d, u) proves for a finite set, in exact arithmetic."""
    g = times(remainder(problem.H, d), rational(u))
    total = -dot(rational(u), g)
    for w, di, gi in zip(rational(problem.w), rational(d), g, strict=True):
        total += min(di * (level - w) ** 2 + 2 * gi * (level - w) for level in rational(levels))
    return total


def sparse_value(problem: LayerProblem, removed: int, d: F64, e: F64) -> Fraction:
    """What (d, e) proves for vectors with at least `removed` zeros, in exact arithmetic; every d > 0."""
    g = times(remainder(problem.H, d), rational(e))
    kept = [-gi * gi / di for gi, di in zip(g, rational(d), strict=True)]
    gone = [di * w * w - 2 * gi * w for gi, di, w in zip(g, rational(d), rational(problem.w), strict=True)]
    extra = sorted(b - a for a, b in zip(kept, gone, strict=True))
    return -dot(rational(e), g) + sum(kept, Fraction(0)) + sum(extra[:removed], Fraction(0))


def exact_optimum(problem: LayerProblem, feasible: FeasibleSet) -> Fraction:
    """The exact error of the best point that enumeration in floating point finds.

    Where weights are free on a support, the exact optimum on that support: never above the point's error.
    """
    best = brute_force(problem, feasible)[1]
    value = exact_error(problem, best)
    if isinstance(feasible, FREE_ON_SUPPORT):
        value = min(value, error_of_support(problem, np.flatnonzero(best)))
    return max(Fraction(0), value)


FREE_ON_SUPPORT = (SparseSet, NOfMSet)


def error_of_support(problem: LayerProblem, kept: Any) -> Fraction:
    """min over x that vanish outside `kept`, 0 where rounding left H indefinite and there is none."""
    H = eliminated([rational(row) for row in problem.H], kept)
    if H is None:
        return Fraction(0)
    members = set(map(int, kept))
    gone = [Fraction(0) if i in members else value for i, value in enumerate(rational(problem.w))]
    return dot(gone, times(H, gone))


def eliminated(M: Matrix, kept: Any) -> Matrix | None:
    """The form left when z'Mz is minimised over the kept entries of z, None where it has no minimum."""
    M = [row[:] for row in M]
    for k in kept:
        pivot, column = M[k][k], [row[k] for row in M]
        if pivot < 0 or (pivot == 0 and any(column)):
            return None
        for i in range(len(M)) if pivot else ():
            for j in range(len(M)):
                M[i][j] -= column[i] * column[j] / pivot
    return M


def gram_of_condition(n: int, condition: float, seed: int) -> F64:
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    H = (Q * np.geomspace(1.0, 1.0 / condition, n)) @ Q.T
    return np.asarray(0.5 * (H + H.T))

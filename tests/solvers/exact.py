"""Exact rational twins of what certificates claim, for tests."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from pvq.arrays import F64
from pvq.solvers.problem import LayerProblem

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


def gram_of_condition(n: int, condition: float, seed: int) -> F64:
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    H = (Q * np.geomspace(1.0, 1.0 / condition, n)) @ Q.T
    return np.asarray(0.5 * (H + H.T))

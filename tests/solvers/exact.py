"""Exact rational twins of what certificates claim, for tests.

`exact_value` evaluates any certificate of a known kind without rounding, `exact_optimum` finds what no
certificate may exceed. `VALUES` and `SUPPORTS` say how, by kind.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from pvq.arrays import F64
from pvq.solvers.catalogue import brute_force
from pvq.solvers.certificates.joint import JointCertificate
from pvq.solvers.certificates.relaxed import RelaxedCertificate
from pvq.solvers.certificates.split import SplitCertificate, _splits
from pvq.solvers.feasible import FeasibleSet, FiniteSet, SparseSet
from pvq.solvers.lattice import lattice_of
from pvq.solvers.outcome import CERTIFICATES, Certificate
from pvq.solvers.problem import LayerProblem
from pvq.solvers.sets.boxed_sparse import BoxedSparseSet
from pvq.solvers.sets.joint import JointSet
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


def branches(problem: LayerProblem, table: F64, d: F64, g: list[Fraction]) -> list[list[Fraction]]:
    """d_i (l - w_i)^2 + 2 g_i (l - w_i) for every level l of every weight."""
    rows = zip(rational(problem.w), map(rational, table), rational(d), g, strict=True)
    return [[di * (level - w) ** 2 + 2 * gi * (level - w) for level in levels] for w, levels, di, gi in rows]


def _of_finite(problem: LayerProblem, feasible: FiniteSet, proof: Any) -> Fraction | None:
    M, u = remainder(problem.H, proof.d), rational(proof.u)
    if not is_psd(M):
        return None
    g = times(M, u)
    return sum(map(min, branches(problem, feasible.level_table(problem.n), proof.d, g)), -dot(u, g))


def _of_joint(problem: LayerProblem, feasible: JointSet, proof: JointCertificate) -> Fraction | None:
    M, u, t = remainder(problem.H, proof.d), rational(proof.u), Fraction(proof.t)
    if not is_psd(M) or t < 0:
        return None
    g, paid = times(M, u), [t * int(cost) for cost in feasible.costs]
    total = -dot(u, g) - t * feasible.budget
    for row in branches(problem, feasible.level_table(problem.n), proof.d, g):
        total += min(a + b for a, b in zip(row, paid, strict=True))
    return total


def _of_sparse(problem: LayerProblem, feasible: SparseSet, proof: Any) -> Fraction | None:
    if not is_psd(remainder(problem.H, proof.d)):
        return None
    kept, gone, constant = _kept_or_gone(problem, proof.d, proof.u)
    if feasible.k == 0:
        return constant + sum(gone, Fraction(0))
    if None in kept:
        return None
    extra = sorted(b - a for a, b in zip(kept, gone, strict=True))  # type: ignore[operator]
    return constant + sum(kept, Fraction(0)) + sum(extra[: feasible.removed], Fraction(0))  # type: ignore[arg-type]


def _of_n_of_m(problem: LayerProblem, feasible: NOfMSet, proof: Any) -> Fraction | None:
    if not is_psd(remainder(problem.H, proof.d)):
        return None
    kept, gone, constant = _kept_or_gone(problem, proof.d, proof.u)
    total = constant
    for group in np.split(np.arange(problem.n), np.arange(feasible.group, problem.n, feasible.group)):
        removed = max(0, len(group) - feasible.kept)
        if removed == len(group):
            total += sum((gone[i] for i in group), Fraction(0))
        elif any(kept[i] is None for i in group):
            return None
        else:
            extra = sorted(gone[i] - kept[i] for i in group)  # type: ignore[operator]
            total += sum((kept[i] for i in group), Fraction(0)) + sum(extra[:removed], Fraction(0))  # type: ignore[misc]
    return total


def _of_boxed_sparse(problem: LayerProblem, feasible: BoxedSparseSet, proof: Any) -> Fraction | None:
    M, u = remainder(problem.H, proof.d), rational(proof.u)
    if not is_psd(M):
        return None
    g = times(M, u)
    kept, gone = [], []
    for w, d, gi in zip(rational(problem.w), rational(proof.d), g, strict=True):
        ends = [Fraction(feasible.low) - w, Fraction(feasible.high) - w]
        inside = [-gi / d] if d > 0 and ends[0] <= -gi / d <= ends[1] else []
        kept.append(min(d * v * v + 2 * gi * v for v in ends + inside))
        gone.append(d * w * w - 2 * gi * w)
    extra = sorted(b - a for a, b in zip(kept, gone, strict=True))
    return -dot(u, g) + sum(kept, Fraction(0)) + sum(extra[: feasible.removed], Fraction(0))


def _kept_or_gone(
    problem: LayerProblem, d: F64, u: F64
) -> tuple[list[Fraction | None], list[Fraction], Fraction]:
    """Least d v^2 + 2 g v over all v, None where unbounded; the value at v = -w; and -u'g."""
    g = times(remainder(problem.H, d), rational(u))
    rows = list(zip(g, rational(d), rational(problem.w), strict=True))
    kept = [-gi * gi / di if di > 0 else (None if di < 0 or gi else Fraction(0)) for gi, di, _ in rows]
    gone = [di * w * w - 2 * gi * w for gi, di, w in rows]
    return kept, gone, -dot(rational(u), g)


def _of_split(problem: LayerProblem, feasible: FiniteSet, proof: SplitCertificate) -> Fraction | None:
    """The cuts with the float f that the certificate picks, which may be any, and their exact deviations."""
    lattice = lattice_of(feasible, problem.n)
    splits = None if lattice is None else _splits(proof, problem.w, lattice, 1.0)
    if lattice is None or splits is None:
        return None
    table, w, u = (
        [rational(row) for row in feasible.level_table(problem.n)],
        rational(problem.w),
        rational(proof.u),
    )
    M, slope, total = remainder(problem.H, proof.d), [Fraction(0)] * problem.n, Fraction(0)
    for (first, last), k, z, f in zip(
        pairwise(proof.start.tolist()), proof.k.tolist(), rational(proof.z), rational(splits.f), strict=True
    ):
        index, a = proof.index[first:last].tolist(), proof.coefficient[first:last].tolist()
        b = rational(proof.coefficient[first:last] / lattice.step[index])
        low = high = k + f
        for i, ai, bi in zip(index, a, b, strict=True):
            off = [
                bi * (level - w[i]) - ai * int(m) for level, m in zip(table[i], lattice.integers, strict=True)
            ]
            low, high = low + min(off), high + max(off)
            slope[i] += z * bi * (Fraction(1, 2) - f)
            for j, bj in zip(index, b, strict=True):
                M[i][j] -= z * bi * bj
        error = max(abs(low), abs(high))
        if error > Fraction(1, 2) or z < 0:
            return None
        total += z * (f * (1 - f) - error)
    if not is_psd(M):
        return None
    image = times(M, u)
    g = [a + b for a, b in zip(image, slope, strict=True)]
    return sum(
        map(min, branches(problem, feasible.level_table(problem.n), proof.d, g)), total - dot(u, image)
    )


def _of_relaxed(problem: LayerProblem, feasible: JointSet, proof: RelaxedCertificate) -> Fraction | None:
    return exact_value(problem, feasible.relaxations()[proof.relaxation], proof.inner)


VALUES: dict[str, Callable[[LayerProblem, Any, Any], Fraction | None]] = {
    "boxed-sparse": _of_boxed_sparse,
    "finite": _of_finite,
    "joint": _of_joint,
    "n_of_m": _of_n_of_m,
    "relaxed": _of_relaxed,
    "sparse": _of_sparse,
    "split": _of_split,
}


def exact_value(problem: LayerProblem, feasible: FeasibleSet, proof: Certificate) -> Fraction | None:
    """What the certificate's numbers prove without rounding, None for nothing.

    A certificate of a kind without multipliers, a search that is run again, proves at most the optimum.
    """
    evaluate = VALUES.get(CERTIFICATES.name_of(proof))
    return exact_optimum(problem, feasible) if evaluate is None else evaluate(problem, feasible, proof)


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
    """min over x that vanish outside `kept`, by symmetric elimination of the kept weights; H must be psd."""
    H, w = [rational(row) for row in problem.H], rational(problem.w)
    for k in kept:
        pivot = H[k][k]
        if pivot <= 0:
            continue
        column = [row[k] for row in H]
        for i in range(problem.n):
            for j in range(problem.n):
                H[i][j] -= column[i] * column[j] / pivot
    gone = [Fraction(0) if i in set(map(int, kept)) else value for i, value in enumerate(w)]
    return dot(gone, times(H, gone))


def gram_of_condition(n: int, condition: float, seed: int) -> F64:
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    H = (Q * np.geomspace(1.0, 1.0 / condition, n)) @ Q.T
    return np.asarray(0.5 * (H + H.T))

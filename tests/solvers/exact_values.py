"""What the numbers in a certificate prove without any rounding, kind by kind, for tests.

`exact_value` evaluates any certificate; `VALUES` says how, by kind.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise, product
from typing import Any

import numpy as np

from pvq.arrays import F64
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

from .exact import Matrix, dot, eliminated, exact_optimum, is_psd, rational, remainder, times


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


def _of_block_sparse(problem: LayerProblem, feasible: SparseSet, proof: Any) -> Fraction | None:
    """Every subset of every block, and the least total over all ways to share out the removals."""
    M, w, e = [rational(row) for row in problem.H], rational(problem.w), rational(proof.e)
    members = [[int(i) for i in block if i >= 0] for block in proof.blocks]
    for D, block in zip(proof.D, members, strict=True):
        for a, i in enumerate(block):
            for b, j in enumerate(block):
                M[i][j] -= Fraction(float(D[a, b]))
    if not is_psd(M):
        return None
    g = times(M, e)
    totals = {0: -dot(e, g)}
    for D, block in zip(proof.D, members, strict=True):
        form = [[*rational(D[a, : len(block)]), g[i]] for a, i in enumerate(block)]
        costs = _block_costs([*form, [*(g[i] for i in block), Fraction(0)]], [-w[i] for i in block])
        if costs is None:
            return None
        pairs = [(p + q, x + y) for p, x in totals.items() for q, y in costs]
        totals = {p: min(x for q, x in pairs if q == p) for p in {q for q, _ in pairs}}
    dead = problem.n - sum(map(len, members))
    return totals[max(0, feasible.removed - dead)]


def _block_costs(form: Matrix, gone: list[Fraction]) -> list[tuple[int, Fraction]] | None:
    """(removals, least value) of every subset of a block, for the form of (v, 1)."""
    costs = []
    for removed in product((False, True), repeat=len(gone)):
        left = eliminated(form, [i for i, away in enumerate(removed) if not away])
        if left is None:
            return None
        v = [value if away else Fraction(0) for value, away in zip(gone, removed, strict=True)] + [
            Fraction(1)
        ]
        costs.append((sum(removed), dot(v, times(left, v))))
    return costs


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
    "block_sparse": _of_block_sparse,
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

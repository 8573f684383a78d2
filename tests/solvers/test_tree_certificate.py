"""Tree certificates prove what exact arithmetic confirms, cover the set, and do not survive tampering."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from pvq.arrays import F64
from pvq.errors import CertificateRejected
from pvq.solvers.catalogue import Enumerable, brute_force, catalogue_problem, power_law
from pvq.solvers.certificate_files import Claim, load_claims, save_claims
from pvq.solvers.certificates.tree import BRANCH, CLOSE, KEEP, KINDS, PRICE, PROOF, REMOVE, TreeCertificate
from pvq.solvers.certificates.tree_leaf import OPEN, REMOVED, Normal, complete, normalise, prove
from pvq.solvers.feasible import FeasibleSet, SparseSet, fit_set
from pvq.solvers.methods.prune_exact import PruneOptions, exact_sparse
from pvq.solvers.outcome import CERTIFICATES
from pvq.solvers.problem import LayerProblem
from pvq.solvers.refit import refit
from pvq.solvers.solver import Limits
from pvq.solvers.verify import check

from .exact import dot, is_psd, rational, times

N = 10
SPECS = ["sparse[k=3]", "n_of_m[n=1,m=3]", "boxed-sparse[k=2]"]


def _tree(problem: LayerProblem, feasible: FeasibleSet, nodes: int = 10**6) -> TreeCertificate:
    certificate = exact_sparse(problem, feasible, Limits(), PruneOptions(nodes=nodes)).certificate
    assert isinstance(certificate, TreeCertificate)
    return certificate


def _problem(n: int, condition: float, seed: int) -> LayerProblem:
    rng = np.random.default_rng(seed)
    return LayerProblem(power_law(n, condition, rng), rng.standard_normal(n))


def _exact_value(P: Normal, state: F64, d: F64, e: F64) -> Fraction | None:
    """What (d, e) proves for a part without kept weights, exactly; None if H - D is not semidefinite."""
    rest = np.flatnonzero(state != REMOVED)
    full = np.where(state == REMOVED, -P.w, 0.0)
    full[P.active(state)] = e
    H = [rational(row) for row in P.H]
    M = [[H[i][j] - (Fraction(float(d[a])) if i == j else 0) for j in rest] for a, i in enumerate(rest)]
    if not is_psd(M):
        return None
    point, weights = rational(full), rational(P.w)
    h = times(H, point)
    total, extra = dot(point, h), []
    for i, di in zip(rest, rational(d), strict=True):
        step = -weights[i] - point[i]
        kept = -h[i] * h[i] / di
        total += kept
        extra.append(di * step * step + 2 * h[i] * step - kept)
    left = int(P.quota[0]) - int((state == REMOVED).sum())
    return total + sum(sorted(extra)[:left], Fraction(0))


@pytest.mark.parametrize("condition", [1e1, 1e4, 1e8])
@pytest.mark.parametrize("seed", range(6))
def test_a_leaf_is_below_its_exact_value(condition: float, seed: int) -> None:
    """Random multipliers around the truth, some of them not provable."""
    problem, rng = _problem(7, condition, seed), np.random.default_rng([seed, 1])
    P = normalise(problem, SparseSet(7, 3))
    assert P is not None
    for _ in range(20):
        state = np.where(rng.uniform(size=7) < 0.3, REMOVED, OPEN).astype(np.int8)
        if (state == REMOVED).sum() >= 4:
            continue
        m = len(P.active(state))
        d = rng.uniform(0.01, 1.2, m) * np.linalg.eigvalsh(P.H)[0]
        e = rng.standard_normal(m) * 10.0 ** rng.uniform(-3, 3)
        proof, exact = prove(P, state, d, e, 1e-9, 1.0), _exact_value(P, state, d, e)
        assert exact is not None or proof.value == -np.inf
        if exact is not None and proof.value > -np.inf:
            assert proof.value <= exact
            size = 1.0 + float(np.abs(e).max())
            assert proof.value >= float(exact) - 1e-9 * size**2 / d.min()
            opened = state == OPEN
            assert (proof.keeping[opened] >= proof.value).all()
            assert (proof.removing[opened] >= proof.value).all()


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("seed", range(2))
def test_a_proof_holds_on_both_sides_of_every_weight(spec: str, seed: int) -> None:
    """What the first proof says of points that keep or remove a weight, against all of them."""
    problem = _problem(7, 1e2, seed)
    feasible = fit_set(spec, problem.w)
    P, tree = normalise(problem, feasible), _tree(problem, feasible)
    assert P is not None
    root = np.zeros(7, dtype=np.int8)
    assert complete(root, P.group, P.quota)
    count = len(P.active(root))
    d, e = tree.d[:count].astype(np.float64), tree.e[:count].astype(np.float64)
    proof = prove(P, root, d, e, tree.kept, 1.0)
    points = list(_points(problem, feasible))
    for i in np.flatnonzero(root == OPEN):
        best = {True: np.inf, False: np.inf}
        for x in points:
            side = bool(x[i] == 0)
            best[side] = min(best[side], float(np.ldexp(problem.error(x), -P.exponent)))
        assert proof.removing[i] <= best[True] * (1 + 1e-12)
        assert proof.keeping[i] <= best[False] * (1 + 1e-12)


def _points(problem: LayerProblem, feasible: FeasibleSet) -> Iterator[F64]:
    """Yield the best point of every support, and in a box of every face."""
    if isinstance(feasible, SparseSet):
        for kept in combinations(range(problem.n), feasible.k):
            yield refit(problem, np.array(kept))
    else:
        assert isinstance(feasible, Enumerable)
        yield from feasible.candidates(problem)


def _delete(tree: TreeCertificate, at: int) -> TreeCertificate:
    return replace(tree, program=np.delete(tree.program, at))


def _turn(tree: TreeCertificate, at: int) -> TreeCertificate:
    """Swap removing and keeping, closing and pricing, and let a branch be on the next weight."""
    program = tree.program.copy()
    i, kind = divmod(int(program[at]), KINDS)
    other = {REMOVE: KEEP, KEEP: REMOVE, CLOSE: PRICE, PRICE: CLOSE}.get(kind, kind)
    program[at] = KINDS * ((i + 1) % N if kind == BRANCH else i) + other
    return replace(tree, program=program)


def _move(tree: TreeCertificate, at: int) -> TreeCertificate:
    """Let a decision be about the next weight."""
    program = tree.program.copy()
    program[at] = KINDS * ((program[at] // KINDS + 1) % N) + program[at] % KINDS
    return replace(tree, program=program)


def _close_early(tree: TreeCertificate, at: int) -> TreeCertificate:
    """Claim that a leaf stands where the tree goes on."""
    program = tree.program.copy()
    program[at] = CLOSE
    return replace(tree, program=program)


def _scale(name: str, factor: float) -> Callable[[TreeCertificate, int], TreeCertificate]:
    def change(tree: TreeCertificate, at: int) -> TreeCertificate:
        values = getattr(tree, name).copy()
        values[at % len(values)] *= np.float32(factor)
        return replace(tree, **{name: values})

    return change


def _facts(name: str, factor: float) -> Callable[[TreeCertificate, int], TreeCertificate]:
    return lambda tree, at: replace(tree, **{name: getattr(tree, name) * factor})


@lru_cache
def _solved(spec: str) -> tuple[LayerProblem, FeasibleSet, TreeCertificate, float]:
    """Return a problem whose tree has branches, its tree and its optimum."""
    problem = _problem(N, 1e3, 3)
    feasible = fit_set(spec, problem.w)
    optimum, tree = brute_force(problem, feasible)[0], _tree(problem, feasible)
    assert tree.bound(problem, feasible) == pytest.approx(optimum, rel=1e-9)
    return problem, feasible, tree, optimum


CHANGES = [
    _delete,
    _turn,
    _move,
    _close_early,
    _scale("d", 2.0),
    _scale("d", -1.0),
    _scale("d", np.nan),
    _scale("e", 3.0),
    _scale("e", -1.0),
    _facts("floor", 3.0),
    _facts("kept", 1e12),
]


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("change", CHANGES)
def test_tampering_never_proves_more_than_the_optimum(
    spec: str, change: Callable[[TreeCertificate, int], TreeCertificate]
) -> None:
    """At every entry of the program, and of the multipliers as many."""
    problem, feasible, tree, optimum = _solved(spec)
    for at in range(len(tree.program)):
        bound = change(tree, at).bound(problem, feasible)
        assert bound == -np.inf or bound <= optimum * (1 + 1e-12)


def test_a_tree_without_one_of_its_leaves_proves_nothing() -> None:
    problem, feasible = _problem(24, 1e3, 1), SparseSet(24, 8)
    tree = _tree(problem, feasible)
    kinds = tree.program % KINDS
    assert {PROOF, CLOSE, PRICE, BRANCH} <= set(kinds.tolist())
    for at in np.flatnonzero(np.isin(kinds, [CLOSE, PRICE])):
        assert _delete(tree, int(at)).bound(problem, feasible) == -np.inf
    longer = replace(tree, program=np.append(tree.program, np.int32(CLOSE)))
    assert longer.bound(problem, feasible) == -np.inf
    assert replace(tree, d=tree.d[:-1], e=tree.e[:-1]).bound(problem, feasible) == -np.inf
    unused = np.append(tree.d, np.float32(1.0)), np.append(tree.e, np.float32(1.0))
    assert replace(tree, d=unused[0], e=unused[1]).bound(problem, feasible) == -np.inf


def test_a_tree_is_about_its_own_problem_and_set() -> None:
    problem, other = catalogue_problem("conv", N), catalogue_problem("conv", N, seed=9)
    tree = _tree(problem, SparseSet(N, 4))
    best = brute_force(problem, SparseSet(N, 3))[0]
    assert tree.bound(other, SparseSet(N, 4)) == -np.inf
    assert tree.bound(problem, SparseSet(N, 3)) <= best
    assert tree.bound(problem, SparseSet(N, 5)) <= brute_force(problem, SparseSet(N, 5))[0]
    assert tree.bound(problem, SparseSet(N + 1, 4)) == -np.inf
    assert tree.bound(problem, fit_set("int[bits=2]", problem.w)) == -np.inf
    assert tree.bound(problem, SparseSet(N, 4), slack=0.5) == -np.inf
    assert tree.bound(problem, SparseSet(N, 4), slack=np.nan) == -np.inf


@pytest.mark.parametrize("spec", SPECS)
def test_unusable_trees_prove_nothing(spec: str) -> None:
    problem = catalogue_problem("conv", N)
    feasible = fit_set(spec, problem.w)
    tree = _tree(problem, feasible)
    wide = tree.d.astype(np.float64)
    for broken in (
        replace(tree, program=tree.program.astype(np.int64)),
        replace(tree, program=-tree.program - 1),
        replace(tree, program=tree.program[:0]),
        replace(tree, program=np.array([KINDS * N + BRANCH, CLOSE, CLOSE], dtype=np.int32)),
        replace(tree, d=wide, e=wide),
        replace(tree, d=np.array([tree.d]), e=np.array([tree.e])),
    ):
        assert broken.bound(problem, feasible) == -np.inf


def test_an_empty_tree_proves_that_errors_are_not_negative() -> None:
    problem, nothing = catalogue_problem("conv", N), np.zeros(0, np.float32)
    tree = TreeCertificate(problem.digest, np.array([CLOSE], dtype=np.int32), nothing, nothing, 1e-9, 0.0)
    assert tree.bound(problem, SparseSet(N, 4)) == 0.0


@pytest.mark.parametrize("spec", SPECS)
def test_stored_trees_are_proved_again(tmp_path: Path, spec: str) -> None:
    problem = _problem(20, 1e3, 2)
    feasible = fit_set(spec, problem.w)
    tree = _tree(problem, feasible)
    value = tree.bound(problem, feasible, 2.0)
    path = save_claims(tmp_path / "row", [Claim(problem, feasible, tree, value, "exact")])
    (claim,) = load_claims(path)
    assert CERTIFICATES.name_of(claim.certificate) == "tree"
    assert check(claim) >= value
    assert claim.certificate.bound(claim.problem, claim.feasible, 2.0) == value
    with pytest.raises(CertificateRejected, match="claims"):
        check(replace(claim, value=value * (1 + 1e-6)))


def test_leaves_are_small() -> None:
    """Two float32 per open weight and proof, and a proof serves many leaves."""
    problem, feasible = _problem(48, 1e3, 1), SparseSet(48, 12)
    tree = _tree(problem, feasible)
    size = sum(values.nbytes for values in tree.arrays().values())
    assert tree.leaves > 100
    assert size < 4 * 48 * tree.leaves

"""Certificates of pruning bounds: never above their exact value, and nothing once tampered with."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from pvq.arrays import F64
from pvq.solvers.catalogue import CATALOGUE, brute_force, catalogue_problem
from pvq.solvers.certificate_files import Claim, load_claims, save_claims
from pvq.solvers.certificates import block_sparse
from pvq.solvers.certificates.block_sparse import BlockSparseCertificate
from pvq.solvers.certificates.boxed_sparse import BoxedSparseCertificate
from pvq.solvers.certificates.n_of_m import NOfMCertificate
from pvq.solvers.feasible import SparseSet, fit_set
from pvq.solvers.problem import LayerProblem
from pvq.solvers.sets.boxed_sparse import BoxedSparseSet
from pvq.solvers.sets.n_of_m import NOfMSet
from pvq.solvers.solver import Result, solve

from .exact import Matrix, dot, gram_of_condition, is_psd, rational, remainder, times

CAMPS = [
    ("n_of_m[n=2,m=4]", "perspective"),
    ("n_of_m[n=1,m=3]", "perspective"),
    ("boxed-sparse[density=0.5]", "perspective"),
    ("boxed-sparse[k=3,low=-0.2,high=0.1]", "perspective"),
    ("sparse[k=2]", "block-perspective[size=3]"),
]


def _least_in(d: Fraction, g: Fraction, low: Fraction, high: Fraction) -> Fraction:
    """The least of d v^2 + 2 g v over [low, high]."""
    inner = [-g / d] if d > 0 and low < -g / d < high else []
    return min(d * v * v + 2 * g * v for v in [low, high, *inner])


def _separable_value(problem: LayerProblem, feasible: NOfMSet | BoxedSparseSet, d: F64, e: F64) -> Fraction:
    """What (d, e) proves, in exact arithmetic; d > 0 without a box."""
    g, w = times(remainder(problem.H, d), rational(e)), rational(problem.w)
    gone = [di * wi * wi - 2 * gi * wi for di, gi, wi in zip(rational(d), g, w, strict=True)]
    if isinstance(feasible, BoxedSparseSet):
        low, high = Fraction(feasible.low), Fraction(feasible.high)
        kept = [_least_in(di, gi, low - wi, high - wi) for di, gi, wi in zip(rational(d), g, w, strict=True)]
        groups = [(range(problem.n), feasible.removed)]
    else:
        kept = [-gi * gi / di for di, gi in zip(rational(d), g, strict=True)]
        groups = [
            (range(j * feasible.group, min(problem.n, (j + 1) * feasible.group)), int(p))
            for j, p in enumerate(feasible.removed)
        ]
    extra = sum((sum(sorted(gone[i] - kept[i] for i in members)[:p]) for members, p in groups), Fraction(0))
    return sum(kept, Fraction(0)) + extra - dot(rational(e), g)


@pytest.mark.parametrize("condition", [1e2, 1e6, 1e10])
def test_separable_certificates_are_below_their_exact_value(condition: float) -> None:
    """The solver's own multipliers, n = 10, and little is lost to the error model."""
    for seed in range(3):
        problem = LayerProblem(
            gram_of_condition(10, condition, seed), np.random.default_rng(seed).standard_normal(10)
        )
        for spec in ("n_of_m[n=2,m=4]", "boxed-sparse[k=4]"):
            feasible = fit_set(spec, problem.w)
            proof = solve(problem, feasible, "perspective").certificate
            assert isinstance(proof, NOfMCertificate | BoxedSparseCertificate)
            assert isinstance(feasible, NOfMSet | BoxedSparseSet)
            assert is_psd(remainder(problem.H, proof.d))
            exact, bound = (
                _separable_value(problem, feasible, proof.d, proof.u),
                proof.bound(problem, feasible),
            )
            assert 0 < bound <= exact <= Fraction(bound * (1 + 1e-4))


@pytest.mark.parametrize("seed", range(30))
def test_any_separable_certificate_is_below_its_exact_value(seed: int) -> None:
    """Random multipliers, also negative d in a box, large tangents, weights outside the box and units."""
    rng = np.random.default_rng(seed)
    n, unit = int(rng.integers(1, 7)), 10.0 ** rng.uniform(-6, 6)
    H = gram_of_condition(n, 10.0 ** rng.uniform(0, 10), seed) * unit
    problem = LayerProblem(H, rng.standard_normal(n) / unit)
    d = rng.uniform(0.1, 1.0, n) * np.linalg.eigvalsh(problem.H)[0] * rng.choice([1e-3, 0.99])
    e = 10.0 ** rng.uniform(-3, 3) * rng.standard_normal(n) / unit
    grouped = NOfMSet(n, int(rng.integers(0, 3)), int(rng.integers(2, 5)))
    bound = NOfMCertificate(problem.digest, d, e).bound(problem, grouped)
    assert bound == -np.inf or bound <= _separable_value(problem, grouped, d, e)
    d = d * rng.choice([-1.0, 1.0, 0.0], n)
    boxed = BoxedSparseSet(n, int(rng.integers(0, n + 1)), -rng.uniform() / unit, rng.uniform() / unit)
    bound = BoxedSparseCertificate(problem.digest, d, e).bound(problem, boxed)
    assert -np.inf < bound <= _separable_value(problem, boxed, d, e)


def _solved(A: Matrix, b: list[Fraction]) -> list[Fraction]:
    """A^-1 b by elimination, for a positive definite A."""
    rows = [[*row, x] for row, x in zip(A, b, strict=True)]
    for k in range(len(rows)):
        rows[k] = [x / rows[k][k] for x in rows[k]]
        for i in range(len(rows)):
            if i != k:
                rows[i] = [x - rows[i][k] * y for x, y in zip(rows[i], rows[k], strict=True)]
    return [row[-1] for row in rows]


def _block_costs(D: Matrix, g: list[Fraction], w: list[Fraction]) -> list[Fraction]:
    """The least of v'Dv + 2g'v with j weights removed, for each j."""
    best: dict[int, Fraction] = {}
    for removed in product((False, True), repeat=len(w)):
        v = [-x if gone else Fraction(0) for x, gone in zip(w, removed, strict=True)]
        kept = [i for i, gone in enumerate(removed) if not gone]
        side = [a + b for a, b in zip(times(D, v), g, strict=True)]
        for i, x in zip(
            kept, _solved([[D[i][j] for j in kept] for i in kept], [side[i] for i in kept]), strict=True
        ):
            v[i] -= x
        cost = dot(v, times(D, v)) + 2 * dot(g, v)
        best[sum(removed)] = min(cost, best.get(sum(removed), cost))
    return [best[j] for j in range(len(w) + 1)]


def _block_value(problem: LayerProblem, proof: BlockSparseCertificate, removed: int) -> Fraction:
    """What the certificate proves in exact arithmetic; asserts that H - D is semidefinite."""
    M = [rational(row) for row in problem.H]
    e, w = rational(proof.e), rational(problem.w)
    parts = [(block[block >= 0], D) for block, D in zip(proof.blocks, proof.D, strict=True)]
    for block, D in parts:
        for a, i in enumerate(block):
            for b, j in enumerate(block):
                M[i][j] -= Fraction(D[a, b])
    assert is_psd(M)
    g = times(M, e)
    totals = {0: -dot(e, g)}
    for block, D in parts:
        small = [rational(row[: len(block)]) for row in D[: len(block)]]
        costs = _block_costs(small, [g[i] for i in block], [w[i] for i in block])
        longer: dict[int, Fraction] = {}
        for (p, total), (j, cost) in product(totals.items(), enumerate(costs)):
            longer[p + j] = min(total + cost, longer.get(p + j, total + cost))
        totals = longer
    return totals[removed]


@pytest.mark.parametrize("condition", [1e2, 1e6, 1e10])
def test_block_certificates_are_below_their_exact_value(condition: float) -> None:
    for seed in range(3):
        problem = LayerProblem(
            gram_of_condition(8, condition, seed), np.random.default_rng(seed).standard_normal(8)
        )
        proof = solve(problem, "sparse[k=3]", "block-perspective[size=3]").certificate
        assert isinstance(proof, BlockSparseCertificate)
        exact, bound = _block_value(problem, proof, 5), proof.bound(problem, SparseSet(8, 3))
        assert 0 < bound <= exact <= Fraction(bound * (1 + 1e-4))


@pytest.mark.parametrize("seed", range(25))
def test_any_block_certificate_is_below_its_exact_value(seed: int) -> None:
    """Random blocks, nearly singular ones too, and tangents far from any weights."""
    rng = np.random.default_rng(seed)
    n, unit = int(rng.integers(2, 7)), 10.0 ** rng.uniform(-6, 6)
    H = gram_of_condition(n, 10.0 ** rng.uniform(0, 8), seed) * unit
    problem = LayerProblem(H, rng.standard_normal(n) / unit)
    order, cut = rng.permutation(n), int(rng.integers(1, n))
    blocks = np.full((2, max(cut, n - cut)), -1, dtype=np.int64)
    blocks[0, :cut], blocks[1, : n - cut] = order[:cut], order[cut:]
    D = np.zeros((2, blocks.shape[1], blocks.shape[1]))
    for part, block in zip(D, blocks, strict=True):
        members = block[block >= 0]
        part[: len(members), : len(members)] = 0.49 * problem.H[np.ix_(members, members)]
    D = 0.5 * (D + D.transpose(0, 2, 1)) * 10.0 ** rng.uniform(-8, -0.1)
    e = 10.0 ** rng.uniform(-3, 3) * rng.standard_normal(n) / unit
    proof = BlockSparseCertificate(problem.digest, blocks, D, e)
    k = int(rng.integers(0, n + 1))
    bound = proof.bound(problem, SparseSet(n, k))
    assert bound == -np.inf or bound <= _block_value(problem, proof, n - k)


@pytest.mark.parametrize("camp", ["loss", "value"])
def test_rounding_of_the_gradient_is_covered_in_blocks(camp: str) -> None:
    """A tangent whose image is the small difference of large numbers: a tiny D divides its rounding (loss),
    distant weights that are removed multiply it (value)."""
    rng = np.random.default_rng(1)
    blocks = np.array([[0, 1], [2, 3]])
    for _ in range(40):
        H = gram_of_condition(4, 1e10, int(rng.integers(1000)))
        w = rng.standard_normal(4) * (1.0 if camp == "loss" else 1e9)
        problem = LayerProblem(H, w)
        D = np.array([1e-14 * np.diag(rng.uniform(0.1, 1.0, 2)) for _ in range(2)])
        proof = BlockSparseCertificate(problem.digest, blocks, D, 1e3 * np.linalg.eigh(H)[1][:, 0])
        removed = 0 if camp == "loss" else 4
        bound = proof.bound(problem, SparseSet(4, 4 - removed))
        assert -np.inf < bound <= _block_value(problem, proof, removed)


def test_inaccurate_minimisers_only_weaken_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were linear systems solved badly, the residual would tell."""
    problem = catalogue_problem("conv", 6)
    proof = solve(problem, "sparse[k=3]", "block-perspective[size=3]").certificate
    assert isinstance(proof, BlockSparseCertificate)
    good, exact = proof.bound(problem, SparseSet(6, 3)), _block_value(problem, proof, 3)
    accurate = block_sparse._minimisers

    def shifted(D: F64, w: F64, g: F64) -> block_sparse._Subsets:
        removed, v = accurate(D, w, g)
        return block_sparse._Subsets(removed, np.where(removed, v, v * 1.01 + 1e-3))

    monkeypatch.setattr(block_sparse, "_minimisers", shifted)
    assert proof.bound(problem, SparseSet(6, 3)) < good <= exact


def test_a_block_must_be_definite_for_what_is_kept() -> None:
    """H - D is semidefinite, but D itself is not: kept weights could run off along its negative direction."""
    problem = LayerProblem(np.eye(2), np.ones(2))
    D = np.array([[[0.1, 0.2], [0.2, 0.1]]])
    proof = BlockSparseCertificate(problem.digest, np.array([[0, 1]]), D, np.zeros(2))
    assert proof.bound(problem, SparseSet(2, 1)) == -np.inf
    sound = replace(proof, D=np.array([[[0.2, 0.1], [0.1, 0.2]]]))
    assert sound.bound(problem, SparseSet(2, 1)) == pytest.approx(0.15)


def test_weights_in_two_blocks_are_refused() -> None:
    problem = LayerProblem(np.eye(2), np.ones(2))
    once = BlockSparseCertificate(problem.digest, np.array([[0], [1]]), 0.5 * np.ones((2, 1, 1)), np.zeros(2))
    assert once.bound(problem, SparseSet(2, 0)) == pytest.approx(1.0)
    twice = replace(once, blocks=np.array([[0], [1], [1]]), D=0.5 * np.ones((3, 1, 1)))
    assert twice.bound(problem, SparseSet(2, 0)) == -np.inf


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize(("spec", "method"), CAMPS)
def test_tampering_never_proves_more_than_the_optimum(name: str, spec: str, method: str) -> None:
    """Twenty changes of the stored numbers per problem, and the proof of another problem."""
    problem, rng = catalogue_problem(name, 6, seed=1), np.random.default_rng(5)
    feasible = fit_set(spec, problem.w)
    optimum = brute_force(problem, feasible)[0] * (1 + 1e-12) + 1e-15 * problem.signal
    result = solve(problem, feasible, method)
    proof = result.certificate
    if proof is None:  # singular, and nothing is proved
        assert not result.certified
        return
    other = catalogue_problem(name, 6, seed=2)
    assert proof.bound(other, feasible) == -np.inf
    for _ in range(20):
        arrays = {key: values.copy() for key, values in proof.arrays().items()}
        values = arrays[list(arrays)[rng.integers(len(arrays))]]
        if values.dtype == np.int64:
            values.flat[rng.integers(values.size)] = rng.integers(-1, 6)
        elif rng.integers(2):
            values *= 1.0 + 10.0 ** rng.uniform(-12, 3)
        else:
            values.flat[rng.integers(values.size)] += 10.0 ** rng.uniform(-12, 3) * np.abs(values).mean()
        forged = type(proof).restore(problem.digest, arrays, proof.facts())
        assert forged.bound(problem, feasible) <= optimum


def test_unusable_block_certificates_prove_nothing() -> None:
    problem = catalogue_problem("conv", 6)
    chosen = SparseSet(6, 2)
    proof = solve(problem, chosen, "block-perspective[size=3]").certificate
    assert isinstance(proof, BlockSparseCertificate)
    assert proof.bound(problem, chosen) > 0
    lopsided = proof.D.copy()
    lopsided[0, 0, 1] *= 1 + 1e-9
    for broken in (
        replace(proof, D=1.2 * proof.D),
        replace(proof, D=-proof.D),
        replace(proof, D=0.0 * proof.D),
        replace(proof, D=np.nan * proof.D),
        replace(proof, D=lopsided),
        replace(proof, D=proof.D[:1]),
        replace(proof, e=proof.e[1:]),
        replace(proof, e=np.inf * np.ones(6)),
        replace(proof, e=1e200 * np.ones(6)),
        replace(proof, blocks=proof.blocks[:1], D=proof.D[:1]),
        replace(proof, blocks=np.zeros_like(proof.blocks)),
        replace(proof, blocks=proof.blocks + 1),
        replace(proof, problem=""),
    ):
        assert broken.bound(problem, chosen) == -np.inf
    assert proof.bound(problem, NOfMSet(6, 2, 6)) == proof.bound(problem, SparseSet(7, 2)) == -np.inf
    assert proof.bound(problem, chosen, slack=0.5) == -np.inf


def test_certificates_are_about_their_own_kind_of_set() -> None:
    problem = catalogue_problem("conv", 6)
    grouped, boxed = NOfMSet(6, 2, 4), BoxedSparseSet(6, 2, -0.1, 0.1)
    for mine, other in ((grouped, boxed), (boxed, grouped)):
        proof = solve(problem, mine, "perspective").certificate
        assert proof is not None
        assert proof.bound(problem, mine) > 0
        assert proof.bound(problem, other) == proof.bound(problem, SparseSet(6, 2)) == -np.inf


@pytest.mark.parametrize(("spec", "method"), CAMPS)
def test_stored_claims_are_proved_again(spec: str, method: str, tmp_path: Path) -> None:
    problem = catalogue_problem("dead-inputs", 12)
    feasible = fit_set(spec, problem.w)
    result: Result = solve(problem, feasible, method)
    assert result.certified
    path = tmp_path / "one.cert.npz"
    save_claims(path, [Claim.of(problem, feasible, result)])
    (claim,) = load_claims(path)
    assert claim.feasible == feasible
    assert claim.certificate.bound(claim.problem, claim.feasible) >= claim.value > 0

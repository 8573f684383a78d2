"""Certificates of the block bound: never above their exact value, and nothing from unsound blocks."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from pvq.arrays import F64
from pvq.solvers.catalogue import catalogue_problem
from pvq.solvers.certificates import block_sparse
from pvq.solvers.certificates.block_sparse import BlockSparseCertificate
from pvq.solvers.feasible import SparseSet
from pvq.solvers.problem import LayerProblem
from pvq.solvers.sets.n_of_m import NOfMSet
from pvq.solvers.solver import solve

from .exact import Matrix, dot, gram_of_condition, is_psd, rational, times


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

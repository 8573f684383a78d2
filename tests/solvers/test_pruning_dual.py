"""Dual bounds of pruning in groups, in boxes and with blocks: laws, and exact twins of certificates."""

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
from pvq.solvers.certificates.block_sparse import BlockSparseCertificate
from pvq.solvers.certificates.boxed_sparse import BoxedSparseCertificate
from pvq.solvers.certificates.n_of_m import NOfMCertificate
from pvq.solvers.feasible import FeasibleSet, SparseSet, fit_set
from pvq.solvers.outcome import Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.sets.boxed_sparse import BoxedSparseSet
from pvq.solvers.sets.n_of_m import NOfMSet
from pvq.solvers.solver import Limits, Result, solve

from .exact import Matrix, dot, gram_of_condition, is_psd, rational, remainder, times

CAMPS = [
    ("n_of_m[n=2,m=4]", "perspective"),
    ("n_of_m[n=1,m=3]", "perspective"),
    ("boxed-sparse[density=0.5]", "perspective"),
    ("boxed-sparse[k=3,low=-0.2,high=0.1]", "perspective"),
    ("sparse[k=2]", "block-perspective[size=3]"),
]
TIGHT = Limits(tolerance=1e-6)


def _bound(problem: LayerProblem, feasible: FeasibleSet | str, method: str, limits: Limits = TIGHT) -> float:
    lower = solve(problem, feasible, method, limits).error_lower
    assert lower is not None
    return lower


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize("n", [1, 2, 6])
def test_lower_optimum_upper(name: str, n: int) -> None:
    problem = catalogue_problem(name, n)
    more = ["n_of_m[n=0,m=2]", "boxed-sparse[k=0]", "boxed-sparse[density=1,low=-0.1,high=0]"]
    more += ["boxed-sparse[k=1,low=0,high=0]", "boxed-sparse[k=1,low=-1e5,high=1e6]", "n_of_m[n=3,m=3]"]
    for spec, method in [*CAMPS, *((spec, "perspective") for spec in more)]:
        if (spec == "sparse[k=2]" and n < 2) or ("k=3" in spec and n < 3):
            continue
        feasible = fit_set(spec, problem.w)
        optimum = brute_force(problem, feasible)[0]
        result = solve(problem, feasible, method)
        assert result.status is not Status.FAILED, (spec, result.notes)
        noise = 1e-14 * n * problem.signal_upper
        assert 0.0 <= (result.error_lower or 0.0) <= optimum * (1 + 1e-12) + noise, spec
        assert result.error_upper is not None
        assert result.error_upper >= optimum * (1 - 1e-12) - noise, spec


def test_one_group_of_all_is_plain_sparse() -> None:
    problem = catalogue_problem("conv", 18)
    plain = _bound(problem, "sparse[k=5]", "perspective")
    assert _bound(problem, NOfMSet(18, 5, 18), "perspective") == pytest.approx(plain, rel=1e-5)
    assert _bound(problem, BoxedSparseSet(18, 5, -1e4, 1e5), "perspective") == pytest.approx(plain, rel=1e-4)
    assert _bound(problem, "sparse[k=5]", "block-perspective[size=1]") == pytest.approx(plain, rel=1e-5)


def test_smaller_sets_have_larger_bounds() -> None:
    problem = catalogue_problem("conv", 24)
    plain = _bound(problem, "sparse[k=12]", "perspective")
    assert _bound(problem, "n_of_m[n=2,m=4]", "perspective") >= plain * (1 - 1e-5)
    boxes = [_bound(problem, BoxedSparseSet(24, 12, -x, x), "perspective") for x in (2.0, 1.0, 0.5, 0.1)]
    assert all(a <= b * (1 + 1e-5) for a, b in zip([plain, *boxes], boxes, strict=False))


def test_units_only_scale_the_bound() -> None:
    problem = catalogue_problem("conv", 18)
    for spec, method in CAMPS:
        feasible = fit_set(spec, problem.w)
        base = _bound(problem, feasible, method)
        assert _bound(LayerProblem(4 * problem.H, problem.w), feasible, method) == pytest.approx(4 * base)
        wide = feasible
        if isinstance(feasible, BoxedSparseSet):
            wide = replace(feasible, low=8 * feasible.low, high=8 * feasible.high)
        assert _bound(LayerProblem(problem.H, 8 * problem.w), wide, method) == pytest.approx(64 * base)


@pytest.mark.parametrize("scale", [1e-70, 1e70])
def test_extreme_units(scale: float) -> None:
    problem = catalogue_problem("conv", 12)
    moved = LayerProblem(problem.H / scale**2, problem.w * scale)
    for spec, method in CAMPS:
        feasible = fit_set(spec, problem.w)
        moved_set = feasible
        if isinstance(feasible, BoxedSparseSet):
            moved_set = replace(feasible, low=scale * feasible.low, high=scale * feasible.high)
        result = solve(moved, moved_set, method)
        assert result.certified
        assert result.error_lower == pytest.approx(solve(problem, feasible, method).error_lower, rel=2e-3)


def test_larger_blocks_bound_better_and_a_single_block_is_exact() -> None:
    """n = 9: with all weights in one block what remains is one price for all removals, under a hundredth."""
    for name in ("conv", "condition-1e2", "condition-1e6"):
        problem = catalogue_problem(name, 9)
        bounds = [_bound(problem, "sparse[k=3]", f"block-perspective[size={s}]") for s in (1, 3, 9)]
        assert bounds[0] <= bounds[1] * (1 + 1e-4) <= bounds[2] * (1 + 2e-4)
        assert bounds[2] == pytest.approx(brute_force(problem, SparseSet(9, 3))[0], rel=1e-2)


def test_blocks_of_four_prove_most_of_the_optimum() -> None:
    """conv, n = 64, three quarters removed: the diagonal proves .77 of the optimum on average."""
    for seed in (0, 1):
        problem = catalogue_problem("conv", 64, seed)
        best = solve(problem, "sparse[density=0.25]", "swap").error_upper
        assert best is not None
        assert _bound(problem, "sparse[density=0.25]", "block-perspective", Limits()) >= 0.85 * best


@pytest.mark.parametrize(("spec", "method"), CAMPS)
def test_time_limit_still_bounds_and_the_same_run_gives_the_same(spec: str, method: str) -> None:
    problem = catalogue_problem("conv", 24)
    stopped = solve(problem, spec, method, Limits(seconds=0.0))
    assert stopped.status is Status.TIME_LIMIT
    one, two = solve(problem, spec, method), solve(problem, spec, method)
    assert (one.error_lower, one.error_upper) == (two.error_lower, two.error_upper)
    assert one.error_lower is not None
    assert 0.0 <= (stopped.error_lower or 0.0) <= one.error_lower * (1 + 1e-9)


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

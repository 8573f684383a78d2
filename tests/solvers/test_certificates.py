"""Certificates prove what exact arithmetic confirms, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvq.arrays import F64
from pvq.solvers.catalogue import CATALOGUE, brute_force, catalogue_problem
from pvq.solvers.certificates.finite import FiniteCertificate
from pvq.solvers.certificates.sparse import SparseCertificate, _sum_of_branches
from pvq.solvers.feasible import FeasibleSet, FiniteSet, SparseSet, fit_set
from pvq.solvers.outcome import Outcome
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits
from pvq.theory.codebook import Codebook

from .exact import finite_value, gram_of_condition, is_psd, remainder, sparse_value

N = 6
CAMPS = [("int[bits=2]", "hull"), ("sparse[k=2]", "perspective")]


def _certificate(
    problem: LayerProblem, feasible: FeasibleSet, method: str
) -> FiniteCertificate | SparseCertificate:
    outcome: Outcome = SOLVERS.build(method).run(problem, feasible, Limits())
    assert isinstance(outcome.certificate, FiniteCertificate | SparseCertificate)
    return outcome.certificate


def _problem(condition: float, n: int, seed: int) -> LayerProblem:
    H = gram_of_condition(n, condition, seed)
    return LayerProblem(H, np.random.default_rng(seed).standard_normal(n))


@pytest.mark.parametrize("condition", [1e2, 1e6, 1e8, 1e10])
@pytest.mark.parametrize("tolerance", [1e-3, 1e-7])
def test_finite_bound_is_below_its_exact_value(condition: float, tolerance: float) -> None:
    """n = 12, two seeds: floats against rationals, and little is lost to the error model."""
    for seed in (0, 1):
        problem = _problem(condition, 12, seed)
        feasible = fit_set("int[bits=3]", problem.w)
        assert isinstance(feasible, FiniteSet)
        outcome = SOLVERS.build("hull").run(problem, feasible, Limits(tolerance=tolerance))
        proof = outcome.certificate
        assert isinstance(proof, FiniteCertificate)
        exact = finite_value(problem, feasible.levels, proof.d, proof.u)
        bound = proof.bound(problem, feasible)
        assert is_psd(remainder(problem.H, proof.d))
        assert bound <= exact
        assert bound >= float(exact) * (1 - 1e-3)
        assert proof.bound(problem, feasible, 2.0) <= bound


@pytest.mark.parametrize("condition", [1e2, 1e6, 1e8, 1e10])
@pytest.mark.parametrize("k", [1, 4, 9])
def test_sparse_bound_is_below_its_exact_value(condition: float, k: int) -> None:
    for seed in (0, 1):
        problem = _problem(condition, 12, seed)
        feasible = SparseSet(12, k)
        proof = _certificate(problem, feasible, "perspective")
        exact = sparse_value(problem, feasible.removed, proof.d, proof.u)
        bound = proof.bound(problem, feasible)
        assert is_psd(remainder(problem.H, proof.d))
        assert bound <= exact
        assert bound >= float(exact) * (1 - 1e-3)
        assert proof.bound(problem, feasible, 2.0) <= bound


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 5),
    st.sampled_from([1.0, 1e4, 1e8, 1e12]),
    st.floats(-2.0, 1.1),
    st.floats(0.0, 1e6),
    st.sampled_from([1.0, 1e-30, 1e30]),
)
def test_arbitrary_multipliers_prove_only_the_truth(
    seed: int, n: int, condition: float, share: float, spread: float, unit: float
) -> None:
    """Any d and u: whatever is proved stays below the exact value of (d, u), at any scale of H and w."""
    rng = np.random.default_rng(seed)
    problem = LayerProblem(gram_of_condition(n, condition, seed) * unit, rng.standard_normal(n) / unit)
    d = share * rng.uniform(0.0, 1.0, n) * np.linalg.eigvalsh(problem.H)[0]
    u = spread * rng.standard_normal(n) / unit
    feasible = FiniteSet(Codebook(np.unique(rng.standard_normal(4)) / unit))
    bound = FiniteCertificate(problem.digest, d, u).bound(problem, feasible)
    assert bound == -np.inf or bound <= finite_value(problem, feasible.levels, d, u)
    sparse = SparseSet(n, int(rng.integers(0, n + 1)))
    bound = SparseCertificate(problem.digest, d, u).bound(problem, sparse)
    if bound > -np.inf and (d > 0).all():
        assert bound <= sparse_value(problem, sparse.removed, d, u)


def test_rounding_in_the_bracket_is_covered() -> None:
    """With u = 0 the bound is d (level - w)^2 alone, whose rounding goes up half of the time."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        problem = LayerProblem(np.ones((1, 1)), rng.standard_normal(1))
        level, d, u = FiniteSet(Codebook(rng.standard_normal(1))), rng.uniform(0.1, 0.9, 1), np.zeros(1)
        bound = FiniteCertificate(problem.digest, d, u).bound(problem, level)
        assert bound <= finite_value(problem, level.levels, d, u) <= bound * (1 + 1e-14)


def _cancelling(rng: np.random.Generator) -> tuple[LayerProblem, F64]:
    """Return a problem and a tangent u whose image Hu is the small difference of large numbers."""
    H = gram_of_condition(4, 1e10, int(rng.integers(1000)))
    return LayerProblem(H, rng.standard_normal(4)), 1e3 * np.linalg.eigh(H)[1][:, 0]


def test_rounding_of_the_gradient_is_covered_at_distant_levels() -> None:
    """A level 1e9 away multiplies the rounding of Mu, which u'Mu itself hardly shows."""
    rng = np.random.default_rng(1)
    for _ in range(50):
        problem, u = _cancelling(rng)
        far, d = FiniteSet(Codebook(1e9 * rng.standard_normal(1))), np.full(4, -1e-12)
        bound = FiniteCertificate(problem.digest, d, u).bound(problem, far)
        assert -np.inf < bound <= finite_value(problem, far.levels, d, u)


def test_rounding_of_the_gradient_is_covered_at_kept_weights() -> None:
    """A small d divides the rounding of Mu; with nothing removed the bound is -u'Mu - sum (Mu)^2 / d."""
    rng = np.random.default_rng(2)
    for _ in range(50):
        problem, u = _cancelling(rng)
        d = 1e-14 * rng.uniform(0.1, 1.0, 4)
        for removed in (0, 2):
            bound = SparseCertificate(problem.digest, d, u).bound(problem, SparseSet(4, 4 - removed))
            assert -np.inf < bound <= sparse_value(problem, removed, d, u)


def _tampered(proof: FiniteCertificate | SparseCertificate, rng: np.random.Generator) -> F64:
    """Return changed multipliers (2, n): scaled, shifted, permuted, spiked or swapped."""
    both = np.array([proof.d, proof.u])
    which, size = rng.integers(2), 10.0 ** rng.uniform(-12, 3)
    kind = rng.integers(5)
    if kind == 0:
        both[which] *= 1.0 + size
    elif kind == 1:
        both[which] += size * rng.standard_normal(both.shape[1]) * np.abs(both[which]).mean()
    elif kind == 2:
        both[which] = rng.permutation(both[which])
    elif kind == 3:
        both[which, rng.integers(both.shape[1])] *= 1.0 + size
    else:
        both[which] *= -1.0
    return both


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize(("spec", "method"), CAMPS)
def test_tampering_never_proves_more_than_the_optimum(name: str, spec: str, method: str) -> None:
    """Sixty changes of the multipliers per problem; the optimum is found by looking at every point."""
    rng = np.random.default_rng(5)
    problem = catalogue_problem(name, N, seed=1)
    feasible = fit_set(spec, problem.w)
    optimum = brute_force(problem, feasible)[0]
    proof = _certificate(problem, feasible, method)
    for _ in range(60):
        d, u = _tampered(proof, rng)
        assert replace(proof, d=d, u=u).bound(problem, feasible) <= optimum * (1 + 1e-12)


@pytest.mark.parametrize(("spec", "method"), CAMPS)
def test_larger_diagonals_are_refused(spec: str, method: str) -> None:
    """At the optimum H - D is almost singular: a tenth more is not semidefinite, and not believed."""
    problem = catalogue_problem("conv", 18)
    feasible = fit_set(spec, problem.w)
    proof = _certificate(problem, feasible, method)
    assert proof.bound(problem, feasible) > 0
    assert replace(proof, d=1.1 * proof.d).bound(problem, feasible) == -np.inf


@pytest.mark.parametrize(("spec", "method"), CAMPS)
def test_unusable_certificates_prove_nothing(spec: str, method: str) -> None:
    problem, other = catalogue_problem("conv", N), catalogue_problem("conv", N, seed=9)
    feasible = fit_set(spec, problem.w)
    proof = _certificate(problem, feasible, method)
    nan, inf = np.full(N, np.nan), np.full(N, np.inf)
    for broken in (
        replace(proof, d=nan),
        replace(proof, u=nan),
        replace(proof, d=-inf),
        replace(proof, u=inf),
        replace(proof, d=proof.d[1:]),
        replace(proof, u=np.array([proof.u])),
        replace(proof, problem=other.digest),
        replace(proof, u=1e200 * np.ones(N)),
        replace(proof, d=-1e300 * np.ones(N), u=1e200 * np.ones(N)),
    ):
        assert broken.bound(problem, feasible) == -np.inf
    assert proof.bound(other, feasible) == -np.inf
    assert proof.bound(problem, feasible, slack=0.5) == -np.inf
    assert proof.bound(problem, feasible, slack=np.nan) == -np.inf


def test_certificates_are_about_their_own_kind_of_set() -> None:
    problem = catalogue_problem("conv", N)
    levels, sparse = fit_set("int[bits=2]", problem.w), SparseSet(N, 2)
    assert _certificate(problem, levels, "hull").bound(problem, sparse) == -np.inf
    proof = _certificate(problem, sparse, "perspective")
    assert proof.bound(problem, levels) == -np.inf
    assert proof.bound(problem, SparseSet(N + 1, 2)) == -np.inf


def test_sparse_diagonal_must_be_positive_unless_all_is_removed() -> None:
    problem = LayerProblem(np.array([[2.0, 1.0], [1.0, 2.0]]), np.ones(2))
    for d in ([0.0, 0.5], [-0.1, 0.5]):
        proof = SparseCertificate(problem.digest, np.array(d), -problem.w)
        assert proof.bound(problem, SparseSet(2, 1)) == -np.inf
        assert proof.bound(problem, SparseSet(2, 0)) == pytest.approx(6.0, rel=1e-12)


def test_dead_input_must_have_no_diagonal() -> None:
    problem = LayerProblem(np.diag([1.0, 0.0]), np.array([1.0, 5.0]))
    alive = SparseCertificate(problem.digest, np.array([0.5, 0.0]), np.array([-1.0, 0.0]))
    assert alive.bound(problem, SparseSet(2, 0)) == pytest.approx(1.0)
    assert alive.bound(problem, SparseSet(2, 1)) <= 0.0
    assert replace(alive, d=np.array([0.5, 0.1])).bound(problem, SparseSet(2, 1)) == -np.inf


def test_many_levels_are_looked_at_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = catalogue_problem("conv", N)
    feasible = fit_set("int[bits=10]", problem.w)
    proof = _certificate(problem, feasible, "hull")
    whole = proof.bound(problem, feasible)
    monkeypatch.setattr("pvq.solvers.certificates.finite.CHUNK", 100)
    assert proof.bound(problem, feasible) == whole > 0


@pytest.mark.parametrize("unknown", [np.nan, np.inf, -np.inf])
def test_an_unknown_branch_is_not_sorted_out_of_sight(unknown: float) -> None:
    """With one weight to remove and one removal cost unknown, the known one need not be the smaller."""
    kept = np.zeros(2)
    assert _sum_of_branches(kept, np.array([1.0, 2.0]), 0.0, 1) == pytest.approx(1.0)
    assert _sum_of_branches(kept, np.array([1.0, unknown]), 0.0, 1) == -np.inf

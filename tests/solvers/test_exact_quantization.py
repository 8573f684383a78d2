"""Exact quantization: equal to looking at every point, and its replay certificate never proves more."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvq.arrays import F64
from pvq.solvers._search.enumeration import Enumeration, Incumbent
from pvq.solvers._search.geometry import Factor, Geometry
from pvq.solvers._search.lattice import Lattice
from pvq.solvers._search.remaining import remaining_of
from pvq.solvers._search.thresholds import Thresholds, proved_shares
from pvq.solvers.catalogue import CATALOGUE, brute_force, catalogue_problem, power_law
from pvq.solvers.certificate_files import Claim, load_claims, save_claims
from pvq.solvers.certificates.enumeration import EnumerationCertificate
from pvq.solvers.exact_error import error_down
from pvq.solvers.feasible import FiniteSet, SparseSet, fit_set
from pvq.solvers.outcome import Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import CLAIM_SLACK, Limits, Result, solve
from pvq.solvers.verify import check
from pvq.theory.codebook import Codebook

from .exact import exact_error, gram_of_condition

SETS = ["int[bits=2]", "levels[-1;0;1]", "levels[0.5]", "levels[-1.3;-0.2;0.4]", "levels[0;1;2;5]"]


def _finite(spec: str, problem: LayerProblem) -> FiniteSet:
    feasible = fit_set(spec, problem.w)
    assert isinstance(feasible, FiniteSet)
    return feasible


def _proof(problem: LayerProblem, feasible: FiniteSet) -> EnumerationCertificate:
    certificate = solve(problem, feasible, "exact").certificate
    assert isinstance(certificate, EnumerationCertificate)
    return certificate


def _check_optimal(result: Result, problem: LayerProblem, feasible: FiniteSet) -> None:
    """No worse than the best of all points, priced without rounding, and proved to a billionth."""
    best = error_down(problem, brute_force(problem, feasible)[1])
    assert result.status is Status.OPTIMAL
    assert result.point is not None
    exact = error_down(problem, result.point)
    assert exact <= best * (1 + 1e-9)
    assert exact * (1 - 1e-9) <= (result.error_lower or 0.0) <= min(exact, best)


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_equals_looking_at_every_point(name: str, n: int) -> None:
    problem = catalogue_problem(name, n)
    for spec in SETS:
        feasible = _finite(spec, problem)
        _check_optimal(solve(problem, feasible, "exact"), problem, feasible)


@pytest.mark.parametrize("scale", [1e-60, 1.0, 1e60])
def test_scales_per_weight_and_extreme_units(scale: float) -> None:
    rng = np.random.default_rng(3)
    problem = LayerProblem(power_law(6, 1e3, rng) / scale**2, scale * rng.standard_normal(6))
    feasible = FiniteSet(Codebook(np.array([-1.0, -0.25, 0.5, 1.0])), scale * 10.0 ** rng.uniform(-2, 1, 6))
    _check_optimal(solve(problem, feasible, "exact"), problem, feasible)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.data())
def test_nasty_problems(seed: int, n: int, data: st.DataObject) -> None:
    """Small integers: ties, repeated and zero columns, optima of zero."""
    entries = st.lists(st.integers(-2, 2), min_size=n, max_size=n)
    X = np.array(data.draw(st.lists(entries, min_size=1, max_size=5)), dtype=float)
    w = np.array(data.draw(entries), dtype=float) + data.draw(st.sampled_from([0.0, 0.5, 0.3]))
    problem = LayerProblem(X.T @ X, w)
    levels = np.unique(np.random.default_rng(seed).integers(-3, 4, 3)).astype(float)
    feasible = FiniteSet(Codebook(levels))
    _check_optimal(solve(problem, feasible, "exact"), problem, feasible)


@pytest.mark.parametrize("name", ["conv", "condition-1e2", "condition-1e6", "dead-inputs"])
@pytest.mark.parametrize("bits", [2, 3])
def test_between_the_hull_and_every_heuristic(name: str, bits: int) -> None:
    problem = catalogue_problem(name, 24)
    feasible = fit_set(f"int[bits={bits}]", problem.w)
    exact = solve(problem, feasible, "exact")
    assert exact.status is Status.OPTIMAL
    assert exact.error_lower is not None
    assert exact.error_upper is not None
    hull = solve(problem, feasible, "hull").error_lower
    assert hull is not None
    assert hull <= exact.error_upper
    for method in ("nearest", "babai", "gptq[descent=true]", "beam", "beam[width=1,keep=1]"):
        upper = solve(problem, feasible, method).error_upper
        assert upper is not None
        assert upper >= exact.error_lower


def test_bounds_meet_within_a_billionth_up_to_condition_1e6() -> None:
    """Whatever float64 lost on the way: thresholds absorb it, and the claim is compared in rationals."""
    for condition in (1e2, 1e4, 1e6):
        problem = LayerProblem(
            gram_of_condition(20, condition, 4), np.random.default_rng(4).standard_normal(20)
        )
        result = solve(problem, "int[bits=3]", "exact")
        assert result.error_lower is not None
        assert result.point is not None
        exact = exact_error(problem, result.point)
        assert Fraction(result.error_lower) <= exact
        assert Fraction(result.error_lower) >= exact * Fraction(1 - 1e-9)


def test_a_slightly_indefinite_gram_has_a_harmless_bound() -> None:
    problem = LayerProblem(np.array([[1.0, 1e-4], [1e-4, 1e-9]]), np.array([0.3, 0.4]))
    feasible = fit_set("levels[-1;0;1]", problem.w)
    result = solve(problem, feasible, "exact")
    assert (result.error_lower or 0.0) <= brute_force(problem, feasible)[0] * (1 + 1e-12)


def test_stops_at_limits_with_bounds_on_both_sides() -> None:
    problem = catalogue_problem("conv", 72)
    hull = solve(problem, "int[bits=3]", "hull").error_lower
    assert hull is not None
    nodes = solve(problem, "int[bits=3]", "exact[nodes=1]")
    assert nodes.status is Status.ITERATION_LIMIT
    clock = solve(problem, "int[bits=3]", "exact", Limits(seconds=0.0))
    assert clock.status is Status.TIME_LIMIT
    for result in (nodes, clock):
        assert result.error_lower is not None
        assert result.error_upper is not None
        assert result.error_lower < result.error_upper
    assert nodes.error_lower is not None
    assert nodes.error_lower >= 0.99 * hull


def test_stages_prove_more_than_the_hull_before_the_limit() -> None:
    """Every point below the stage's error is enumerated: a bound between the hull's and the optimum."""
    problem = catalogue_problem("conv", 72)
    hull = solve(problem, "int[bits=3]", "hull").error_lower
    result = solve(problem, "int[bits=3]", "exact[nodes=200000]", Limits(seconds=60.0))
    assert result.status is Status.ITERATION_LIMIT
    assert isinstance(result.certificate, EnumerationCertificate)
    assert hull is not None
    assert result.error_lower is not None
    assert result.error_upper is not None
    assert 1.04 * hull < result.error_lower <= result.error_upper


def test_certificates_survive_storage(tmp_path: Path) -> None:
    problem = catalogue_problem("dead-inputs", 9)
    feasible = fit_set("int[bits=2]", problem.w)
    claim = Claim.of(problem, feasible, solve(problem, feasible, "exact"))
    (loaded,) = load_claims(save_claims(tmp_path / "proof", [claim]))
    assert check(loaded) >= claim.value > 0
    assert loaded.digest == claim.digest


def _tampered(proof: EnumerationCertificate, rng: np.random.Generator) -> EnumerationCertificate:
    kind = rng.integers(6)
    if kind == 0:
        return replace(proof, claim=proof.claim * 10.0 ** rng.uniform(-3, 3))
    if kind == 1:
        return replace(proof, order=rng.permutation(proof.order))
    if kind == 2:
        return replace(proof, shares=proof.shares * (1.0 + 10.0 ** rng.uniform(-6, 2)))
    if kind == 3:
        return replace(proof, shares=np.abs(proof.shares + rng.standard_normal(proof.shares.shape)))
    if kind == 4:
        return replace(proof, ridge=float(rng.uniform(0, 0.9)))
    return replace(proof, nodes=int(rng.integers(1, 200)), claim=2.0 * proof.claim)


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name != "dead-inputs"])
def test_tampering_never_proves_more_than_the_optimum(name: str) -> None:
    rng = np.random.default_rng(6)
    problem = catalogue_problem(name, 7, seed=2)
    feasible = _finite("int[bits=2]", problem)
    point = solve(problem, feasible, "exact").point
    assert point is not None
    proof, optimum = _proof(problem, feasible), error_down(problem, point)
    assert optimum * (1 - 1e-9) <= proof.bound(problem, feasible) <= optimum
    proved = [_tampered(proof, rng).bound(problem, feasible) for _ in range(40)]
    assert max(proved) <= optimum
    assert proof.bound(catalogue_problem(name, 7, seed=3), feasible) == -np.inf


def test_a_claim_above_the_optimum_proves_the_optimum() -> None:
    """The enumeration then meets the optimum itself, which is priced in integers."""
    problem = catalogue_problem("conv", 8)
    feasible = _finite("int[bits=2]", problem)
    proof = _proof(problem, feasible)
    raised = replace(proof, claim=1.5 * proof.claim, nodes=10**6)
    optimum = brute_force(problem, feasible)[0]
    assert raised.bound(problem, feasible) == pytest.approx(optimum, rel=1e-13)
    assert proof.bound(problem, feasible) == proof.claim


def test_more_points_than_are_priced_are_bounded_by_their_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = catalogue_problem("conv", 8)
    feasible = _finite("int[bits=2]", problem)
    proof = _proof(problem, feasible)
    proof = replace(proof, claim=1.01 * proof.claim)
    optimum = proof.bound(problem, feasible)
    monkeypatch.setattr("pvq.solvers._search.replay.LEAVES", 0)
    assert optimum * (1 - 1e-9) < proof.bound(problem, feasible) <= optimum


def test_unusable_certificates_prove_nothing() -> None:
    problem = catalogue_problem("conv", 8)
    feasible = _finite("int[bits=2]", problem)
    proof = _proof(problem, feasible)
    for broken in (
        replace(proof, claim=np.nan),
        replace(proof, claim=-1.0),
        replace(proof, claim=np.inf),
        replace(proof, ridge=np.nan),
        replace(proof, ridge=-1e-3),
        replace(proof, nodes=0),
        replace(proof, nodes=10**15),
        replace(proof, order=np.zeros(8, np.int64)),
        replace(proof, order=proof.order[1:]),
        replace(proof, order=proof.order.astype(float)),
        replace(proof, knots=proof.knots[::-1].copy()),
        replace(proof, knots=proof.knots[:-1]),
        replace(proof, shares=proof.shares[:, 1:]),
        replace(proof, problem="0" * 64),
    ):
        assert broken.bound(problem, feasible) == -np.inf
    assert proof.bound(problem, feasible, slack=0.5) == -np.inf
    assert proof.bound(problem, SparseSet(8, 2)) == -np.inf
    nan = replace(proof, shares=np.full_like(proof.shares, np.nan), nodes=10**6)
    assert nan.bound(problem, feasible) == proof.bound(problem, feasible)


def _row(seed: int, condition: float, n: int = 6) -> tuple[LayerProblem, FiniteSet]:
    rng = np.random.default_rng(seed)
    scales = 10.0 ** rng.uniform(-1, 1, n)
    problem = LayerProblem(gram_of_condition(n, condition, seed), scales * rng.standard_normal(n))
    return problem, FiniteSet(Codebook(np.sort(rng.standard_normal(4))), scales)


@pytest.mark.parametrize("condition", [1e1, 1e5, 1e9])
@pytest.mark.parametrize("ridge", [0.0, 1e-8])
def test_thresholds_cover_the_rounding_of_complete_decisions(condition: float, ridge: float) -> None:
    """A cost computed as the kernels do lies within the thresholds of the exact error, on both sides."""
    for seed in range(20):
        problem, feasible = _row(seed, condition)
        lattice = Lattice.of(problem, feasible)
        factor = Factor.of(lattice.geometry.A, np.random.default_rng(seed).permutation(6), ridge)
        assert factor is not None
        thresholds = Thresholds.of(lattice, factor)
        index = np.random.default_rng([seed, 1]).integers(0, 4, 6)
        cost, centre = 0.0, lattice.centre[factor.order].copy()
        for i in range(5, -1, -1):
            delta = lattice.levels[index[factor.order[i]]] - centre[i]
            cost += factor.weights[i] * delta * delta
            centre[:i] += factor.K[i, :i] * delta
        exact = error_down(problem, lattice.point(index))
        assert thresholds.below(cost) <= exact
        assert cost < thresholds.at(exact * (1 + 1e-12) + 1e-300)


def test_thresholds_cover_levels_that_are_almost_a_grid() -> None:
    """Distances that differ by 1e-10 are searched as equal ones; the error of that is in the threshold."""
    problem = catalogue_problem("condition-1e2", 6)
    feasible = FiniteSet(Codebook(np.array([-1.0, 0.0, 1.0 + 4e-10, 2.0])))
    lattice = Lattice.of(problem, feasible)
    assert lattice.uniform
    thresholds = Thresholds.of(lattice, lattice.geometry.factor("v-blast"))
    for seed in range(40):
        index = np.random.default_rng(seed).integers(0, 4, 6)
        change = lattice.levels[index] - lattice.centre
        cost = float(change @ (lattice.geometry.A @ change))
        exact = error_down(problem, lattice.point(index))
        assert cost < thresholds.at(exact)
        assert thresholds.below(cost) <= exact


def test_shares_that_are_not_proved_are_not_used() -> None:
    problem, feasible = _row(0, 1e3)
    lattice = Lattice.of(problem, feasible)
    factor = lattice.geometry.factor("v-blast")
    thresholds = Thresholds.of(lattice, factor)
    remaining = remaining_of(lattice.geometry.A[np.ix_(factor.order, factor.order)], lattice.outside)
    np.testing.assert_array_equal(proved_shares(thresholds, remaining), remaining.shares)
    larger = replace(remaining, shares=1.2 * remaining.shares)
    assert not proved_shares(thresholds, larger)[1:].any()


def test_shares_bound_what_positions_left_add() -> None:
    """Against every completion: sum_j d_j dist(c_j)^2 is at most the least cost of the positions left."""
    problem = catalogue_problem("conv", 9)
    A = Geometry.of(problem.gram).A
    rng = np.random.default_rng(0)
    remaining = remaining_of(A, rng.uniform(0, 2, 9))
    levels = np.arange(3.0)
    grid = np.stack(np.meshgrid(*[levels] * 4, indexing="ij"), -1).reshape(-1, 4)
    for _ in range(50):
        centre = rng.uniform(-2, 4, 4)
        change = grid - centre
        least = np.einsum("ij,ij->i", change @ A[:4, :4], change).min()
        gap = np.abs(levels[None, :] - centre[:, None]).min(1)
        assert remaining.shares[remaining.depth[4], :4] @ gap**2 <= least * (1 + 1e-12)


def test_search_and_replay_visit_the_same_tree_with_and_without_the_grid_kernel() -> None:
    """One kernel is specialised to equal distances; forced off, the general one finds the same optimum."""
    problem = catalogue_problem("conv", 20)
    feasible = _finite("int[bits=3]", problem)
    lattice = Lattice.of(problem, feasible)
    assert lattice.uniform
    errors, visited = [], []
    for chosen in (lattice, replace(lattice, uniform=False)):
        best = Incumbent(feasible.nearest(problem.w), error_down(problem, feasible.nearest(problem.w)))
        enumeration = Enumeration.of(chosen, best.error, CLAIM_SLACK)
        assert enumeration is not None
        assert enumeration.below(np.inf, best, 10**9, lambda: False)
        errors.append(best.error)
        visited.append(enumeration.visited[0])
    assert errors[0] == errors[1]
    assert visited[0] == visited[1]


def test_pricing_has_no_rounding() -> None:
    rng = np.random.default_rng(8)
    for exponent in (-60, 0, 60):
        problem = LayerProblem(gram_of_condition(5, 1e8, 2), 10.0**exponent * rng.standard_normal(5))
        x: F64 = 10.0**exponent * rng.standard_normal(5)
        down, exact = error_down(problem, x), exact_error(problem, x)
        assert Fraction(down) <= exact < Fraction(float(np.nextafter(down, np.inf)))


def test_options_and_refusals() -> None:
    problem = catalogue_problem("conv", 4)
    with pytest.raises(ValueError, match="must not be negative, got -1 and 30"):
        solve(problem, "int[bits=2]", "exact[nodes=-1]")
    many = LayerProblem(np.eye(600), np.ones(600))
    assert "at most 512 live weights, got 600" in solve(many, "int[bits=2]", "exact").notes
    wide = FiniteSet(Codebook(np.linspace(-1, 1, 2**16)))
    assert "levels times weights" in solve(LayerProblem(np.eye(100), np.ones(100)), wide, "exact").notes

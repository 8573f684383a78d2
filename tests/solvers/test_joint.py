"""The bound of levels under a budget: valid, as tight as its relaxations, and re-proved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvq.solvers._dual.joint_branches import Branches, curvature, smoothed
from pvq.solvers.catalogue import CATALOGUE, brute_force, catalogue_problem
from pvq.solvers.certificate_files import Claim, load_claims, save_claims
from pvq.solvers.certificates.finite import FiniteCertificate
from pvq.solvers.certificates.joint import JointCertificate
from pvq.solvers.certificates.relaxed import RelaxedCertificate
from pvq.solvers.feasible import FiniteSet, SparseSet, fit_set
from pvq.solvers.outcome import Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.sets.joint import JointSet
from pvq.solvers.solver import Limits, solve
from pvq.solvers.verify import check
from pvq.theory.codebook import Codebook

from .exact import gram_of_condition
from .exact_values import exact_value
from .test_joint_sets import random_joint

ALONE = "joint-bound[relaxations=false]"


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize("n", [1, 5])
def test_bound_is_below_the_optimum(name: str, n: int) -> None:
    """Six random sets each: any costs, scales, budgets; the optimum by looking at every point."""
    rng = np.random.default_rng(n)
    problem = catalogue_problem(name, n)
    for _ in range(6):
        feasible = random_joint(n, rng)
        optimum = brute_force(problem, feasible)[0]
        noise = 1e-13 * problem.H.max()
        for method in ("joint-bound", ALONE):
            result = solve(problem, feasible, method)
            assert result.status is not Status.FAILED
            assert result.error_lower is not None
            assert result.error_upper is not None
            assert result.error_lower <= optimum * (1 + 1e-12) + noise
            assert result.error_upper >= optimum * (1 - 1e-12) - noise


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.sampled_from([1e-60, 1e-8, 1.0, 1e60]))
def test_bound_scales_with_weights_and_levels(seed: int, n: int, unit: float) -> None:
    rng = np.random.default_rng(seed)
    problem = catalogue_problem("condition-1e2", n, seed)
    scaled = LayerProblem(problem.H, problem.w * unit)
    feasible = random_joint(n, rng)
    feasible = replace(feasible, grid=FiniteSet(feasible.grid.codebook))
    larger = replace(feasible, grid=FiniteSet(Codebook(feasible.grid.levels * unit)))
    one, two = solve(problem, feasible, "joint-bound"), solve(scaled, larger, "joint-bound")
    assert two.error_lower == pytest.approx((one.error_lower or 0.0) * unit**2, rel=1e-2, abs=1e-9 * unit**2)


@pytest.mark.parametrize(
    ("spec", "share"),
    [
        ("joint[bits=2,density=1]", 0.70),
        ("joint[bits=3,density=1]", 0.70),
        ("joint[bits=3,density=0.5]", 0.69),
        ("joint[bits=4,density=0.5]", 0.83),
    ],
)
def test_bound_is_near_the_best_point(spec: str, share: float) -> None:
    """Condition 1e2, n = 32, against the best of two methods: .709, .712, .705, .843 when this was made."""
    problem = catalogue_problem("condition-1e2", 32)
    best = min(solve(problem, spec, m).error_upper or np.inf for m in ("joint-obc", "joint-alternating"))
    result = solve(problem, spec, "joint-bound")
    assert result.status is Status.BOUND
    assert share * best <= (result.error_lower or 0.0) <= best


@pytest.mark.parametrize("name", ["conv", "condition-1e2", "dead-inputs"])
@pytest.mark.parametrize(
    "spec", ["joint[bits=3,density=0.5]", "joint[bits=8,density=0.5]", "joint[bits=4,budget=1,group=6]"]
)
def test_price_and_levels_are_worth_more_than_either_alone(name: str, spec: str) -> None:
    """The joint relaxation contains both others' inequalities: it is at most a tolerance below them."""
    problem = catalogue_problem(name, 24)
    alone, best = (solve(problem, spec, method).error_lower for method in (ALONE, "joint-bound"))
    assert alone is not None
    assert best is not None
    assert 0.995 * best <= alone <= best


def test_unequal_inputs_do_not_jam_the_path() -> None:
    """Started at a small mu, the path ends at the boundary with a hundredth of this bound."""
    result = solve(catalogue_problem("unequal", 64), "joint[bits=3,density=0.5]", ALONE)
    assert result.error_lower is not None
    assert result.error_lower > 0.3 * (result.error_upper or np.inf)


def test_time_limit_leaves_a_bound() -> None:
    result = solve(
        catalogue_problem("conv", 36), "joint[bits=3,density=0.5]", "joint-bound", Limits(seconds=0.0)
    )
    assert result.status is Status.TIME_LIMIT
    assert result.certified


def test_other_sets_are_refused() -> None:
    problem = catalogue_problem("conv", 9)
    assert solve(problem, "int[bits=2]", "joint-bound").status is Status.REFUSED
    smaller = fit_set("joint[bits=2,density=1]", problem.w[1:])
    assert solve(problem, smaller, "joint-bound").status is Status.REFUSED


@pytest.mark.parametrize("condition", [1e2, 1e6, 1e10])
def test_certificate_is_below_its_exact_value(condition: float) -> None:
    """n = 8: floats against rationals, and little is lost to the error model."""
    for seed in range(4):
        problem = LayerProblem(
            gram_of_condition(8, condition, seed), np.random.default_rng(seed).standard_normal(8)
        )
        feasible = fit_set("joint[bits=3,budget=1.5]", problem.w)
        proof = solve(problem, feasible, ALONE).certificate
        assert isinstance(proof, JointCertificate)
        exact, bound = exact_value(problem, feasible, proof), proof.bound(problem, feasible)
        assert exact is not None
        assert float(exact) * (1 - 1e-3) <= bound <= exact
        assert proof.bound(problem, feasible, 2.0) <= bound


def test_rounding_of_the_price_is_covered() -> None:
    """With d = u = 0 what is proved is t (cost - budget), of many weights, whose products often round up."""
    rng = np.random.default_rng(0)
    problem, grid = LayerProblem(np.eye(9), np.zeros(9)), FiniteSet(Codebook(np.array([1.0])))
    for _ in range(200):
        cost, t = int(rng.integers(1, 2**30)), float(rng.uniform(1e-3, 1e3))
        feasible = JointSet(9, grid, np.array([cost]), 9 * cost + int(rng.integers(9)))
        proof = JointCertificate(problem.digest, np.zeros(9), np.zeros(9), t)
        exact = exact_value(problem, feasible, proof)
        assert exact is not None
        assert proof.bound(problem, feasible) <= exact


def test_unusable_certificates_prove_nothing() -> None:
    problem = catalogue_problem("conv", 9)
    feasible = fit_set("joint[bits=2,density=0.5]", problem.w)
    proof = solve(problem, feasible, ALONE).certificate
    assert isinstance(proof, JointCertificate)
    assert proof.bound(problem, feasible) > 0
    rich = replace(feasible, budget=1000)  # type: ignore[type-var]
    for t in (-1.0, -1e-9, np.nan, np.inf, 1e300):
        assert replace(proof, t=t).bound(problem, feasible) <= 0
        assert replace(proof, t=t).bound(problem, rich) <= 0
    assert replace(proof, d=1.2 * proof.d + 0.1).bound(problem, feasible) == -np.inf
    assert proof.bound(problem, feasible.grid) == -np.inf  # type: ignore[attr-defined]
    assert proof.bound(problem, feasible, slack=0.5) == -np.inf


def test_relaxed_proof_makes_its_larger_set_itself() -> None:
    problem = catalogue_problem("conv", 9)
    feasible = fit_set("joint[bits=2,density=0.5]", problem.w)
    assert isinstance(feasible, JointSet)
    inner = solve(problem, feasible.grid, "hull").certificate
    assert isinstance(inner, FiniteCertificate)
    proof = RelaxedCertificate("finite", inner)
    assert proof.bound(problem, feasible) == inner.bound(problem, feasible.grid) > 0
    for name, target in (("sparse", feasible), ("nothing", feasible), ("finite", SparseSet(9, 2))):
        assert RelaxedCertificate(name, inner).bound(problem, target) == -np.inf
    nested = {"relaxation": "finite", "inner": {"kind": "relaxed", **proof.facts()}}
    with pytest.raises(ValueError, match="another kind"):
        RelaxedCertificate.restore(problem.digest, proof.arrays(), nested)


def test_levels_beyond_the_budget_do_not_weaken_the_relaxation() -> None:
    """With no budget at all only the free level is left, and the relaxation is exact."""
    problem = catalogue_problem("conv", 9)
    feasible = fit_set("joint[bits=4,density=0]", problem.w)
    assert isinstance(feasible, JointSet)
    assert feasible.relaxations()["finite"].arrays()["levels"].tolist() == [0.0]
    result = solve(problem, feasible, ALONE)
    assert result.error_lower == pytest.approx(problem.signal, rel=1e-9)


def test_stored_proofs_are_proved_again(tmp_path: object) -> None:
    problem = catalogue_problem("conv", 12)
    claims = []
    for spec in ("joint[bits=3,density=0.5]", "joint[bits=2,density=1]"):
        feasible = fit_set(spec, problem.w)
        claims.append(Claim.of(problem, feasible, solve(problem, feasible, "joint-bound")))
    assert [type(claim.certificate) for claim in claims] == [JointCertificate, RelaxedCertificate]
    stored = list(load_claims(save_claims(tmp_path / "proofs", claims)))  # type: ignore[operator]
    assert [check(claim) for claim in stored] == [check(claim) for claim in claims]
    assert [claim.digest for claim in stored] == [claim.digest for claim in claims]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.sampled_from([1e-6, 1e-2, 1.0, 1e3]))
def test_smoothed_least_cost_and_its_curvature(seed: int, levels: int, mu: float) -> None:
    """The weights sum to 1; the Hessian agrees with differences of the weights."""
    rng = np.random.default_rng(seed)
    made = Branches(rng.standard_normal((3, levels)), rng.uniform(0, 2, levels), 1.0)
    x, step = rng.standard_normal(7), 1e-6 * mu * rng.standard_normal(7)

    def at(x: np.ndarray) -> np.ndarray:
        q = smoothed(made.costs(x[:3], x[3:6], x[6]), mu).q
        a = made.change
        return np.concatenate([(2 * a * q).sum(1), (a * a * q).sum(1), [(q @ made.price).sum()]])

    value = smoothed(made.costs(x[:3], x[3:6], x[6]), mu)
    np.testing.assert_allclose(value.q.sum(1), 1.0, rtol=1e-12)
    bend = curvature(made, value, mu)
    by_weight = step[:3] + bend.on_g[0] * step[3:6] + bend.on_g[1] * step[6]
    dd, dt, tt = bend.rest
    moved = np.concatenate(
        [
            bend.g * by_weight,
            bend.on_g[0] * bend.g * by_weight + dd * step[3:6] + dt * step[6],
            [float((bend.on_g[1] * bend.g * by_weight + dt * step[3:6] + tt * step[6]).sum())],
        ]
    )
    np.testing.assert_allclose(0.5 * (at(x - step) - at(x + step)), moved, rtol=1e-3, atol=1e-9)

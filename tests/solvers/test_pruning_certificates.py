"""Certificates of pruning bounds: never above their exact value, and nothing once tampered with."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pvq.arrays import F64
from pvq.solvers.catalogue import CATALOGUE, brute_force, catalogue_problem
from pvq.solvers.certificate_files import Claim, load_claims, save_claims
from pvq.solvers.certificates.boxed_sparse import BoxedSparseCertificate
from pvq.solvers.certificates.n_of_m import NOfMCertificate
from pvq.solvers.feasible import SparseSet, fit_set
from pvq.solvers.problem import LayerProblem
from pvq.solvers.sets.boxed_sparse import BoxedSparseSet
from pvq.solvers.sets.n_of_m import NOfMSet
from pvq.solvers.solver import Result, solve

from .exact import dot, gram_of_condition, is_psd, rational, remainder, times

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

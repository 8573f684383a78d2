"""Proofs by cuts across weights: exact arithmetic confirms them, and nothing else is believed."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvq.solvers.catalogue import CATALOGUE, brute_force, catalogue_problem
from pvq.solvers.certificate_files import Claim, load_claims, save_claims
from pvq.solvers.certificates.finite import FiniteCertificate
from pvq.solvers.certificates.split import SplitCertificate
from pvq.solvers.feasible import FiniteSet, SparseSet, fit_set
from pvq.solvers.lattice import lattice_of
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits, solve
from pvq.theory.codebook import Codebook

from .exact import Matrix, dot, exact_error, gram_of_condition, is_psd, rational, remainder, times


def _rows(proof: SplitCertificate, feasible: FiniteSet, n: int) -> Matrix:
    """B as the floats that the certificate means: a / step, rounded once."""
    lattice = lattice_of(feasible, n)
    assert lattice is not None
    rows = np.zeros((len(proof.z), n))
    for m, (i, j) in enumerate(zip(proof.start[:-1], proof.start[1:], strict=True)):
        rows[m, proof.index[i:j]] = proof.coefficient[i:j] / lattice.step[proof.index[i:j]]
    return [rational(row) for row in rows]


def _remainder(problem: LayerProblem, proof: SplitCertificate, B: Matrix) -> Matrix:
    """H - diag(d) - B' diag(z) B without rounding."""
    M = remainder(problem.H, proof.d)
    for row, z in zip(B, rational(proof.z), strict=True):
        used = [i for i, b in enumerate(row) if b]
        for i, j in product(used, used):
            M[i][j] -= z * row[i] * row[j]
    return M


def _value(problem: LayerProblem, feasible: FiniteSet, proof: SplitCertificate) -> Fraction:
    """What the tangent of v'Mv at u leaves provable: the least value over all points, in exact arithmetic."""
    B = _rows(proof, feasible, problem.n)
    M = _remainder(problem, proof, B)
    if not is_psd(M):
        return Fraction(-(10**400))
    u, w, d, z = (rational(values) for values in (proof.u, problem.w, proof.d, proof.z))
    g = times(M, u)
    values = []
    for point in product(*[rational(row) for row in feasible.level_table(problem.n)]):
        v = [a - b for a, b in zip(point, w, strict=True)]
        squares = sum((zm * dot(row, v) ** 2 for zm, row in zip(z, B, strict=True)), Fraction(0))
        separable = sum((di * vi * vi for di, vi in zip(d, v, strict=True)), Fraction(0))
        values.append(2 * dot(g, v) + squares + separable)
    return min(values) - dot(u, g)


def _proof(problem: LayerProblem, feasible: FiniteSet, tolerance: float = 1e-3) -> SplitCertificate:
    outcome = SOLVERS.build("hull-cuts").run(problem, feasible, Limits(tolerance=tolerance))
    assert isinstance(outcome.certificate, SplitCertificate)
    return outcome.certificate


def _random_proof(
    problem: LayerProblem, feasible: FiniteSet, rng: np.random.Generator, share: float, spread: float
) -> SplitCertificate:
    """Cuts of one to n weights with small integers; d and z use `share` of what H allows."""
    n, lattice = problem.n, lattice_of(feasible, problem.n)
    assert lattice is not None
    sets = [np.sort(rng.choice(n, rng.integers(1, n + 1), replace=False)) for _ in range(rng.integers(1, 5))]
    a = [rng.choice([-2, -1, 1, 2], len(weights)) for weights in sets]
    B = np.zeros((len(sets), n))
    for row, weights, values in zip(B, sets, a, strict=True):
        row[weights] = values / lattice.step[weights]
    room = share * max(0.0, np.linalg.eigvalsh(problem.H)[0]) / (len(sets) + 1)
    offset = B @ (problem.w - lattice.origin)
    return SplitCertificate(
        problem.digest,
        room * rng.uniform(-1.0, 1.0, n),
        spread * rng.standard_normal(n) * lattice.step,
        np.cumsum([0, *map(len, sets)]),
        np.concatenate(sets),
        np.concatenate(a),
        np.floor(offset).astype(np.int64) + rng.integers(-1, 2, len(sets)),
        np.maximum(room, 1e-99) * rng.uniform(0.1, 1.0, len(sets)) / (B * B).sum(1),
    )


@settings(max_examples=250, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 3),
    st.sampled_from([1.0, 1e4, 1e8, 1e10]),
    st.floats(0.5, 1.1),
    st.sampled_from([0.0, 1.0, 1e6]),
    st.sampled_from([1.0, 1e-30, 1e30]),
    st.booleans(),
)
def test_arbitrary_cuts_prove_only_the_truth(
    seed: int, n: int, condition: float, share: float, spread: float, unit: float, grouped: bool
) -> None:
    """Any d, u, cuts and z: what is proved stays below the exact least value, at any scale of H and w."""
    rng = np.random.default_rng(seed)
    problem = LayerProblem(gram_of_condition(n, condition, seed) * unit, rng.standard_normal(n) / unit)
    scales = rng.uniform(0.1, 1.0, n) if grouped else None
    feasible = FiniteSet(Codebook((np.arange(4.0) - 1.5) * rng.uniform(0.3, 1.0) / unit), scales)
    proof = _random_proof(problem, feasible, rng, share, spread)
    bound = proof.bound(problem, feasible)
    assert bound == -np.inf or bound <= _value(problem, feasible, proof)


@pytest.mark.parametrize("condition", [1e2, 1e6, 1e10])
@pytest.mark.parametrize("tolerance", [1e-3, 1e-7])
def test_bound_of_the_method_is_below_its_exact_value(condition: float, tolerance: float) -> None:
    """n = 4, three levels, eight seeds each: 48 problems."""
    for seed in range(8):
        H = gram_of_condition(4, condition, seed)
        problem = LayerProblem(H, np.random.default_rng(seed).standard_normal(4))
        feasible = fit_set("int[bits=2,grid=symmetric]", problem.w)
        assert isinstance(feasible, FiniteSet)
        outcome = SOLVERS.build("hull-cuts").run(problem, feasible, Limits(tolerance=tolerance))
        proof = outcome.certificate
        if isinstance(proof, SplitCertificate):
            value = _value(problem, feasible, proof)
            assert 0 < proof.bound(problem, feasible, 2.0) <= proof.bound(problem, feasible) <= value
            assert value <= exact_error(problem, brute_force(problem, feasible)[1])


def test_rounding_of_a_split_is_covered() -> None:
    """One weight: most of H in d, the rest in a cut that is exact at the two levels around w."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        problem = LayerProblem(np.ones((1, 1)), rng.uniform(-2.0, 2.0, 1))
        step = rng.uniform(0.1, 1.0)
        feasible = FiniteSet(Codebook(step * np.arange(-20.0, 21.0)))
        lattice = lattice_of(feasible, 1)
        assert lattice is not None
        k = np.floor((problem.w - lattice.origin) / lattice.step).astype(np.int64)
        one = np.array([1])
        proof = SplitCertificate(
            problem.digest, 0.6 * one, 0.0 * one, np.array([0, 1]), 0 * one, one, k, lattice.step**2 * 0.3
        )
        value = _value(problem, feasible, proof)
        bound = proof.bound(problem, feasible)
        assert bound <= value <= bound + 1e-12 * step**2


def test_rounding_of_the_remainder_is_covered() -> None:
    """A cut uses up H to the last bit: whether z b b' exceeds H is then decided by rounding alone."""
    rng = np.random.default_rng(3)
    two, feasible_steps = np.array([0, 1]), rng.uniform(0.3, 1.0, 200)
    for step in feasible_steps:
        problem = LayerProblem(np.ones((2, 2)), rng.uniform(-1.0, 1.0, 2))
        feasible = FiniteSet(Codebook(step * np.arange(3.0)))
        lattice = lattice_of(feasible, 2)
        assert lattice is not None
        z = np.array([1.0]) / (1.0 / lattice.step[:1]) ** 2
        d = -(10.0 ** rng.uniform(-19, -14)) * np.ones(2)
        proof = SplitCertificate(
            problem.digest, d, np.zeros(2), np.array([0, 2]), two, np.array([1, 1]), np.array([0]), z
        )
        proved = proof.bound(problem, feasible) > -np.inf
        assert not proved or is_psd(_remainder(problem, proof, _rows(proof, feasible, 2)))


def test_levels_off_the_lattice_are_allowed_for() -> None:
    """Levels 1e-10 off an even spacing lie closer to w than the lattice says."""
    problem = LayerProblem(np.ones((1, 1)), np.array([0.5]))
    off = 1e-10
    feasible = FiniteSet(Codebook(np.array([-1.0, off, 1.0 - off, 2.0])))
    lattice = lattice_of(feasible, 1)
    assert lattice is not None
    assert lattice.deviation[0] >= off * (1 - 1e-6)
    one = np.array([1])
    proof = SplitCertificate(
        problem.digest, np.zeros(1), np.zeros(1), np.array([0, 1]), 0 * one, one, one, np.array([1 - 1e-12])
    )
    assert 0.25 - 3 * off <= proof.bound(problem, feasible) <= (0.5 - off) ** 2


def _tampered(proof: SplitCertificate, rng: np.random.Generator) -> SplitCertificate:
    """Return the certificate with one of its arrays scaled, shifted, permuted or replaced."""
    name = rng.choice(["d", "u", "z", "k", "coefficient", "index"])
    values = getattr(proof, name)
    kind = rng.integers(3)
    if name in ("d", "u", "z"):
        size = 10.0 ** rng.uniform(-12, 3)
        noise = size * rng.standard_normal(len(values)) * np.abs(values).mean()
        changed = [values * (1 + size), values + noise, rng.permutation(values)][kind]
    elif name == "index":
        changed = [rng.permutation(values), (values + 1) % len(proof.d), values[::-1].copy()][kind]
    else:
        changed = [values + rng.integers(-2, 3, len(values)), rng.permutation(values), -values][kind]
    return replace(proof, **{name: changed})


@pytest.mark.parametrize("name", CATALOGUE)
def test_tampering_never_proves_more_than_the_optimum(name: str) -> None:
    """120 changes per problem; the optimum is found by looking at every point."""
    rng = np.random.default_rng(6)
    problem = catalogue_problem(name, 6, seed=1)
    feasible = fit_set("int[bits=2]", problem.w)
    assert isinstance(feasible, FiniteSet)
    optimum = brute_force(problem, feasible)[0]
    outcome = SOLVERS.build("hull-cuts").run(problem, feasible, Limits())
    proof = outcome.certificate
    if not isinstance(proof, SplitCertificate) or len(proof.z) == 0:
        proof = _random_proof(problem, feasible, rng, 0.9, 1.0)
    for _ in range(120):
        assert _tampered(proof, rng).bound(problem, feasible) <= optimum * (1 + 1e-12)


def test_larger_multipliers_are_refused() -> None:
    problem = catalogue_problem("conv", 18)
    feasible = fit_set("int[bits=2]", problem.w)
    assert isinstance(feasible, FiniteSet)
    proof = _proof(problem, feasible)
    assert proof.bound(problem, feasible) > 0
    assert replace(proof, z=1.1 * proof.z).bound(problem, feasible) == -np.inf
    assert replace(proof, d=proof.d + 0.1 * np.abs(proof.d)).bound(problem, feasible) == -np.inf


def test_malformed_certificates_prove_nothing() -> None:
    problem = catalogue_problem("conv", 9)
    feasible = fit_set("int[bits=2]", problem.w)
    assert isinstance(feasible, FiniteSet)
    proof = _proof(problem, feasible)
    i, N = proof.index, len(proof.z)
    pair = int(np.flatnonzero(np.diff(proof.start) == 2)[0])
    twice = i.copy()
    twice[proof.start[pair] + 1] = twice[proof.start[pair]]
    for broken in (
        replace(proof, index=twice),
        replace(proof, index=i + 9),
        replace(proof, index=i - 9),
        replace(proof, index=i.astype(np.float64)),
        replace(proof, start=proof.start + 1),
        replace(proof, start=proof.start[::-1].copy()),
        replace(proof, start=np.zeros(N + 1, dtype=np.int64)),
        replace(proof, start=proof.start[:-1]),
        replace(proof, coefficient=proof.coefficient[1:]),
        replace(proof, coefficient=0 * proof.coefficient),
        replace(proof, coefficient=proof.coefficient * 2**50),
        replace(proof, k=proof.k.reshape(1, -1)),
        replace(proof, k=proof.k + 2**50),
        replace(proof, k=proof.k + 0.5),
        replace(proof, z=-proof.z),
        replace(proof, z=0 * proof.z),
        replace(proof, z=proof.z * np.nan),
        replace(proof, z=proof.z * 1e200),
        replace(proof, z=proof.z.reshape(1, -1)),
        replace(proof, d=proof.d * np.nan),
        replace(proof, u=proof.u[1:]),
        replace(proof, problem="another"),
    ):
        assert broken.bound(problem, feasible) == -np.inf
    assert proof.bound(problem, SparseSet(9, 3)) == -np.inf
    assert proof.bound(problem, FiniteSet(Codebook(np.array([0.0, 1.0, 1.5 * 2**0.5])))) == -np.inf
    assert proof.bound(problem, feasible, 0.5) == -np.inf
    assert proof.bound(problem, feasible) > 0


def test_without_cuts_it_is_the_finite_certificate() -> None:
    problem = catalogue_problem("conv", 9)
    feasible = fit_set("int[bits=2]", problem.w)
    hull = SOLVERS.build("hull").run(problem, feasible, Limits()).certificate
    assert isinstance(hull, FiniteCertificate)
    none = np.empty(0, dtype=np.int64)
    proof = SplitCertificate(
        problem.digest, hull.d, hull.u, np.zeros(1, dtype=np.int64), none, none, none, np.empty(0)
    )
    assert proof.bound(problem, feasible) == pytest.approx(hull.bound(problem, feasible), rel=1e-9)


def test_it_is_stored_and_read_back(tmp_path: Path) -> None:
    problem = catalogue_problem("conv", 9)
    result = solve(problem, "int[bits=2]", "hull-cuts")
    claim = Claim.of(problem, fit_set("int[bits=2]", problem.w), result)
    (read,) = load_claims(save_claims(tmp_path / "claims", [claim]))
    assert isinstance(read.certificate, SplitCertificate)
    assert read.certificate.bound(read.problem, read.feasible) >= claim.value > 0


@pytest.mark.parametrize(
    ("spec", "integers"),
    [
        ("int[bits=2]", [0, 1, 2, 3]),
        ("int[bits=2,grid=mid-rise,scale=0.1]", [0, 1, 2, 3]),
        ("levels[-0.3;-0.1;0.1;0.5]", [0, 1, 2, 4]),
        ("levels[-1;0;2.5]", None),
        ("levels[0;1e-30;1]", None),
        ("levels[1]", None),
    ],
)
def test_lattices_are_recognised(spec: str, integers: list[int] | None) -> None:
    feasible = fit_set(spec, np.linspace(-1.0, 1.0, 5))
    assert isinstance(feasible, FiniteSet)
    lattice = lattice_of(feasible, 5)
    assert (None if lattice is None else lattice.integers.tolist()) == integers


def test_lattice_of_scaled_levels_covers_their_rounding() -> None:
    feasible = FiniteSet(Codebook(np.arange(-4.0, 4.0)), np.array([0.1, 1 / 3, 1e-30, 7e20]))
    lattice = lattice_of(feasible, 4)
    assert lattice is not None
    for i, levels in enumerate(feasible.level_table(4)):
        origin, step = Fraction(float(lattice.origin[i])), Fraction(float(lattice.step[i]))
        for m, level in zip(lattice.integers.tolist(), rational(levels), strict=True):
            assert abs(level - origin - step * m) <= Fraction(float(lattice.deviation[i]))

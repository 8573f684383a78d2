"""Random problems, sets, proofs and tamperings for laws that hold of every registered kind."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import cache
from typing import Any

import numpy as np

from pvq.arrays import F64
from pvq.solvers.certificates.relaxed import RelaxedCertificate
from pvq.solvers.feasible import STORED_SETS, FeasibleSet, FiniteSet, SparseSet
from pvq.solvers.outcome import Certificate
from pvq.solvers.problem import LayerProblem
from pvq.solvers.sets.boxed_sparse import BoxedSparseSet
from pvq.solvers.sets.joint import JointSet
from pvq.solvers.sets.n_of_m import NOfMSet
from pvq.solvers.solver import CLAIM_SLACK, SOLVERS, Limits, solve
from pvq.theory.codebook import Codebook

from .exact import gram_of_condition

Random = np.random.Generator


def random_problem(n: int, rng: Random, unit: float = 1.0) -> LayerProblem:
    """A Gram matrix of condition 1 to 1e10, or singular; dead, repeated and unequal inputs; any units."""
    H = _GRAMS[int(rng.integers(len(_GRAMS)))](n, rng)
    if rng.random() < 0.2:
        H[int(rng.integers(n))] = 0.0
        H = np.minimum(np.abs(H), np.abs(H.T)) * np.sign(H)
    w = rng.standard_normal(n)
    if rng.random() < 0.3:
        w = np.round(2 * w) / 2
    return LayerProblem(H * 10.0 ** float(rng.choice([0, 0, 0, -100, -30, 30, 100])), w * unit)


def _spread(n: int, rng: Random) -> F64:
    return gram_of_condition(n, 10.0 ** rng.uniform(0, 10), int(rng.integers(2**31)))


def _features(n: int, rng: Random) -> F64:
    X = np.maximum(rng.standard_normal((int(rng.integers(1, 3 * n + 1)), n)), 0.0)
    if n > 1 and rng.random() < 0.3:
        X[:, 0] = X[:, -1]
    return np.asarray(X.T @ X)


def _integers(n: int, rng: Random) -> F64:
    X = rng.integers(-2, 3, (int(rng.integers(1, n + 2)), n)).astype(float)
    return np.asarray(X.T @ X)


def _unequal(n: int, rng: Random) -> F64:
    size = 10.0 ** rng.uniform(-4, 4, n)
    return np.asarray(size[:, None] * _spread(n, rng) * size)


_GRAMS: tuple[Callable[[int, Random], F64], ...] = (_spread, _spread, _features, _integers, _unequal)


def _finite(n: int, rng: Random, unit: float) -> FiniteSet:
    levels = np.unique(np.round(rng.standard_normal(int(rng.integers(1, 4))), 1) + 0.0)
    if rng.random() < 0.4:
        levels = np.arange(-2.0, 2.0)[: int(rng.integers(2, 5))]
    if rng.random() < 0.3:
        return FiniteSet(Codebook(levels), unit * rng.choice([1.0, 0.3, 0.7], n))
    return FiniteSet(Codebook(levels * unit * float(rng.choice([1.0, 0.3]))))


def _sparse(n: int, rng: Random, unit: float) -> SparseSet:
    return SparseSet(n, int(rng.integers(0, n + 1)))


def _n_of_m(n: int, rng: Random, unit: float) -> NOfMSet:
    group = int(rng.integers(1, 5))
    return NOfMSet(n, int(rng.integers(0, group + 1)), group)


def _boxed(n: int, rng: Random, unit: float) -> BoxedSparseSet:
    ends = unit * np.abs(rng.standard_normal(2)) * rng.choice([0.0, 1.0], 2, p=[0.1, 0.9])
    return BoxedSparseSet(n, int(rng.integers(0, min(n, 3) + 1)), -float(ends[0]), float(ends[1]))


def _joint(n: int, rng: Random, unit: float) -> JointSet:
    grid = _finite(n, rng, unit)
    costs = rng.integers(0, int(rng.integers(1, 5)), len(grid.levels))
    if rng.random() < 0.6:
        costs = np.where(np.arange(len(costs)) == int(rng.integers(len(costs))), 0, 3)
    least, room = n * int(costs.min()), n * int(costs.max() - costs.min())
    return JointSet(n, grid, costs, least + int(rng.integers(0, room + 1)))


SET_MAKERS: dict[str, Callable[[int, Random, float], FeasibleSet]] = {
    "finite": _finite,
    "sparse": _sparse,
    "n_of_m": _n_of_m,
    "boxed-sparse": _boxed,
    "joint": _joint,
}


@cache
def methods() -> tuple[str, ...]:
    """Every registered method that is our own; those that drive a general solver are tested elsewhere."""
    classes = SOLVERS.classes()
    return tuple(name for name, cls in classes.items() if "backends" not in _source(cls))


def _source(cls: type) -> str:
    return inspect.getsource(sys.modules[cls.__module__])


@cache
def provers(kind: str) -> tuple[str, ...]:
    """The methods that prove something of sets of this kind, also with each of their switches turned."""
    rng = np.random.default_rng(0)
    found = set()
    for n in (2, 3, 4, 5):
        problem, feasible = random_problem(n, rng), SET_MAKERS[kind](n, rng, 1.0)
        for name in (variant for method in methods() for variant in _variants(method)):
            if solve(problem, feasible, name).certificate is not None:
                found.add(name)
    return tuple(sorted(found))


def _variants(method: str) -> list[str]:
    switches = [f for f in fields(SOLVERS.get(method)) if isinstance(f.default, bool)]
    return [method, *(f"{method}[{f.name}={str(not f.default).lower()}]" for f in switches)]


def random_proofs(
    rng: Random, largest: int = 6
) -> Iterator[tuple[LayerProblem, FeasibleSet, str, Certificate]]:
    """Yield problems, sets and what each method proves of them, without end; kinds of sets take turns."""
    while True:
        for kind in STORED_SETS.classes():
            n = int(rng.integers(1, largest + 1))
            unit = 10.0 ** float(rng.choice([0, 0, 0, -40, -9, 9, 40]))
            problem, feasible = random_problem(n, rng, unit), SET_MAKERS[kind](n, rng, unit)
            limits = Limits(tolerance=float(rng.choice([1e-1, 1e-3, 1e-6])))
            for method in provers(kind):
                proof = solve(problem, feasible, method, limits).certificate
                if proof is not None:
                    yield problem, feasible, method, proof


def tampered(proof: Certificate, rng: Random) -> Certificate:
    """Return the certificate with one of its numbers or arrays changed, shapes and kinds kept."""
    if isinstance(proof, RelaxedCertificate):
        return replace(proof, inner=tampered(proof.inner, rng))
    names = [field.name for field in fields(proof) if field.name != "problem"]  # type: ignore[arg-type]
    name = names[int(rng.integers(len(names)))]
    return replace(proof, **{name: _changed(getattr(proof, name), rng)})  # type: ignore[type-var]


def _changed(value: Any, rng: Random) -> Any:
    if isinstance(value, np.ndarray):
        return _changed_array(value, rng)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(value, int):
        return value + int(rng.integers(-3, 4))
    return float(value * (1.0 + rng.choice([-1, 1]) * 10.0 ** rng.uniform(-12, 3)))


def _changed_array(values: Any, rng: Random) -> Any:
    """Cut short, read as integers, scaled, noised, permuted, negated, one entry changed, or all replaced."""
    values = values.copy()
    if values.size == 0:
        return values
    if rng.random() < 0.1:
        return values[: int(rng.integers(len(values)))]
    if values.dtype == np.float64 and rng.random() < 0.1:
        return values.view(np.int64)
    if values.dtype.kind in "iu":
        flat = values.reshape(-1)
        if rng.random() < 0.5:
            return rng.permutation(flat).reshape(values.shape)
        flat[int(rng.integers(flat.size))] += int(rng.choice([-2, -1, 1, 2]))
        return values
    if values.dtype.kind == "b":
        values.reshape(-1)[int(rng.integers(values.size))] ^= True
        return values
    size = 10.0 ** rng.uniform(-12, 3)
    typical = float(np.abs(values).mean()) or 1.0
    kind = int(rng.integers(6))
    if kind == 0:
        return values * (1.0 + size)
    if kind == 1:
        return values + size * typical * rng.standard_normal(values.shape)
    if kind == 2:
        return rng.permutation(values.reshape(-1)).reshape(values.shape)
    if kind == 3:
        return -values
    if kind == 4:
        values.reshape(-1)[int(rng.integers(values.size))] *= 1.0 + size
        return values
    return typical * rng.standard_normal(values.shape)


def attacks(
    problem: LayerProblem, feasible: FeasibleSet, proof: Certificate, rng: Random
) -> Iterator[tuple[str, LayerProblem, FeasibleSet, Certificate]]:
    """Yield changed certificates, and the certificate for another problem or another set."""
    for _ in range(4):
        yield "tampered", problem, feasible, tampered(proof, rng)
    yield "tampered twice", problem, feasible, tampered(tampered(proof, rng), rng)
    yield "climbed", problem, feasible, climbed(problem, feasible, proof, rng)
    other = LayerProblem(
        problem.H * float(rng.choice([0.5, 0.9])), problem.w * float(rng.choice([0.9, 1.0, -1.0]))
    )
    yield "other problem", other, feasible, renamed(proof, other)
    yield "other problem, its own name", other, feasible, proof
    kind = STORED_SETS.name_of(feasible)
    scale = float(np.abs(problem.w).max()) or 1.0
    for name in (kind, str(rng.choice(sorted(SET_MAKERS)))):
        yield "other set", problem, SET_MAKERS[name](problem.n, rng, scale), proof
    yield (
        "set of another size",
        problem,
        SET_MAKERS[kind](problem.n + int(rng.integers(1, 3)), rng, scale),
        proof,
    )


def climbed(problem: LayerProblem, feasible: FeasibleSet, proof: Certificate, rng: Random) -> Certificate:
    """Return the best of a random climb to higher bounds, which would find rounding that is not covered."""
    best = proof.bound(problem, feasible)
    for _ in range(20):
        other = tampered(proof, rng)
        bound = other.bound(problem, feasible)
        if bound > best:
            proof, best = other, bound
    return proof


def renamed(proof: Certificate, problem: LayerProblem) -> Certificate:
    """Return the certificate as if it had been made for another problem."""
    if isinstance(proof, RelaxedCertificate):
        return replace(proof, inner=renamed(proof.inner, problem))
    return replace(proof, problem=problem.digest)  # type: ignore[type-var]


def proved(proof: Certificate, problem: LayerProblem, feasible: FeasibleSet) -> float:
    """What a claim and what a check of the certificate may say, the larger."""
    return max(proof.bound(problem, feasible), proof.bound(problem, feasible, CLAIM_SLACK))

"""Laws of every registered method on every kind of set; new methods and sets join by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvq.solvers.catalogue import CATALOGUE, catalogue_problem
from pvq.solvers.certificate_files import Claim, load_claims, save_claims
from pvq.solvers.feasible import STORED_SETS, FeasibleSet, FiniteSet, SparseSet, fit_set
from pvq.solvers.outcome import Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.sets.boxed_sparse import BoxedSparseSet
from pvq.solvers.sets.joint import JointSet
from pvq.solvers.sets.n_of_m import NOfMSet
from pvq.solvers.solver import Limits, Result, solve
from pvq.solvers.verify import check
from pvq.theory.codebook import Codebook

from .cases import SET_MAKERS, methods, provers, random_problem
from .exact import exact_error, exact_optimum

SPECS = {
    "finite": "int[bits=2,group=2]",
    "sparse": "sparse[density=0.4]",
    "n_of_m": "n_of_m[n=1,m=2]",
    "boxed-sparse": "boxed-sparse[density=0.4]",
    "joint": "joint[bits=2,density=0.5]",
}
SHORT = Limits(seconds=5.0)  # no method needs as much on these sizes


def _bound(problem: LayerProblem, feasible: FeasibleSet, method: str, limits: Limits = SHORT) -> float:
    result = solve(problem, feasible, method, limits)
    return result.error_lower or 0.0


def _check(result: Result, problem: LayerProblem, feasible: FeasibleSet) -> None:
    """Lower <= exact <= upper, without any tolerance, and no breakdown."""
    assert result.status is not Status.FAILED, (result.method, result.notes)
    optimum = exact_optimum(problem, feasible)
    assert (result.error_lower or 0.0) <= optimum, result.method
    if result.point is not None:
        assert feasible.contains(result.point)
        assert result.error_upper is not None
        assert exact_error(problem, result.point) <= result.error_upper


def test_every_kind_of_set_is_here() -> None:
    assert set(SPECS) == set(STORED_SETS.classes())


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize("kind", SPECS)
def test_lower_exact_upper(name: str, kind: str) -> None:
    for n in (1, 5):
        problem = catalogue_problem(name, n)
        feasible = fit_set(SPECS[kind], problem.w)
        for method in methods():
            _check(solve(problem, feasible, method, SHORT), problem, feasible)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 10**9), st.integers(1, 4), st.sampled_from([1.0, 1e-40, 1e40]), st.sampled_from([*SPECS])
)
def test_lower_exact_upper_on_nasty_problems(seed: int, n: int, unit: float, kind: str) -> None:
    """Singular, dead, repeated, unequal, condition up to 1e10, H times 1e-100 to 1e100; any set."""
    rng = np.random.default_rng(seed)
    problem, feasible = random_problem(n, rng, unit), SET_MAKERS[kind](n, rng, unit)
    for method in methods():
        _check(solve(problem, feasible, method, SHORT), problem, feasible)


def _scaled(feasible: FeasibleSet, unit: float) -> FeasibleSet:
    """The set of all points times `unit`, a power of two."""
    if isinstance(feasible, FiniteSet):
        scales = None if feasible.scales is None else unit * feasible.scales
        return FiniteSet(Codebook(feasible.levels * (unit if scales is None else 1.0)), scales)
    if isinstance(feasible, JointSet):
        grid = _scaled(feasible.grid, unit)
        assert isinstance(grid, FiniteSet)
        return replace(feasible, grid=grid)
    if isinstance(feasible, BoxedSparseSet):
        return replace(feasible, low=unit * feasible.low, high=unit * feasible.high)
    return feasible


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("name", ["conv", "dead-inputs"])
def test_powers_of_two_change_units_and_nothing_else(name: str, kind: str) -> None:
    """H times 4^a and everything else times 2^b: all floats of a method that normalises are the same."""
    problem = catalogue_problem(name, 6)
    feasible = fit_set(SPECS[kind], problem.w)
    for h, unit in ((4.0**20, 2.0**-30), (4.0**-15, 1.0)):
        other = LayerProblem(problem.H * h, problem.w * unit)
        for method in methods():
            one = solve(problem, feasible, method, SHORT)
            two = solve(other, _scaled(feasible, unit), method, SHORT)
            assert one.status is two.status, method
            for a, b in ((one.error_lower, two.error_lower), (one.error_upper, two.error_upper)):
                noise = 1e-9 * problem.signal * h * unit**2
                assert (b or 0.0) == pytest.approx((a or 0.0) * h * unit**2, rel=1e-3, abs=noise), method


@pytest.mark.parametrize("kind", ["finite", "sparse", "boxed-sparse", "joint"])
@pytest.mark.parametrize("name", ["conv", "repeated-columns"])
def test_order_of_the_weights_does_not_matter_to_bounds(name: str, kind: str) -> None:
    problem = catalogue_problem(name, 8)
    spec = SPECS[kind].replace(",group=2", "")
    order = np.random.default_rng(1).permutation(problem.n)
    other = LayerProblem(problem.H[np.ix_(order, order)], problem.w[order])
    for method in provers(kind):
        one, two = (_bound(p, fit_set(spec, problem.w), method) for p in (problem, other))
        assert two == pytest.approx(one, rel=2e-2, abs=1e-9 * problem.signal), method


def _chains(problem: LayerProblem) -> dict[str, Sequence[FeasibleSet]]:
    """Sets that shrink, from the largest."""
    n, grid = problem.n, fit_set("int[bits=3]", problem.w)
    assert isinstance(grid, FiniteSet)
    costs = np.where(grid.levels == 0, 0, 3)
    return {
        "finite": [grid, *(FiniteSet(Codebook(grid.levels[::step])) for step in (2, 4))],
        "sparse": [SparseSet(n, k) for k in range(n, -1, -1)],
        "n_of_m": [NOfMSet(n, kept, 4) for kept in range(4, -1, -1)],
        "boxed-sparse": [
            BoxedSparseSet(n, k, -b, b) for k, b in ((n, 9.0), (n // 2, 9.0), (n // 2, 1.0), (2, 0.5))
        ],
        "joint": [JointSet(n, grid, costs, budget) for budget in range(3 * n, -1, -5)],
    }


# Park and Boyd's inequality is about the two levels next to each weight, which a smaller set may move apart:
# then points outside that gap are cut off less.
NOT_MONOTONE = {"sdp"}


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("name", ["conv", "condition-1e2", "rank-deficient"])
def test_bounds_never_fall_as_the_set_shrinks(name: str, kind: str) -> None:
    problem = catalogue_problem(name, 8)
    for method in set(provers(kind)) - NOT_MONOTONE:
        results = [solve(problem, feasible, method, SHORT) for feasible in _chains(problem)[kind]]
        for larger, smaller in pairwise(results):
            exact = smaller.status is larger.status is Status.OPTIMAL
            assert (smaller.error_lower or 0.0) >= (larger.error_lower or 0.0) * (
                1 - (1e-8 if exact else 1e-2)
            ), (
                method,
                larger.status,
                smaller.status,
            )


@pytest.mark.parametrize("kind", SPECS)
def test_stored_claims_are_accepted_and_larger_ones_are_not(
    kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    problem = catalogue_problem("conv", 6)
    feasible = fit_set(SPECS[kind], problem.w)
    for method in provers(kind):
        result = solve(problem, feasible, method, SHORT)
        if result.certificate is None:
            continue
        path = save_claims(tmp_path_factory.mktemp("claims") / "one", [Claim.of(problem, feasible, result)])
        (claim,) = load_claims(path)
        assert check(claim) >= claim.value == result.error_lower
        with pytest.raises(Exception, match="claims"):
            check(replace(claim, value=(claim.value + 1e-9 * problem.signal) * (1 + 1e-3)))


@pytest.mark.parametrize("kind", SPECS)
def test_methods_are_deterministic(kind: str) -> None:
    problem = catalogue_problem("condition-1e6", 7)
    feasible = fit_set(SPECS[kind], problem.w)
    for method in methods():
        one, two = (solve(problem, feasible, method, SHORT) for _ in range(2))
        assert (one.error_lower, one.error_upper) == (two.error_lower, two.error_upper), method
        assert one.iterations == two.iterations, method


STRONGER = [
    ("finite", "hull", "sdp"),
    ("joint", "joint-bound", "joint-bound[relaxations=false]"),
]


@pytest.mark.parametrize(("kind", "stronger", "weaker"), STRONGER)
@pytest.mark.parametrize("name", CATALOGUE)
def test_more_inequalities_give_no_less(kind: str, stronger: str, weaker: str, name: str) -> None:
    problem = catalogue_problem(name, 10)
    spec = SPECS[kind].replace(",group=2", "")
    high, low = (_bound(problem, fit_set(spec, problem.w), method) for method in (stronger, weaker))
    assert high >= low * (1 - 1e-3) - 1e-7 * problem.signal  # below that no bound is worth its steps


@pytest.mark.parametrize("kind", SPECS)
def test_no_time_still_gives_a_bound(kind: str) -> None:
    problem = catalogue_problem("conv", 9)
    feasible = fit_set(SPECS[kind], problem.w)
    for method in provers(kind):
        result = solve(problem, feasible, method, Limits(seconds=0.0))
        assert result.error_lower is not None, method
        assert result.status in (Status.TIME_LIMIT, Status.BOUND, Status.OPTIMAL), (method, result.status)

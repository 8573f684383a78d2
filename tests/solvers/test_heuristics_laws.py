"""Laws of every upper-bound method: feasible, never below the optimum, repeatable, alone as in company."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvq.solvers.catalogue import CATALOGUE, brute_force, catalogue_problem
from pvq.solvers.feasible import FeasibleSet, FiniteSet, fit_rows, fit_set
from pvq.solvers.outcome import Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.sets.boxed_sparse import BoxedSparseSet
from pvq.solvers.sets.joint import JointSet
from pvq.solvers.sets.n_of_m import NOfMSet
from pvq.solvers.solver import SOLVERS, Limits, RowsSolver, solve, solve_layer
from pvq.theory.codebook import Codebook

METHODS = {
    "finite": [
        "nearest",
        "coordinate-descent",
        "gptq[order=best]",
        "gptq[damping=0,descent=true]",
        "obq",
        "obq[outliers=false,descent=true]",
        "adaround[iterations=60]",
        "adaround[iterations=60,descent=true]",
        "randomized[samples=8]",
        "local-search[kicks=9]",
        "local-search[kicks=0,starts=obq]",
    ],
    "supports": [
        "magnitude",
        "magnitude-refit",
        "obs",
        "sparsegpt[block=5]",
        "sparsegpt[refit=true]",
        "admm",
        "swap[kicks=0]",
        "swap[kicks=5,starts=admm]",
        "swap[kicks=5]",
    ],
    "joint": ["joint-obc", "joint-obc[descent=true]", "joint-alternating"],
}
SETS = {
    "finite": [
        "int[bits=2]",
        "levels[-1;0.1;1]",
        "levels[0.5]",
        "int[bits=3,group=3]",
        "int[bits=2,per=row]",
        "int[bits=2,grid=mid-rise,group=2]",
    ],
    "supports": [
        "sparse[k=0]",
        "sparse[k=1]",
        "sparse[density=0.5]",
        "sparse[density=1]",
        "n_of_m[n=2,m=4]",
        "n_of_m[n=1,m=3]",
        "n_of_m[n=0,m=2]",
        "boxed-sparse[density=0.5]",
        "boxed-sparse[density=0.6,low=-0.3,high=0.2]",
    ],
    "joint": ["joint[bits=2,budget=1]", "joint[bits=3,density=0.4]", "joint[bits=2,density=0.6,group=3]"],
}
TYPICAL = {
    "finite": ["int[bits=2]", "int[bits=3,group=3]"],
    "supports": ["sparse[density=0.5]", "n_of_m[n=2,m=4]", "boxed-sparse[density=0.5]"],
    "joint": SETS["joint"],
}
PAIRS = [(camp, method) for camp, methods in METHODS.items() for method in methods]


def rows_of(name: str, n: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return H of a catalogue problem and several rows of weights of unequal size."""
    rng = np.random.default_rng(n)
    problem = catalogue_problem(name, n)
    return problem.H, np.vstack(
        [problem.w, rng.standard_normal((rows - 1, n)) * 10.0 ** np.arange(rows - 1)[:, None]]
    )


@cache
def optimum_of(name: str, n: int, spec: str) -> float:
    """Return the least error of a catalogue problem over a set."""
    problem = catalogue_problem(name, n)
    return brute_force(problem, fit_set(spec, problem.w))[0]


def noise_of(problem: LayerProblem, feasible: FeasibleSet) -> float:
    """Return what float64 may lose in the error of a point of the set."""
    largest = np.abs(problem.w).max() + np.abs(feasible.nearest(problem.w)).max() + 1e-300
    return float(1e-13 * problem.n * problem.H.max() * largest**2)


@pytest.mark.parametrize(("camp", "method"), PAIRS)
@pytest.mark.parametrize("n", [1, 2, 5])
def test_points_are_feasible_and_never_below_the_optimum(camp: str, method: str, n: int) -> None:
    for name in CATALOGUE:
        problem = catalogue_problem(name, n)
        for spec in SETS[camp]:
            feasible = fit_set(spec, problem.w)
            result = solve(problem, feasible, method)
            assert result.status in (Status.FEASIBLE, Status.OPTIMAL), (name, spec, result.notes)
            assert result.error_upper is not None
            floor = optimum_of(name, n, spec) * (1 - 1e-10) - noise_of(problem, feasible)
            assert result.error_upper >= floor, (name, spec)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.data())
def test_nasty_problems_do_no_harm(seed: int, n: int, data: st.DataObject) -> None:
    """Small integers with repeats, zeros and ties, in units from 1e-40 to 1e40, and sets of every kind."""
    rng = np.random.default_rng(seed)
    entries = st.lists(st.integers(-2, 2), min_size=n, max_size=n)
    X = np.array(data.draw(st.lists(entries, min_size=1, max_size=5)), dtype=float)
    w = np.array(data.draw(entries), dtype=float) + data.draw(st.sampled_from([0.0, 0.5, 0.3]))
    h, s = (10.0 ** data.draw(st.integers(-40, 40)) for _ in range(2))
    problem = LayerProblem(h * (X.T @ X), s * w)
    levels = np.unique(rng.integers(-3, 4, 3)).astype(float)
    grid = FiniteSet(Codebook(levels), s * rng.choice([1.0, 0.5, 3.0], n))
    costs = rng.integers(0, 3, len(levels))
    sets: dict[str, list[FeasibleSet]] = {
        "finite": [grid, FiniteSet(Codebook(s * levels))],
        "supports": [NOfMSet(n, seed % 2, 2), BoxedSparseSet(n, seed % (n + 1), -0.4 * s, s)],
        "joint": [JointSet(n, grid, costs, n * int(costs.min()) + seed % 4)],
    }
    for camp, method in PAIRS:
        for feasible in sets[camp]:
            result = solve(problem, feasible, method)
            assert result.status is not Status.FAILED, (method, result.notes)
            assert result.error_upper is not None
            optimum = brute_force(problem, feasible)[0]
            assert result.error_upper >= optimum * (1 - 1e-9) - noise_of(problem, feasible), method


@pytest.mark.parametrize(("camp", "method"), PAIRS)
@pytest.mark.parametrize("name", ["conv", "dead-inputs", "rank-deficient"])
def test_rows_at_once_are_the_rows_alone_and_runs_repeat(camp: str, method: str, name: str) -> None:
    """Twenty weights and three rows of very different size; rounding of products turns no decision."""
    H, W = rows_of(name, 20, 3)
    for spec in SETS[camp][::2]:
        sets = fit_rows(spec, W)
        together, again = (solve_layer(H, W, spec, method) for _ in range(2))
        for w, chosen, one, two in zip(W, sets, together, again, strict=True):
            alone = solve(LayerProblem(H, w), chosen, method)
            np.testing.assert_array_equal(one.point, two.point)
            assert alone.error_upper == pytest.approx(one.error_upper, rel=1e-6)
            if isinstance(SOLVERS.build(method), RowsSolver):
                np.testing.assert_allclose(one.point, alone.point, rtol=1e-9, atol=1e-9 * np.abs(w).max())


@pytest.mark.parametrize(
    ("better", "worse", "camp"),
    [
        ("coordinate-descent", "nearest", "finite"),
        ("gptq[descent=true]", "gptq", "finite"),
        ("gptq[order=best]", "gptq", "finite"),
        ("obq[descent=true]", "obq", "finite"),
        ("adaround[iterations=99]", "nearest", "finite"),
        ("adaround[iterations=99,descent=true]", "coordinate-descent", "finite"),
        ("randomized[samples=8]", "hull", "finite"),
        ("randomized[samples=40]", "randomized[samples=8]", "finite"),
        ("local-search[kicks=9,starts=gptq;obq]", "gptq", "finite"),
        ("local-search[kicks=9,starts=gptq;obq]", "obq[descent=true]", "finite"),
        ("magnitude-refit", "magnitude", "supports"),
        ("sparsegpt[refit=true]", "sparsegpt", "supports"),
        ("swap[kicks=9]", "obs", "supports"),
        ("swap[kicks=9]", "admm", "supports"),
        ("joint-obc[descent=true]", "joint-obc", "joint"),
        ("joint-alternating", "joint-obc", "joint"),
    ],
)
def test_what_promises_to_be_better_is(better: str, worse: str, camp: str) -> None:
    for name in CATALOGUE:
        problem = catalogue_problem(name, 24)
        for spec in TYPICAL[camp]:
            feasible = fit_set(spec, problem.w)
            low, high = (solve(problem, feasible, method).error_upper for method in (better, worse))
            assert low is not None
            assert high is not None
            assert low <= high * (1 + 1e-9) + noise_of(problem, feasible), (name, spec)


@pytest.mark.parametrize(("camp", "method"), PAIRS)
def test_no_time_still_gives_a_point(camp: str, method: str) -> None:
    problem = catalogue_problem("conv", 27)
    for spec in (SETS[camp][0], SETS[camp][-1]):
        result = solve(problem, spec, method, Limits(seconds=0.0))
        assert result.status in (Status.TIME_LIMIT, Status.FEASIBLE)
        assert result.error_upper is not None


@pytest.mark.parametrize(("camp", "method"), PAIRS)
def test_other_camps_are_refused_with_advice(camp: str, method: str) -> None:
    problem = catalogue_problem("conv", 9)
    for other in set(SETS) - {camp}:
        result = solve(problem, SETS[other][0], method)
        assert result.status is Status.REFUSED
        assert "use" in result.notes


def test_seeds_alone_decide_draws() -> None:
    problem = catalogue_problem("condition-1e6", 40)
    for spec, method in (
        ("sparse[k=10]", "swap[kicks=3]"),
        ("int[bits=3]", "randomized[samples=2]"),
        ("int[bits=3]", "local-search[kicks=3,starts=nearest]"),
    ):
        points = [solve(problem, spec, method, Limits(seed=seed)).point for seed in (0, 0, 1, 2, 3, 4, 5)]
        np.testing.assert_array_equal(points[0], points[1])
        assert any(not np.array_equal(points[0], point) for point in points[2:])

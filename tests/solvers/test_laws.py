"""Laws that every method obeys, against brute force and under changes of units."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvq.solvers.catalogue import CATALOGUE, brute_force, catalogue_problem
from pvq.solvers.feasible import FeasibleSet, FiniteSet, SparseSet, fit_set
from pvq.solvers.outcome import Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits, Result, solve
from pvq.theory.codebook import Codebook

REFERENCES = ("cvxpy-sdp", "gurobi", "scip")  # general solvers: tests/solvers/test_references.py
METHODS = [name for name in SOLVERS.classes() if name not in REFERENCES]
SETS = [
    "int[bits=2]",
    "levels[-1;0;1]",
    "levels[0.5]",
    "levels[-1;1]",
    "sparse[k=0]",
    "sparse[k=1]",
    "sparse[density=0.5]",
]
BOUNDS = {"finite": ("hull", "sdp"), "sparse": ("perspective",)}
ROUNDING = 1e-12


def _optimum(problem: LayerProblem, feasible: FeasibleSet) -> float:
    return brute_force(problem, feasible)[0]


def _check(result: Result, problem: LayerProblem, feasible: FeasibleSet, optimum: float) -> None:
    """Lower <= optimum <= upper, up to what float64 lost in the brute-force optimum itself."""
    lower = result.error_lower or 0.0
    largest = np.abs(problem.w).max() + (
        np.abs(feasible.levels).max() if isinstance(feasible, FiniteSet) else 0.0
    )
    noise = 1e-15 * problem.n * problem.H.max() * largest**2
    assert 0.0 <= lower <= optimum * (1 + ROUNDING) + noise
    if result.error_upper is not None:
        assert result.point is not None
        assert feasible.contains(result.point)
        assert result.error_upper >= optimum * (1 - ROUNDING) - noise
    if result.certified:
        assert lower > 0
        assert result.certificate is not None
        assert result.certificate.bound(problem, feasible) >= lower
    if result.gap_db is not None:
        assert result.gap_db == pytest.approx(result.snr_at_most_db - result.snr_achieved_db)
        assert result.gap_db >= -1e-9


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_lower_optimum_upper(name: str, n: int) -> None:
    problem = catalogue_problem(name, n)
    for spec in SETS:
        feasible = fit_set(spec, problem.w)
        optimum = _optimum(problem, feasible)
        for method in METHODS:
            result = solve(problem, feasible, method)
            assert result.status is not Status.FAILED, (spec, method, result.notes)
            _check(result, problem, feasible, optimum)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.data())
def test_lower_optimum_upper_on_nasty_problems(seed: int, n: int, data: st.DataObject) -> None:
    """Small integers with repeats, zeros and ties, and scales from 1e-40 to 1e40."""
    entries = st.lists(st.integers(-2, 2), min_size=n, max_size=n)
    X = np.array(data.draw(st.lists(entries, min_size=1, max_size=5)), dtype=float)
    w = np.array(data.draw(entries), dtype=float) + data.draw(st.sampled_from([0.0, 0.5, 0.3]))
    h, s = (10.0 ** data.draw(st.integers(-40, 40)) for _ in range(2))
    problem = LayerProblem(h * (X.T @ X), s * w)
    levels = np.unique(np.random.default_rng(seed).integers(-3, 4, 3)).astype(float)
    sets: list[FeasibleSet] = [FiniteSet(Codebook(s * levels)), SparseSet(n, seed % (n + 1))]
    for feasible in sets:
        optimum = _optimum(problem, feasible)
        for method in METHODS:
            result = solve(problem, feasible, method)
            assert result.status is not Status.FAILED
            _check(result, problem, feasible, optimum)


@pytest.mark.parametrize(
    ("spec", "camp"), [("levels[-1.5;-0.5;0.5;1.5]", "finite"), ("sparse[k=4]", "sparse")]
)
def test_units_only_scale_the_bound(spec: str, camp: str) -> None:
    """H -> c H gives c times the bound; w and levels -> c times gives c^2 times."""
    problem = catalogue_problem("conv", 18)
    feasible = fit_set(spec, problem.w)
    for method in BOUNDS[camp]:
        base = solve(problem, feasible, method).error_lower
        louder = solve(LayerProblem(4.0 * problem.H, problem.w), feasible, method).error_lower
        wide = FiniteSet(Codebook(8.0 * feasible.levels)) if isinstance(feasible, FiniteSet) else feasible
        wider = solve(LayerProblem(problem.H, 8.0 * problem.w), wide, method).error_lower
        assert base is not None
        assert louder == pytest.approx(4.0 * base, rel=1e-6)
        assert wider == pytest.approx(64.0 * base, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-70, 1e-20, 1e20, 1e70])
@pytest.mark.parametrize(("spec", "camp"), [("int[bits=2]", "finite"), ("sparse[k=4]", "sparse")])
def test_extreme_units(scale: float, spec: str, camp: str) -> None:
    problem = catalogue_problem("conv", 12)
    moved = LayerProblem(problem.H / scale**2, problem.w * scale)
    for method in BOUNDS[camp]:
        base, result = solve(problem, spec, method), solve(moved, spec, method)
        assert result.certified
        assert result.error_lower == pytest.approx(base.error_lower, rel=2e-3)


@pytest.mark.parametrize(("spec", "camp"), [("int[bits=3]", "finite"), ("sparse[k=4]", "sparse")])
def test_order_of_weights_does_not_matter(spec: str, camp: str) -> None:
    problem = catalogue_problem("conv", 18)
    order = np.random.default_rng(0).permutation(18)
    shuffled = LayerProblem(problem.H[np.ix_(order, order)], problem.w[order])
    for method in BOUNDS[camp]:
        one, two = solve(problem, spec, method), solve(shuffled, spec, method)
        assert one.error_lower == pytest.approx(two.error_lower, rel=2e-3)


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name != "condition-1e10"])
@pytest.mark.parametrize("bits", [2, 4])
def test_hull_is_at_least_the_sdp(name: str, bits: int) -> None:
    problem = catalogue_problem(name, 24)
    limits = Limits(tolerance=1e-5)
    feasible = fit_set(f"int[bits={bits}]", problem.w)
    hull, sdp = (solve(problem, feasible, method, limits).error_lower for method in ("hull", "sdp"))
    assert hull is not None
    assert sdp is not None
    assert hull >= sdp * (1 - 1e-4) - 1e-9 * problem.signal


def test_more_freedom_lowers_the_bound() -> None:
    problem = catalogue_problem("conv", 18)
    bounds = [solve(problem, f"sparse[k={k}]", "perspective").error_lower for k in range(19)]
    assert all(a is not None and b is not None and a >= b * (1 - 1e-2) for a, b in itertools.pairwise(bounds))
    assert bounds[0] == pytest.approx(problem.signal, rel=1e-9)
    assert bounds[18] == 0.0


def test_tolerance_tightens_and_time_limit_still_bounds() -> None:
    problem = catalogue_problem("conv", 36)
    for spec, method in (("int[bits=2]", "hull"), ("sparse[k=9]", "perspective")):
        loose, tight = (solve(problem, spec, method, Limits(tolerance=t)) for t in (0.3, 1e-6))
        assert loose.error_lower is not None
        assert tight.error_lower is not None
        assert 0 < loose.error_lower <= tight.error_lower * (1 + 1e-9)
        stopped = solve(problem, spec, method, Limits(seconds=0.0))
        assert stopped.status is Status.TIME_LIMIT
        assert stopped.error_lower is not None
        assert 0 <= stopped.error_lower <= tight.error_lower * (1 + 1e-9)
        assert stopped.error_upper is not None


def test_slightly_indefinite_grams_get_harmless_bounds() -> None:
    """Rounding left H indefinite, and clearly so once its diagonal is scaled to 1; no bound above 0 holds."""
    problem = LayerProblem(np.array([[1.0, 1e-4], [1e-4, 1e-9]]), np.array([0.3, 0.4]))
    for spec in ("levels[-1;0;1]", "sparse[k=1]"):
        feasible = fit_set(spec, problem.w)
        for method in METHODS:
            _check(solve(problem, feasible, method), problem, feasible, _optimum(problem, feasible))


def test_methods_are_deterministic() -> None:
    problem = catalogue_problem("conv", 18)
    for spec in ("int[bits=2]", "sparse[k=4]"):
        for method in METHODS:
            one, two = solve(problem, spec, method), solve(problem, spec, method)
            assert (one.error_lower, one.error_upper) == (two.error_lower, two.error_upper)


@pytest.mark.parametrize(
    ("better", "worse", "spec"),
    [
        ("coordinate-descent", "nearest", "int[bits=3]"),
        ("gptq[order=best]", "gptq[order=natural]", "int[bits=3]"),
        ("gptq[descent=true]", "gptq", "int[bits=3]"),
        ("magnitude-refit", "magnitude", "sparse[density=0.5]"),
        ("swap", "obs", "sparse[density=0.5]"),
    ],
)
@pytest.mark.parametrize("name", CATALOGUE)
def test_improvements_improve(better: str, worse: str, spec: str, name: str) -> None:
    problem = catalogue_problem(name, 20)
    low, high = (solve(problem, spec, method).error_upper for method in (better, worse))
    assert low is not None
    assert high is not None
    assert low <= high * (1 + 1e-9) + 1e-13 * problem.signal


def test_diagonal_problems_are_solved_by_rounding_and_bounded_tightly() -> None:
    """Uncorrelated inputs: nearest, and the k largest H_ii w_i^2, are optimal, and both bounds reach them."""
    problem = catalogue_problem("diagonal", 30)
    for spec, method, bound in (("int[bits=3]", "nearest", "hull"), ("sparse[k=8]", "obs", "perspective")):
        best = solve(problem, spec, method).error_upper
        result = solve(problem, spec, bound, Limits(tolerance=1e-6))
        assert result.error_lower == pytest.approx(best, rel=1e-5)
        assert result.certified


@pytest.mark.parametrize("w", [-0.5, 0.0, 0.3, 1.4, 1.5, 3.0])
def test_two_levels_converge_wherever_the_weights_lie(w: float) -> None:
    """Weights that do not interact: the bound is the optimum, beyond the ends as between them."""
    problem = LayerProblem(np.diag([1.0, 2.0]), np.full(2, w))
    result = solve(problem, "levels[1;2]", "hull")
    assert result.status in (Status.BOUND, Status.OPTIMAL)
    assert result.error_lower == pytest.approx(3 * min((1 - w) ** 2, (2 - w) ** 2), rel=1e-2)

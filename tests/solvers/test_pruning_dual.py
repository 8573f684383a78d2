"""Dual bounds of pruning in groups, in boxes and with blocks: laws against brute force and each other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pvq.solvers.catalogue import CATALOGUE, brute_force, catalogue_problem
from pvq.solvers.feasible import FeasibleSet, SparseSet, fit_set
from pvq.solvers.outcome import Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.sets.boxed_sparse import BoxedSparseSet
from pvq.solvers.sets.n_of_m import NOfMSet
from pvq.solvers.solver import Limits, solve

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

"""Exact pruning: the optimum of every set, its limits, and its tree on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pvq.arrays import F64
from pvq.errors import PvqError
from pvq.solvers.catalogue import CATALOGUE, brute_force, catalogue_problem, power_law
from pvq.solvers.feasible import FeasibleSet, fit_set
from pvq.solvers.methods.prune_exact import PruneOptions, exact_sparse
from pvq.solvers.outcome import Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import Limits

N = 7
SPECS = [
    "sparse[k=0]",
    "sparse[k=2]",
    "sparse[k=5]",
    "n_of_m[n=2,m=4]",
    "n_of_m[n=1,m=3]",
    "boxed-sparse[k=3]",
    "boxed-sparse[k=3,low=-0.5,high=0.7]",
    "boxed-sparse[k=2,low=0,high=1]",
]
PROVED_TO = {"condition-1e6": 1e-7, "condition-1e10": 1.0}  # 1e-9 elsewhere; limited by rounding here


def _lower(problem: LayerProblem, feasible: FeasibleSet, options: PruneOptions | None = None) -> float:
    certificate = exact_sparse(problem, feasible, Limits(), options).certificate
    return 0.0 if certificate is None else certificate.bound(problem, feasible, 2.0)


def _hard(n: int, seed: int = 0) -> LayerProblem:
    rng = np.random.default_rng(seed)
    return LayerProblem(power_law(n, 1e3, rng), rng.standard_normal(n))


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize("spec", SPECS)
def test_the_optimum_is_found_and_proved(name: str, spec: str) -> None:
    """Against every support; where H is singular in floating point, the point is good and unproved."""
    problem = catalogue_problem(name, N, seed=3)
    feasible = fit_set(spec, problem.w)
    best = brute_force(problem, feasible)[0]
    outcome = exact_sparse(problem, feasible, Limits())
    assert outcome.point is not None
    assert feasible.contains(outcome.point)
    lower = 0.0 if outcome.certificate is None else outcome.certificate.bound(problem, feasible, 2.0)
    assert lower <= best * (1 + 1e-12)
    if name not in ("rank-deficient", "repeated-columns"):
        assert problem.error(outcome.point) <= best * (1 + 1e-9) + 1e-13 * problem.signal
        if best > 1e-12 * problem.signal:
            assert outcome.status == Status.BOUND
            assert lower >= best * (1 - PROVED_TO.get(name, 1e-9))


@pytest.mark.parametrize("spec", ["sparse[k=4]", "n_of_m[n=2,m=4]", "boxed-sparse[k=4]"])
def test_ties_are_all_looked_at(spec: str) -> None:
    """All weights and correlations equal: every support has the same error, that of the first one."""
    problem = LayerProblem(0.5 * np.eye(N) + 0.5, np.ones(N))
    feasible = fit_set(spec, problem.w)
    best = brute_force(problem, feasible)[0]
    assert _lower(problem, feasible) == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("name", ["conv", "unequal"])
@pytest.mark.parametrize("spec", SPECS[1:6])
def test_optimum_scales_with_h_and_w(name: str, spec: str) -> None:
    """Powers of ten, so that nothing scales exactly."""
    problem = catalogue_problem(name, N, seed=1)
    scaled = LayerProblem(problem.H * 1e40, problem.w * 1e-30)
    once, again = (_lower(p, fit_set(spec, p.w)) for p in (problem, scaled))
    assert again * 1e20 == pytest.approx(once, rel=1e-7)


def test_optimum_is_the_same_in_any_order() -> None:
    problem, order = _hard(24), np.random.default_rng(2).permutation(24)
    turned = LayerProblem(problem.H[np.ix_(order, order)], problem.w[order])
    feasible = fit_set("sparse[k=8]", problem.w)
    assert _lower(turned, feasible) == pytest.approx(_lower(problem, feasible), rel=1e-8)


@pytest.mark.parametrize(
    ("n", "density", "seed", "optimum"),
    [(32, 0.5, 0, 0.0055484321), (32, 0.25, 1, 0.031026829), (32, 0.125, 1, 0.086183326)],
)
def test_optimum_agrees_with_another_program(n: int, density: float, seed: int, optimum: float) -> None:
    """Condition 1e3; the numbers come from an independent depth-first program that enumerates small parts."""
    rng = np.random.default_rng([seed, n])
    problem = LayerProblem(power_law(n, 1e3, rng), rng.standard_normal(n))
    assert _lower(problem, fit_set(f"sparse[density={density}]", problem.w)) == pytest.approx(
        optimum, rel=1e-7
    )


def test_a_better_point_than_the_first_is_found() -> None:
    """Without kicks and with a poor start the search itself must find the optimum (condition 1e5)."""
    rng = np.random.default_rng([1, 32])
    problem = LayerProblem(power_law(32, 1e5, rng), rng.standard_normal(32))
    feasible = fit_set("sparse[k=8]", problem.w)
    outcome = exact_sparse(problem, feasible, Limits(), PruneOptions(kicks=0))
    assert outcome.point is not None
    assert problem.error(outcome.point) == pytest.approx(0.00074745035, rel=1e-7)


def test_limits_leave_two_proved_bounds() -> None:
    problem = _hard(48, seed=1)
    feasible = fit_set("sparse[density=0.25]", problem.w)
    bounds: list[float] = []
    for nodes in (0, 1, 10, 10**6):
        outcome = exact_sparse(problem, feasible, Limits(), PruneOptions(nodes=nodes))
        assert outcome.point is not None
        assert outcome.certificate is not None
        bounds.append(outcome.certificate.bound(problem, feasible))
        upper = problem.error_upper(outcome.point)
        assert bounds[-1] <= upper
        assert outcome.status == (Status.BOUND if nodes == 10**6 else Status.ITERATION_LIMIT)
    assert bounds == sorted(bounds)
    assert bounds[0] == 0.0
    assert bounds[1] > 0.5 * upper
    assert bounds[-1] > upper * (1 - 1e-9)


def test_no_time_is_a_time_limit() -> None:
    problem = _hard(24)
    outcome = exact_sparse(problem, fit_set("sparse[k=8]", problem.w), Limits(seconds=0.0))
    assert outcome.status == Status.TIME_LIMIT
    assert outcome.point is not None


@pytest.mark.parametrize("spec", ["sparse[density=0.25]", "n_of_m[n=2,m=4]", "boxed-sparse[density=0.25]"])
def test_a_stopped_search_is_taken_up_again(tmp_path: Path, spec: str) -> None:
    problem = _hard(32, seed=4)
    feasible, path = fit_set(spec, problem.w), tmp_path / "tree.npz"
    whole = exact_sparse(problem, feasible, Limits())
    for nodes in (2, 5, 10**6):
        outcome = exact_sparse(problem, feasible, Limits(), PruneOptions(nodes=nodes, resume=str(path)))
    assert whole.certificate is not None
    assert outcome.certificate is not None
    assert outcome.iterations == whole.iterations > 2
    for name, values in whole.certificate.arrays().items():
        assert np.array_equal(values, outcome.certificate.arrays()[name]), name
    assert [file.name for file in tmp_path.iterdir()] == ["tree.npz"]


def test_a_tree_is_taken_up_only_for_its_own_problem(tmp_path: Path) -> None:
    problem, path = _hard(12), tmp_path / "tree.npz"
    options = PruneOptions(nodes=1, resume=str(path))
    exact_sparse(problem, fit_set("sparse[k=4]", problem.w), Limits(), options)
    with pytest.raises(PvqError, match="another problem"):
        exact_sparse(problem, fit_set("sparse[k=5]", problem.w), Limits(), options)
    with pytest.raises(PvqError, match="another problem"):
        exact_sparse(_hard(12, seed=9), fit_set("sparse[k=4]", problem.w), Limits(), options)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(PvqError):
        exact_sparse(problem, fit_set("sparse[k=4]", problem.w), Limits(), options)


def test_the_same_seed_gives_the_same_tree() -> None:
    problem = _hard(24, seed=5)
    feasible = fit_set("sparse[k=6]", problem.w)
    first, second = (exact_sparse(problem, feasible, Limits(seed=3)).certificate for _ in range(2))
    assert first is not None
    assert second is not None
    for name, values in first.arrays().items():
        assert np.array_equal(values, second.arrays()[name]), name


@pytest.mark.parametrize("w", [np.zeros(6), np.array([1.0, 0, 0, 0, 0, 0])])
def test_nothing_to_prove_is_no_failure(w: F64) -> None:
    problem = LayerProblem(power_law(6, 10.0, np.random.default_rng(0)), w)
    outcome = exact_sparse(problem, fit_set("sparse[k=1]", w), Limits())
    assert outcome.point is not None
    assert problem.error(outcome.point) == 0.0


@pytest.mark.parametrize("H", [np.zeros((3, 3)), np.diag([1.0, 0.0, 0.0]), np.ones((3, 3))])
@pytest.mark.parametrize("spec", ["sparse[k=1]", "n_of_m[n=0,m=2]", "boxed-sparse[k=2,low=0,high=0]"])
def test_degenerate_problems_end_without_a_traceback(H: F64, spec: str) -> None:
    problem = LayerProblem(H, np.array([1.0, -2.0, 0.5]))
    feasible = fit_set(spec, problem.w)
    best = brute_force(problem, feasible)[0]
    outcome = exact_sparse(problem, feasible, Limits())
    assert outcome.point is not None
    assert feasible.contains(outcome.point)
    if outcome.certificate is not None:
        assert outcome.certificate.bound(problem, feasible) <= best * (1 + 1e-12)


@pytest.mark.parametrize("wrong", [{"nodes": -1}, {"kicks": -1}])
def test_options_are_checked(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        PruneOptions(**wrong)  # type: ignore[arg-type]

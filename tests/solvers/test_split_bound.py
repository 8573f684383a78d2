"""Laws of the bound with cuts across weights, and its engine against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from pvq.arrays import F64
from pvq.solvers._dual.split_cuts import Directions, Kind, SplitCuts
from pvq.solvers._dual.split_kernels import newton_matrix
from pvq.solvers._dual.split_path import SplitPath, _evaluate, _slope
from pvq.solvers._dual.split_search import SplitSearch
from pvq.solvers.catalogue import CATALOGUE, brute_force, catalogue_problem, power_law
from pvq.solvers.certificates.split import SplitCertificate
from pvq.solvers.feasible import SparseSet, fit_set
from pvq.solvers.outcome import Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits, solve

N = 7


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize("spec", ["int[bits=2]", "int[bits=2,grid=mid-rise]", "levels[-1;0;1]"])
def test_bound_lies_between_hull_and_optimum(name: str, spec: str) -> None:
    problem = catalogue_problem(name, N)
    feasible = fit_set(spec, problem.w)
    optimum = brute_force(problem, feasible)[0]
    hull, cuts = (solve(problem, feasible, method) for method in ("hull", "hull-cuts"))
    assert hull.error_lower is not None
    assert cuts.error_lower is not None
    assert cuts.error_upper is not None
    assert hull.error_lower <= cuts.error_lower <= optimum * (1 + 1e-9) <= cuts.error_upper * (1 + 2e-9)


def test_cuts_close_a_third_of_the_gap_that_the_hull_leaves() -> None:
    """n = 9, condition 100, three levels: mean share of the gap to the exact optimum over five seeds."""
    shares = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        problem = LayerProblem(power_law(9, 100.0, rng), rng.standard_normal(9))
        feasible = fit_set("int[bits=2,grid=symmetric]", problem.w)
        optimum = brute_force(problem, feasible)[0]
        hull, cuts = (solve(problem, feasible, method).error_lower for method in ("hull", "hull-cuts"))
        assert hull is not None
        assert cuts is not None
        shares.append((cuts - hull) / (optimum - hull))
    assert np.mean(shares) > 1 / 3


def test_bound_scales_with_the_problem() -> None:
    """H times 4 and w, levels times 1/8: the error changes by 4 / 64, exactly representable factors."""
    problem = catalogue_problem("conv", 18)
    other = LayerProblem(4.0 * problem.H, problem.w / 8.0)
    first = solve(problem, "levels[-1;-0.5;0;0.5;1]", "hull-cuts").error_lower
    second = solve(other, "levels[-0.125;-0.0625;0;0.0625;0.125]", "hull-cuts").error_lower
    assert first is not None
    assert second == pytest.approx(first / 16.0, rel=1e-6)


def test_scales_of_groups_share_cuts() -> None:
    problem = catalogue_problem("conv", 18)
    feasible = fit_set("int[bits=3,group=9]", problem.w)
    hull, cuts = (solve(problem, feasible, method) for method in ("hull", "hull-cuts"))
    assert isinstance(cuts.certificate, SplitCertificate)
    assert len(cuts.certificate.z) > 0
    assert hull.error_lower is not None
    assert cuts.error_lower is not None
    assert cuts.error_lower > 1.02 * hull.error_lower


def test_levels_without_a_step_get_the_hull() -> None:
    problem = catalogue_problem("conv", 9)
    hull, cuts = (solve(problem, "levels[-1;0.1;1.3]", method) for method in ("hull", "hull-cuts"))
    assert cuts.error_lower == hull.error_lower
    assert "no common step" in cuts.notes


def test_no_time_leaves_a_proved_bound() -> None:
    problem = catalogue_problem("conv", 144)
    for seconds in (0.0, 0.2):
        result = solve(problem, "int[bits=3]", "hull-cuts", Limits(seconds=seconds))
        assert result.status is Status.TIME_LIMIT
        assert result.error_lower is not None
        assert result.point is not None


def test_same_seed_gives_the_same_bound() -> None:
    problem = catalogue_problem("conv", 18)
    bounds = {solve(problem, "int[bits=3]", "hull-cuts", Limits(seed=3)).error_lower for _ in range(2)}
    assert len(bounds) == 1


def test_more_rounds_prove_more() -> None:
    problem = catalogue_problem("conv", 36)
    bounds = [
        solve(problem, "int[bits=3]", f"hull-cuts[rounds={rounds}]").error_lower for rounds in (0, 1, 3)
    ]
    assert all(bound is not None for bound in bounds)
    assert bounds[0] * 1.05 < bounds[1] < bounds[2]  # type: ignore[operator]


@pytest.mark.parametrize("spec", ["hull-cuts[rounds=-1]", "hull-cuts[pairs=-1]", "hull-cuts[triples=nan]"])
def test_options_out_of_range_are_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="must"):
        SOLVERS.build(spec)


def test_sparse_sets_are_refused() -> None:
    result = solve(catalogue_problem("conv", 9), SparseSet(9, 3), "hull-cuts")
    assert result.status is Status.REFUSED


def _example(n: int = 6) -> tuple[F64, SplitCuts, F64]:
    """A matrix, cuts of all kinds along one, two and three weights, and feasible multipliers."""
    rng = np.random.default_rng(4)
    A, c = power_law(n, 30.0, rng), rng.uniform(-0.5, 3.5, n)
    search = SplitSearch(c, np.arange(4))
    y, S = c + 0.3 * rng.standard_normal(n), np.asarray(0.01 * np.linalg.inv(A))
    cuts = search.hull() + search.broken_splits(y, S, (4, 4), set())
    return A, cuts, 0.002 * rng.uniform(0.5, 1.0, len(cuts))


def _dense(directions: Directions, n: int) -> F64:
    B = np.zeros((len(directions), n))
    B[np.repeat(np.arange(len(B)), directions.entries), directions.index] = directions.coefficient
    return B


def test_products_with_directions_are_those_of_the_dense_matrix() -> None:
    A, cuts, x = _example()
    a, n = cuts.directions, len(A)
    B, u = _dense(a, n), np.arange(1.0, n + 1)
    assert set(a.entries) == {1, 2, 3}
    np.testing.assert_allclose(a.along(u), B @ u)
    np.testing.assert_allclose(a.gather(x, n), B.T @ x)
    np.testing.assert_allclose(a.weighted_square(x, n), B.T @ np.diag(x) @ B)
    np.testing.assert_allclose(a.images(A), B @ A)
    np.testing.assert_allclose(a.variances(A), np.diagonal(B @ A @ B.T))
    keep = np.arange(len(cuts)) % 2 == 0
    np.testing.assert_array_equal(_dense(a.take(keep), n), B[keep])


def test_newton_matrix_is_its_formula() -> None:
    A, cuts, x = _example()
    a, Z, g, mu = cuts.directions, np.asarray(np.linalg.inv(A)), np.linspace(-1.0, 1.0, len(cuts)), 0.3
    B = _dense(a, len(A))
    W = B @ Z @ B.T
    wanted = mu * np.outer(cuts.alpha, cuts.alpha) * W * W + 0.5 * np.outer(g, g) * W + np.diag(mu / x**2)
    K, diagonal = newton_matrix(a.start, a.index, a.coefficient, a.images(Z), cuts.alpha, g, mu / x**2, mu)
    np.testing.assert_allclose(np.tril(K), np.tril(wanted))
    np.testing.assert_allclose(diagonal, np.diagonal(W))


def test_slope_is_the_derivative_of_the_dual() -> None:
    A, cuts, x = _example()
    point = _evaluate(A, cuts, x)
    assert point is not None
    slope = _slope(cuts, cuts.directions.along(point.u))
    for m in range(len(x)):
        ahead, behind = (_evaluate(A, cuts, x + sign * 1e-6 * np.eye(len(x))[m]) for sign in (1, -1))
        assert ahead is not None
        assert behind is not None
        assert slope[m] == pytest.approx((ahead.value - behind.value) / 2e-6, abs=1e-6)


def test_a_newton_step_solves_the_barrier_equations() -> None:
    """Gradient of phi + mu (logdet M + sum log x) at mu, divided by its Hessian, by finite differences."""
    A, cuts, x = _example()
    path = SplitPath.start(A, cuts, x, lambda: False, 0)
    assert path is not None
    newton = path._newton()
    assert newton is not None

    def gradient(at: F64) -> F64:
        point = _evaluate(A, cuts, at)
        assert point is not None
        M = A - cuts.directions.weighted_square(cuts.alpha * at, len(A))
        bend = cuts.alpha * cuts.directions.variances(np.asarray(np.linalg.inv(M))) - 1.0 / at
        return _slope(cuts, cuts.directions.along(point.u)) - path.mu * bend

    small = 1e-7 * newton.step
    curvature = (gradient(x + small) - gradient(x - small)) / 2e-7
    np.testing.assert_allclose(-curvature, gradient(x), rtol=1e-4)


def test_every_lattice_point_obeys_every_cut() -> None:
    A, cuts, _ = _example()
    n, rng = len(A), np.random.default_rng(0)
    c = rng.uniform(-0.5, 3.5, n)
    search = SplitSearch(c, np.array([0, 1, 3]))
    y, S = c + rng.standard_normal(n), 1e-3 * np.eye(n)
    cuts = search.hull() + search.broken_singles(y, S, set()) + search.broken_splits(y, S, (9, 9), set())
    assert {*cuts.kind.tolist()} == {*map(int, Kind)}
    for point in rng.choice(search.integers, (200, n)):
        along = cuts.directions.along(point - c)
        assert (cuts.alpha * along**2 - cuts.beta * along - cuts.rho >= -1e-9).all()


def test_search_finds_the_best_pairs_and_triples_once() -> None:
    """Against all +-1 vectors of two and three entries, n = 5; nothing crowds when all are asked for."""
    rng = np.random.default_rng(2)
    y, S = rng.uniform(0.0, 3.0, 5), np.asarray(0.02 * power_law(5, 10.0, rng))
    search = SplitSearch(y, np.arange(4))
    found = search.broken_splits(y, S, (200, 200), set())
    vectors = {tuple(row.astype(int)) for row in _dense(found.directions, 5)}
    assert len(vectors) == len(found)
    for a in np.array(np.meshgrid(*[[-1, 0, 1]] * 5)).reshape(5, -1).T:
        nonzero = np.flatnonzero(a)
        fraction = (a @ y) % 1.0
        if len(nonzero) in (2, 3) and a[nonzero[0]] > 0 and fraction * (1 - fraction) - a @ S @ a > 0.01:
            assert tuple(a) in vectors
    again = search.broken_splits(y, S, (200, 200), set(found.names()))
    assert len(again) == 0


def test_no_weight_is_crowded() -> None:
    n = 40
    y, S = np.full(n, 0.5), np.diag(np.linspace(0.01, 0.02, n))
    y[::2] = 0.1
    found = SplitSearch(y, np.arange(2)).broken_splits(y, S, (n, 0), set())
    assert np.bincount(found.directions.index, minlength=n).max() <= 3

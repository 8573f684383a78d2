"""The dual path's pieces against plain twins, and what hull, sdp and common promise beyond the laws."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pvq.arrays import F64
from pvq.solvers._dual import finite
from pvq.solvers._dual.cuts import Cuts, Grid
from pvq.solvers._dual.dense import Lapack, Newton, dense_on
from pvq.solvers._dual.envelope import Envelopes
from pvq.solvers._dual.hull_cuts import HullCuts
from pvq.solvers._dual.path import Path, evaluate
from pvq.solvers._dual.prepared import prepare
from pvq.solvers.catalogue import CATALOGUE, brute_force, catalogue_problem, power_law
from pvq.solvers.feasible import FiniteSet, fit_set
from pvq.solvers.outcome import Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import Limits, solve, solve_layer
from pvq.theory.codebook import Codebook

UNEVEN = np.array([-3.0, -0.4, 0.1, 0.2, 2.5])


def _never() -> bool:
    return False


def _grid(m: int, levels: F64, seed: int = 0) -> Grid:
    rng = np.random.default_rng(seed)
    stretch = rng.uniform(0.5, 2.0, m)
    return Grid(stretch * rng.uniform(levels[0] - 0.5, levels[-1] + 0.5, m), levels, stretch)


def _matrix(n: int, seed: int = 0) -> F64:
    return power_law(n, 100.0, np.random.default_rng(seed)) * n


def _optimum(problem: LayerProblem, feasible: FiniteSet) -> float:
    return min(problem.error(np.array(x)) for x in itertools.product(*feasible.level_table(problem.n)))


@pytest.mark.parametrize("device", ["cpu", "torch-cpu"])
def test_dense_kernels_are_those_of_numpy(device: str) -> None:
    rng, dense, H = np.random.default_rng(1), dense_on(device), _matrix(7)
    D: F64 = np.asarray(0.2 / np.diagonal(np.linalg.inv(H)), dtype=np.float64)
    places = np.array([0, 1, 1, 2, 3, 4, 5, 6, 6])
    L = dense.factor(dense.load(H), D)
    M = H - np.diag(D)
    Z = np.linalg.inv(M)
    b = rng.standard_normal((7, 2))
    assert L is not None
    assert dense.factor(dense.load(H), np.full(7, 1e3)) is None
    np.testing.assert_allclose(dense.solve(L, b), Z @ b, rtol=1e-10)
    np.testing.assert_allclose(dense.solve(L, b[:, 0]), Z @ b[:, 0], rtol=1e-10)
    np.testing.assert_allclose(2.0 * dense.log_diagonal(L), np.linalg.slogdet(M)[1], rtol=1e-12)
    np.testing.assert_allclose(dense.diagonal(dense.inverse(L)), np.diagonal(Z), rtol=1e-10)
    apply = dense.congruence(L, D)
    whole = np.array([apply(e) for e in np.eye(7)])
    np.testing.assert_allclose(np.linalg.eigvalsh(whole)[-1], np.linalg.eigvals(Z * D).real.max(), rtol=1e-9)
    a, g, ridge = rng.standard_normal(9), rng.standard_normal(9), rng.uniform(0.1, 1.0, 9)
    K = dense.newton(dense.inverse(L), Newton(places, a, g, ridge))
    W = Z[np.ix_(places, places)]
    twin = np.outer(a, a) * W * W + np.outer(g, g) * W + np.diag(ridge)
    c = rng.standard_normal(9)
    np.testing.assert_allclose(dense.solve(K, c), np.linalg.solve(twin, c), rtol=1e-9)
    assert dense.newton(dense.inverse(L), Newton(places, a, g, ridge - 1e3)) is None


def test_cuts_hold_at_levels_and_break_between_them() -> None:
    """Every cut of the hull is nonnegative at every level; lower edges are zero at their two."""
    grid = _grid(4, UNEVEN)
    for number in range(len(UNEVEN) + 2):
        cuts = grid.cuts(np.arange(4), np.full(4, number))
        for level in UNEVEN:
            assert (cuts.slope(level * grid.stretch - grid.w) <= 1e-12).all()
    cuts = grid.cuts(np.arange(4), np.full(4, 1))
    for level in UNEVEN[[1, 2]]:
        np.testing.assert_allclose(cuts.slope(level * grid.stretch - grid.w), 0.0, atol=1e-12)
    middle = 0.5 * (UNEVEN[1] + UNEVEN[2]) * grid.stretch - grid.w
    assert (cuts.slope(middle) > 0).all()


def test_broken_cuts_are_those_that_break_in_expectation() -> None:
    """Against all cuts of the hull: what is returned is broken, and no other is by more than its slack."""
    grid, hull = _grid(60, UNEVEN, 3), HullCuts(_grid(60, UNEVEN, 3))
    rng = np.random.default_rng(4)
    u = rng.standard_normal(60) * grid.stretch
    second = u**2 + rng.exponential(0.05, 60) * grid.stretch**2
    used = hull.nearest_edges() + hull.ends()
    extra = hull.broken(u, second)
    assert len(extra) > 5
    assert (extra.excess(u, second) > 0).all()
    assert len(set(hull.taken.tolist())) == len(hull.taken) == len(used) + len(extra)
    width = grid.width(grid.cell(grid.w))
    for i, number in itertools.product(range(60), range(len(UNEVEN) + 2)):
        one = grid.cuts(np.array([i]), np.array([number]))
        if one.excess(u, second)[0] > 0.011 * max(width[i], width[i] ** 2):
            assert i * (len(UNEVEN) + 2) + number in hull.taken


def test_path_step_is_newtons() -> None:
    """The step solves K step = gradient, both by differences of phi + mu (logdet M + sum log x)."""
    A, grid = _matrix(4, 2), _grid(4, UNEVEN, 2)
    hull = HullCuts(grid)
    cuts = hull.nearest_edges() + hull.ends()
    x = np.full(len(cuts), 0.02)
    path = Path.start(Lapack(), A, cuts, x, _never, 0)

    def merit(x: F64) -> float:
        point = evaluate(path.dense, path.A, path.cuts, x, 4)
        assert point is not None
        return point.value + path.mu * point.barrier

    h, N = 1e-5, len(cuts)
    steps = h * np.eye(N)
    gradient = np.array([merit(path.point.x + e) - merit(path.point.x - e) for e in steps]) / (2 * h)
    K = -np.array(
        [
            [
                merit(path.point.x + e + f)
                - merit(path.point.x + e - f)
                - merit(path.point.x - e + f)
                + merit(path.point.x - e - f)
                for f in steps
            ]
            for e in steps
        ]
    ) / (4 * h * h)
    newton = path._newton()
    assert newton is not None
    np.testing.assert_allclose(K @ newton.step, gradient, rtol=1e-3, atol=1e-3 * np.abs(gradient).max())


@pytest.mark.parametrize(("name", "spec"), [("conv", "int[bits=3]"), ("unequal", "int[bits=2]")])
def test_loss_estimates_what_is_left_to_gain(name: str, spec: str) -> None:
    """Stopped at a loss of 1 % and 0.1 %, phi lies that far below its limit, up to a factor of two."""
    problem = catalogue_problem(name, 36)
    dual = finite.FiniteDual(problem, fit_set(spec, problem.w), hull=False)  # type: ignore[arg-type]
    prepared = prepare(problem.gram)
    grid = finite.Scaled.of(problem, dual.feasible, prepared).grid
    values = []
    for tolerance in (1e-2, 1e-3, 1e-6):
        path, hull = dual._start(prepared, grid, _never, 0)
        assert dual._follow(path, hull, tolerance, (0.0, 0.0)) is Status.BOUND
        values.append(path.point.value)
    assert 2e-3 < 1 - values[0] / values[2] < 2e-2
    assert 2e-4 < 1 - values[1] / values[2] < 2e-3


def test_analytic_centre_is_stationary_and_shared() -> None:
    prepared = prepare(catalogue_problem("conv", 45).gram)
    late = prepared.centre_within(lambda: True)
    np.testing.assert_array_equal(late, prepared.inside)
    d = prepared.centre
    assert d is prepared.centre
    Z = np.linalg.inv(prepared.A - np.diag(d))
    gradient = 1.0 / d - np.diagonal(Z)
    decrement = gradient @ np.linalg.solve(Z * Z + np.diag(1.0 / d**2), gradient)
    assert decrement < 0.25


@pytest.mark.parametrize("spec", ["int[bits=3]", "levels[-1;1]"])
@pytest.mark.parametrize("method", ["hull", "sdp"])
def test_torch_gives_the_same_bound(spec: str, method: str) -> None:
    problem = catalogue_problem("conv", 27)
    one, two = (solve(problem, spec, f"{method}[device={device}]") for device in ("cpu", "torch-cpu"))
    assert two.certified
    assert two.error_lower == pytest.approx(one.error_lower, rel=1e-9)
    assert two.iterations == one.iterations


def test_unknown_devices_are_refused() -> None:
    with pytest.raises(ValueError, match="device must be one of cpu, cuda, torch-cpu, got 'tpu'"):
        solve(catalogue_problem("conv", 9), "int[bits=2]", "hull[device=tpu]")


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize("method", ["hull", "sdp", "common"])
def test_scales_and_uneven_levels_are_bounded(name: str, method: str) -> None:
    """A scale per weight, levels at any distance: below the optimum by enumeration, at every time limit."""
    problem = catalogue_problem(name, 5)
    scales = np.asarray(10.0 ** np.random.default_rng(0).uniform(-1.5, 0.5, 5), dtype=np.float64)
    feasible = FiniteSet(Codebook(np.array([-1.0, 0.1, 0.2, 1.5])), scales)
    optimum = _optimum(problem, feasible)
    for limits in (Limits(), Limits(seconds=0.0)):
        result = solve(problem, feasible, method, limits)
        assert result.status is not Status.FAILED
        assert (result.error_lower or 0.0) <= optimum * (1 + 1e-12) + 1e-15 * problem.signal
        assert result.point is not None
        assert feasible.contains(result.point)


@pytest.mark.parametrize("method", ["hull", "sdp", "common"])
def test_a_scale_is_a_unit_of_the_levels(method: str) -> None:
    """Scales in the set and scales in the weights' units are the same problem."""
    problem, rng = catalogue_problem("conv", 18), np.random.default_rng(3)
    scales, book = np.ldexp(1.0, rng.integers(-3, 3, 18)), Codebook(np.array([-2.0, -1.0, 0.0, 1.5]))
    scaled = LayerProblem(problem.H / np.outer(scales, scales), problem.w * scales)
    one = solve(problem, FiniteSet(book), method).error_lower
    assert solve(scaled, FiniteSet(book, scales), method).error_lower == pytest.approx(one, rel=1e-3)


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_any_number_of_levels(bits: int) -> None:
    problem = catalogue_problem("conv", 9)
    feasible = FiniteSet(Codebook(np.linspace(-2.0, 2.0, 2**bits)))
    for method in ("hull", "sdp", "common"):
        result = solve(problem, feasible, method)
        assert result.certified
        assert result.error_lower is not None
        assert result.error_upper is not None
        assert result.error_lower <= result.error_upper


@pytest.mark.parametrize("name", ["conv", "condition-1e2", "dead-inputs", "unequal", "rank-deficient"])
def test_two_levels_gain_from_the_equation(name: str) -> None:
    """(y - a)(y - b) = 0 says more than Park and Boyd's inequality, and never more than the truth."""
    problem = catalogue_problem(name, 10)
    feasible = fit_set("levels[-1;1]", problem.w)
    hull, sdp = (solve(problem, feasible, method).error_lower for method in ("hull", "sdp"))
    optimum = brute_force(problem, feasible)[0]
    assert hull is not None
    assert sdp is not None
    assert sdp * (1 - 2e-3) <= hull <= optimum * (1 + 1e-12)
    if name == "conv":
        assert hull > 1.05 * sdp


def test_singular_grams_are_bounded_by_a_diagonal_of_both_signs() -> None:
    """Half as many calibration rows as weights: a positive diagonal alone proves nothing for +-1."""
    problem = catalogue_problem("rank-deficient", 24)
    result = solve(problem, "levels[-1;1]", "hull")
    assert result.certified
    assert result.error_lower is not None
    assert result.error_upper is not None
    assert result.error_lower > 0.02 * result.error_upper
    assert (result.certificate.d < 0).any()  # type: ignore[union-attr]


def test_envelopes_prox_and_least_are_those_of_a_fine_search() -> None:
    grids = [_grid(6, UNEVEN, 1), _grid(6, np.array([-1.0, 1.0]), 2)]
    rows, rng, kappa = Envelopes.of(grids), np.random.default_rng(5), 0.3
    V, G, D = 2.0 * rng.standard_normal((2, 6)), rng.standard_normal((2, 6)), rng.uniform(0.2, 1.0, 6)
    found, total = rows.prox(V, kappa), rows.least(D, G)
    for r, grid in enumerate(grids):
        least = 0.0
        for i in range(6):
            levels = grid.levels * grid.stretch[i]
            a = levels - grid.w[i]
            least += (D[i] * a * a + 2.0 * G[r, i] * a).min()
            y = np.linspace(levels[0], levels[-1], 20001)
            cost = D[i] * (np.interp(y, levels, a * a) + (y - V[r, i]) ** 2 / (2.0 * kappa))
            assert found[r, i] == pytest.approx(y[cost.argmin()], abs=1e-3)
        assert total[r] == pytest.approx(least, rel=1e-12)


@pytest.mark.parametrize(("bits", "least"), [(2, 0.7), (4, 0.6)])
def test_common_reaches_most_of_the_hull(bits: int, least: float) -> None:
    H = catalogue_problem("conv", 72).H
    W = np.random.default_rng(2).standard_normal((5, 72))
    instant, full = (solve_layer(H, W, f"int[bits={bits}]", method) for method in ("common", "hull"))
    for row, best in zip(instant, full, strict=True):
        assert row.certified
        assert least * best.error_lower <= row.error_lower <= best.error_lower * 1.01  # type: ignore[operator]


def test_common_bounds_rows_alone_as_together() -> None:
    H = catalogue_problem("conv", 27).H
    W = np.random.default_rng(2).standard_normal((3, 27))
    sets = fit_set("levels[-1;0;1]", W)
    together = solve_layer(H, W, sets, "common")
    for w, row in zip(W, together, strict=True):
        alone = solve(LayerProblem(H, w), sets, "common")
        assert alone.error_lower == pytest.approx(row.error_lower, rel=1e-9)


def test_equations_have_no_barrier() -> None:
    """A multiplier of any sign: the path accepts a negative one and its step ignores the sign."""
    A = _matrix(3)
    cuts = HullCuts(_grid(3, np.array([-1.0, 1.0]))).pair_equations()
    assert isinstance(cuts, Cuts)
    assert evaluate(Lapack(), A, cuts, np.full(3, -0.1), 3) is not None
    edges = HullCuts(_grid(3, np.array([-1.0, 1.0]))).nearest_edges()
    assert evaluate(Lapack(), A, edges, np.full(3, -0.1), 3) is None

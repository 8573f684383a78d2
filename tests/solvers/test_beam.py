"""Successive rounding, beam and local moves: each is what its definition says."""

from __future__ import annotations

import numpy as np
import pytest

from pvq.arrays import F64
from pvq.solvers._search.beam import cost_of, improve, round_in_order
from pvq.solvers._search.geometry import ORDERS, Geometry
from pvq.solvers._search.lattice import Lattice
from pvq.solvers.catalogue import CATALOGUE, brute_force, catalogue_problem, power_law
from pvq.solvers.feasible import FiniteSet, fit_set
from pvq.solvers.outcome import Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import Limits, solve, solve_layer
from pvq.theory.codebook import Codebook

REGULAR = ["conv", "condition-1e2", "condition-1e6", "dead-inputs", "unequal"]


def _lattice(name: str, n: int, spec: str = "int[bits=3]", seed: int = 0) -> Lattice:
    problem = catalogue_problem(name, n, seed)
    feasible = fit_set(spec, problem.w)
    assert isinstance(feasible, FiniteSet)
    return Lattice.of(problem, feasible)


def _conditional_rounding(problem: LayerProblem, feasible: FiniteSet, order: list[int]) -> F64:
    """Round one weight after another at its least-squares value given those before."""
    H, x = problem.H, problem.w.copy()
    for step, i in enumerate(order):
        x[i] = feasible.nearest(x)[i]
        done, rest = order[: step + 1], order[step + 1 :]
        pull = H[np.ix_(rest, done)] @ (x[done] - problem.w[done])
        x[rest] = problem.w[rest] - np.linalg.solve(H[np.ix_(rest, rest)], pull)
    return x


@pytest.mark.parametrize("order", list(ORDERS))
@pytest.mark.parametrize("name", ["conv", "condition-1e2"])
def test_babai_is_rounding_with_conditional_least_squares(name: str, order: str) -> None:
    lattice = _lattice(name, 14)
    factor = lattice.geometry.factor(order)
    expected = _conditional_rounding(lattice.problem, lattice.feasible, factor.order[::-1].tolist())
    point = solve(lattice.problem, lattice.feasible, f"babai[order={order}]").point
    np.testing.assert_array_equal(point, expected)


def test_orders_decide_what_their_sources_say() -> None:
    A = Geometry.of(catalogue_problem("conv", 12).gram).A
    assert ORDERS["natural"](A)[-1] == 0
    assert ORDERS["activation"](A)[-1] == np.argmax(np.diagonal(A))
    left, blast = list(range(12)), ORDERS["v-blast"](A)
    for decided in blast[::-1]:
        variance = np.diagonal(np.linalg.inv(A[np.ix_(left, left)]))
        assert decided == left[int(np.argmin(variance))]
        left.remove(int(decided))
    chosen: list[int] = []
    for last in ORDERS["sqrd"](A):
        rest = [i for i in range(12) if i not in chosen]
        explained = A[np.ix_(rest, chosen)] @ np.linalg.solve(
            A[np.ix_(chosen, chosen)], A[np.ix_(chosen, rest)]
        )
        assert last == rest[int(np.argmin(np.diagonal(A[np.ix_(rest, rest)] - explained)))]
        chosen.append(int(last))


def test_best_order_is_the_best_of_four() -> None:
    problem = catalogue_problem("conv", 30)
    single = [solve(problem, "int[bits=2]", f"babai[order={order}]").error_upper for order in ORDERS]
    assert solve(problem, "int[bits=2]", "babai").error_upper == min(e for e in single if e is not None)


@pytest.mark.parametrize("name", REGULAR)
def test_a_beam_that_keeps_everything_is_exact(name: str) -> None:
    """Three levels and six weights: 729 decisions, no four of whose level lists are cut by the fan."""
    lattice = _lattice(name, 6, "levels[-1;0;1]")
    index = round_in_order(lattice, "v-blast", width=729)[0]
    best = brute_force(lattice.problem, lattice.feasible)[0]
    assert lattice.problem.error(lattice.point(index)) == pytest.approx(best, rel=1e-9, abs=1e-13)


@pytest.mark.parametrize("name", REGULAR)
def test_costs_along_the_beam_add_up_to_the_error(name: str) -> None:
    lattice = _lattice(name, 15)
    for index in round_in_order(lattice, "activation", width=16, keep=16):
        cost = lattice.factor * cost_of(lattice, index)
        assert cost == pytest.approx(lattice.problem.error(lattice.point(index)), rel=1e-6)


def test_complete_decisions_come_in_the_order_of_their_errors() -> None:
    lattice = _lattice("conv", 20)
    kept = round_in_order(lattice, "v-blast", width=64, keep=64)
    costs = [cost_of(lattice, index) for index in kept]
    assert costs == sorted(costs)
    assert len({tuple(index) for index in kept}) == 64


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_wider_set_of_candidates_is_never_worse(name: str) -> None:
    problem = catalogue_problem(name, 24)
    single, pairs, babai = (
        solve(problem, "int[bits=3]", method).error_upper
        for method in ("beam[width=1,keep=1]", "beam[width=1,keep=1,moves=pairs]", "babai[order=v-blast]")
    )
    assert single is not None
    assert pairs is not None
    assert babai is not None
    assert pairs <= single * (1 + 1e-9) + 1e-13 * problem.signal
    assert single <= babai * (1 + 1e-9) + 1e-13 * problem.signal


@pytest.mark.parametrize("name", REGULAR)
def test_no_single_or_pair_move_improves(name: str) -> None:
    """Pairs move to neighbouring levels; single weights to any level."""
    lattice = _lattice(name, 10, "levels[-1.3;-0.4;0.1;1]")
    start = np.random.default_rng(0).integers(0, 4, len(lattice.geometry.live))
    error, index = improve(lattice, start, pairs=True)
    for i in range(len(index)):
        for k in range(4):
            single = index.copy()
            single[i] = k
            assert cost_of(lattice, single) >= error * (1 - 1e-9)
            for j in range(i):
                for b in (index[j] - 1, index[j] + 1):
                    pair = single.copy()
                    pair[j] = b
                    if 0 <= b < 4 and abs(k - index[i]) == 1:
                        assert cost_of(lattice, pair) >= error * (1 - 1e-9)


@pytest.mark.parametrize("method", ["babai", "beam"])
def test_scales_per_weight_act_as_a_change_of_units(method: str) -> None:
    """Weights, scales and H in other units per weight: the same levels are chosen."""
    rng = np.random.default_rng(1)
    H, w, units = power_law(12, 1e3, rng), rng.standard_normal(12), 2.0 ** rng.integers(-3, 4, 12)
    book = Codebook(np.array([-1.2, -0.3, 0.0, 0.4, 1.5]))
    plain = solve(LayerProblem(H, w), FiniteSet(book), method).point
    scaled = solve(LayerProblem(H / np.outer(units, units), w * units), FiniteSet(book, units), method).point
    assert plain is not None
    assert scaled is not None
    np.testing.assert_array_equal(scaled, units * plain)


@pytest.mark.parametrize("method", ["babai", "beam"])
def test_a_layer_is_its_rows(method: str) -> None:
    problem = catalogue_problem("dead-inputs", 15)
    W = np.random.default_rng(2).standard_normal((3, 15))
    together = solve_layer(problem.H, W, "int[bits=3,per=row]", method)
    for row, result in zip(W, together, strict=True):
        assert result.error_upper == solve(LayerProblem(problem.H, row), "int[bits=3]", method).error_upper


def test_singular_problems_get_points() -> None:
    for name in ("rank-deficient", "repeated-columns", "condition-1e10"):
        problem = catalogue_problem(name, 30)
        nearest = solve(problem, "int[bits=3]", "nearest").error_upper
        beam = solve(problem, "int[bits=3]", "beam").error_upper
        assert nearest is not None
        assert beam is not None
        assert beam < 0.9 * nearest


def test_all_inputs_dead() -> None:
    problem = LayerProblem(np.zeros((3, 3)), np.array([0.2, 0.9, -3.0]))
    for method in ("babai", "beam"):
        np.testing.assert_array_equal(solve(problem, "levels[0;1]", method).point, [0.0, 1.0, 0.0])


def test_options_refusals_and_the_clock() -> None:
    problem = catalogue_problem("conv", 9)
    for spec in ("beam[width=0]", "beam[keep=0]", "beam[width=2,keep=3]"):
        with pytest.raises(ValueError, match="must lie in"):
            solve(problem, "int[bits=2]", spec)
    for method in ("beam", "babai"):
        assert solve(problem, "sparse[k=2]", method).status is Status.REFUSED
    stopped = solve(problem, "int[bits=2]", "beam", Limits(seconds=0.0))
    assert stopped.status is Status.TIME_LIMIT
    assert stopped.error_upper is not None

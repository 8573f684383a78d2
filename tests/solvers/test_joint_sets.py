"""Levels under a budget, and the exact choice of which to pay for."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvq.errors import SpecError
from pvq.solvers.catalogue import brute_force
from pvq.solvers.feasible import STORED_SETS, FiniteSet, SparseSet, fit_rows, fit_set
from pvq.solvers.knapsack import cheapest_classes
from pvq.solvers.problem import LayerProblem
from pvq.solvers.sets.joint import JointSet
from pvq.theory.codebook import Codebook

GRID = FiniteSet(Codebook(np.array([-1.0, 0.0, 0.5])))


def random_joint(n: int, rng: np.random.Generator, unit: float = 1.0) -> JointSet:
    """Return a set of random levels and costs, with scales half of the time, zero mostly among the levels."""
    levels = np.unique(np.round(rng.standard_normal(int(rng.integers(1, 5))), 1) + 0.0)
    costs = rng.integers(0, int(rng.integers(1, 5)), len(levels))
    scales = unit * rng.choice([1.0, 0.3, 7.0], n) if rng.integers(2) else None
    grid = FiniteSet(Codebook(levels if scales is not None else unit * levels), scales)
    room = n * int(costs.max() - costs.min())
    return JointSet(n, grid, costs, n * int(costs.min()) + int(rng.integers(0, room + 1)))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_nearest_is_nearest(seed: int, n: int) -> None:
    """With H = I the least error is the least distance."""
    rng = np.random.default_rng(seed)
    chosen = random_joint(n, rng)
    problem = LayerProblem(np.eye(n), np.round(rng.standard_normal(n), 1))
    near = chosen.nearest(problem.w)
    assert chosen.contains(near)
    assert problem.error(near) == pytest.approx(brute_force(problem, chosen)[0], abs=1e-15)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 4))
def test_classes_are_chosen_exactly(seed: int, n: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    costs = np.sort(rng.choice(12, classes, replace=False))
    losses, budget = rng.integers(0, 20, (classes, n)).astype(float), int(n * costs[0] + rng.integers(0, 20))
    chosen = cheapest_classes(losses, costs, budget)
    assert costs[chosen].sum() <= budget
    paid = [c for c in product(range(classes), repeat=n) if costs[list(c)].sum() <= budget]
    assert losses[chosen, np.arange(n)].sum() == min(losses[list(c), np.arange(n)].sum() for c in paid)


def test_budget_is_counted_level_by_level() -> None:
    chosen = JointSet(3, GRID, np.array([3, 1, 2]), 5)
    assert chosen.cost(np.array([-1.0, 0.0, -0.0])) == 5
    assert chosen.contains(np.array([-1.0, 0.0, 0.0]))
    for outside in ([-1, 0.5, 0], [0.1, 0, 0], [np.nan, 0, 0], [0, 0]):
        assert not chosen.contains(np.array(outside, dtype=float))
    with pytest.raises(ValueError, match="levels of the grid"):
        chosen.cost(np.array([0.1, 0, 0]))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_relaxations_hold_every_point(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    chosen = random_joint(n, rng)
    points = list(chosen.candidates(LayerProblem(np.eye(n), np.zeros(n))))
    assert all(chosen.contains(x) for x in points)
    for larger in chosen.relaxations().values():
        assert all(larger.contains(x) for x in points)
    assert max(np.count_nonzero(x) for x in points) <= chosen.nonzero


def test_zero_may_cost_something_too() -> None:
    """Two bits for a value and one for a zero: of three weights in five bits, at most two are nonzero."""
    assert JointSet(3, GRID, np.array([2, 1, 2]), 5).nonzero == 2
    assert JointSet(3, GRID, np.array([2, 2, 2]), 6).nonzero == 3
    assert JointSet(3, FiniteSet(Codebook(np.array([0.0]))), np.array([0]), 0).nonzero == 0
    assert JointSet(3, FiniteSet(Codebook(np.array([0.5]))), np.array([0]), 0).nonzero == 3


@pytest.mark.parametrize(
    ("spec", "kept", "budget"),
    [
        ("joint[bits=4,budget=2.0]", 8, 32),
        ("joint[bits=4,budget=2.0,mask=bitmap]", 4, 16),
        ("joint[bits=4,budget=2.0,mask=entropy]", 4, 16),
        ("joint[bits=3,density=0.5]", 8, 24),
        ("joint[bits=3,budget=5]", 16, 48),
        ("joint[bits=3,density=0]", 0, 0),
        ("joint[bits=3,budget=0.6]", 3, 9),
    ],
)
def test_specs_buy_whole_weights(spec: str, kept: int, budget: int) -> None:
    """16 weights; 4 bits each within 2 leave half of them, a quarter where a bitmap takes 1 of the 2."""
    chosen = fit_set(spec, np.linspace(-1.0, 2.0, 16))
    assert isinstance(chosen, JointSet)
    assert (chosen.nonzero, chosen.budget) == (kept, budget)
    assert chosen.relaxations()["sparse"] == SparseSet(16, kept)


def test_scale_is_that_of_the_kept_weights() -> None:
    """Many small weights, which are pruned, would have asked for a smaller scale."""
    w = np.concatenate([np.full(60, 0.1), [1.0, -2.0, 2.0, 3.0]])
    chosen = fit_set("joint[bits=3,density=0.0625]", w)
    assert isinstance(chosen, JointSet)
    np.testing.assert_allclose(chosen.nearest(w)[60:], w[60:], rtol=1e-3)
    rows = fit_rows("joint[bits=3,density=0.5,per=row]", np.array([[1.0, 0.1], [4.0, 0.1]]))
    assert [float(row.arrays()["levels"][-1]) for row in rows] == pytest.approx([1.0, 4.0], rel=1e-3)


def test_stored_sets_come_back() -> None:
    scaled = FiniteSet(GRID.codebook, np.array([1.0, 2.0, 3.0]))
    for chosen in (JointSet(3, GRID, np.array([3, 1, 2]), 5), JointSet(3, scaled, np.array([3, 0, 2]), 5)):
        kind = STORED_SETS.get(STORED_SETS.name_of(chosen))
        again = kind.restore(3, chosen.arrays(), chosen.facts())  # type: ignore[attr-defined]
        assert again.describe() == chosen.describe()
        with pytest.raises(ValueError, match="int"):
            kind.restore(3, chosen.arrays(), {"budget": 5.0})  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("costs", "budget", "message"),
    [
        ([1, 1, 1], 2, "budget must pay"),
        ([0, 1], 2, "one per level"),
        ([0.0, 1.0, 2.0], 2, "whole numbers"),
        ([0, -1, 2], 2, "lie in"),
        ([0, 2**30 - 1, 2**30], 2**31, "coarser"),
    ],
)
def test_unusable_costs_are_refused(costs: list[int], budget: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        JointSet(3, GRID, np.array(costs), budget)


@pytest.mark.parametrize(
    "spec",
    [
        "bits=3",
        "bits=3,budget=1,density=1",
        "bits=3,budget=0.5,mask=bitmap",
        "bits=3,density=2",
        "bits=1,budget=1",
    ],
)
def test_unusable_specs_are_refused(spec: str) -> None:
    with pytest.raises(SpecError):
        fit_set(f"joint[{spec}]", np.ones(3))

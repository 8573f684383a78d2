"""The multiple-choice knapsack: brute force, certified bounds, laws."""

from __future__ import annotations

import itertools
import math
import os
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvq.solvers._choice.frontier import prove
from pvq.solvers._choice.instance import Instance
from pvq.solvers._choice.mixed_integer import mixed_integer_plan, quiet
from pvq.solvers._choice.relaxation import lagrangian, relax
from pvq.solvers.multiple_choice import Choice, Option, choose, round_down, round_up

Menus = list[list[Option]]


def random_menus(seed: int, groups: int, options: int, spread: float = 0.5) -> Menus:
    """Errors that fall with cost, as those of bit widths do, with some disorder; lower <= upper."""
    rng = np.random.default_rng(seed)
    menus = []
    for _ in range(groups):
        cost = rng.integers(1, 60, options)
        upper = np.exp2(-cost / 8 + rng.normal(size=options)) * np.exp(rng.normal())
        lower = upper * (1 - spread * rng.random(options))
        menus.append([Option(int(c), float(a), float(b)) for c, a, b in zip(cost, lower, upper, strict=True)])
    return menus


def least(menus: Menus, budget: int, side: str) -> Fraction:
    """Return the least total over all plans within the budget, by trying all."""
    fitting = (plan for plan in itertools.product(*menus) if sum(o.cost for o in plan) <= budget)
    return min(sum((Fraction(getattr(o, side)) for o in plan), Fraction(0)) for plan in fitting)


def budgets(menus: Menus, number: int) -> list[int]:
    low = sum(min(o.cost for o in menu) for menu in menus)
    high = sum(max(o.cost for o in menu) for menu in menus)
    return [int(b) for b in np.linspace(low, high, number)]


def check(menus: Menus, choice: Choice, budget: int) -> None:
    taken = [menu[option] for menu, option in zip(menus, choice.plan, strict=True)]
    assert choice.cost == sum(option.cost for option in taken) <= budget
    total = sum((Fraction(option.upper) for option in taken), Fraction(0))
    assert total <= Fraction(choice.value) <= total * (1 + Fraction(1, 2**52))


@pytest.mark.parametrize("seed", range(12))
def test_brute_force_over_all_plans(seed: int) -> None:
    menus = random_menus(seed, groups=5, options=4)
    for budget in budgets(menus, 6):
        choice = choose(menus, budget)
        check(menus, choice, budget)
        assert choice.optimal
        assert choice.value == round_up(least(menus, budget, "upper"))
        exact = least(menus, budget, "lower")
        assert Fraction(choice.bound) <= exact
        assert choice.bound == pytest.approx(float(exact), rel=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_bound_meets_value_where_errors_are_exact(seed: int) -> None:
    menus = random_menus(seed, groups=30, options=12, spread=0.0)
    for budget in budgets(menus, 5):
        choice = choose(menus, budget)
        check(menus, choice, budget)
        assert choice.optimal
        assert 0 <= choice.gap < 1e-12


@pytest.mark.parametrize("seed", range(4))
def test_search_alone_finds_what_the_mixed_integer_solver_finds(seed: int) -> None:
    menus = random_menus(seed, groups=25, options=10)
    budget = budgets(menus, 5)[2]
    costs, values = ([[getattr(o, f) for o in menu] for menu in menus] for f in ("cost", "upper"))
    instance = Instance.of(costs, values, budget)
    relaxation = relax(instance)
    plan = mixed_integer_plan(instance, 20.0)
    assert plan is not None
    proof = prove(instance, relaxation, relaxation.plan, 2**17)
    assert proof.complete
    assert instance.value(proof.plan) <= instance.value(plan)
    assert instance.value(plan) <= instance.value(relaxation.plan)
    assert relaxation.bound <= proof.bound <= instance.value(proof.plan)


def test_too_many_states_leave_a_weaker_but_true_bound() -> None:
    menus = random_menus(3, groups=6, options=5)
    for budget in budgets(menus, 7):
        full, short = choose(menus, budget), choose(menus, budget, most_states=1)
        check(menus, short, budget)
        assert Fraction(short.bound) <= least(menus, budget, "lower")
        assert short.bound <= full.bound
        assert short.value >= full.value


@pytest.mark.parametrize("seed", range(5))
def test_a_search_cut_short_proves_what_it_has_seen(seed: int) -> None:
    menus = random_menus(seed, groups=5, options=4)
    budget = budgets(menus, 5)[2]
    costs, values = ([[getattr(o, f) for o in menu] for menu in menus] for f in ("cost", "upper"))
    instance = Instance.of(costs, values, budget)
    cheapest = tuple(int(np.argmin(group)) for group in costs)
    proof = prove(instance, relax(instance), cheapest, most_states=2)
    assert not proof.complete
    assert proof.plan == cheapest
    exact = least(menus, budget, "upper")
    assert relax(instance).bound <= proof.bound
    assert proof.bound * instance.unit <= exact < instance.value(cheapest) * instance.unit


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 4), st.fractions(0, 3, max_denominator=8))
@settings(max_examples=60, deadline=None)
def test_every_price_gives_a_bound(seed: int, groups: int, options: int, price: Fraction) -> None:
    menus = random_menus(seed % 1000, groups, options)
    budget = budgets(menus, 3)[1]
    costs, values = ([[getattr(o, f) for o in menu] for menu in menus] for f in ("cost", "lower"))
    instance = Instance.of(costs, values, budget)
    exact = least(menus, budget, "lower")
    relaxation = relax(instance)
    assert lagrangian(instance, price / instance.unit) * instance.unit <= exact
    assert lagrangian(instance, price / instance.unit) <= relaxation.bound
    assert relaxation.bound * instance.unit <= exact
    assert instance.cost(relaxation.plan) <= budget


def test_more_budget_is_never_worse() -> None:
    menus = random_menus(1, groups=12, options=8)
    choices = [choose(menus, budget) for budget in budgets(menus, 12)]
    for poorer, richer in itertools.pairwise(choices):
        assert richer.value <= poorer.value
        assert richer.bound <= poorer.bound * (1 + 1e-12)


def test_errors_times_a_power_of_two_change_nothing_else() -> None:
    menus = random_menus(2, groups=8, options=6)
    scaled = [[Option(o.cost, o.lower * 2.0**-300, o.upper * 2.0**-300) for o in menu] for menu in menus]
    budget = budgets(menus, 5)[2]
    one, other = choose(menus, budget), choose(scaled, budget)
    assert other.plan == one.plan
    assert (other.value, other.bound) == (one.value * 2.0**-300, one.bound * 2.0**-300)


def test_costs_beyond_the_tolerance_of_floats_are_kept() -> None:
    """One bit too many in 10^12 is too many, though HiGHS would let it pass."""
    big = 10**12
    menus = [[Option(0, 5.0, 5.0), Option(big + 1, 1.0, 1.0)], [Option(0, 3.0, 3.0), Option(big, 1.0, 1.0)]]
    assert choose(menus, big).plan == (0, 1)
    assert choose(menus, big + 1).plan == (1, 0)
    assert choose(menus, 2 * big + 1).plan == (1, 1)


def test_what_the_solver_prints_stays_off_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet():
        os.write(1, b"noise")
    os.write(1, b"rows")
    assert capfd.readouterr().out == "rows"


def test_options_without_error_and_single_options() -> None:
    assert choose([[Option(3, 0.0, 0.0)]], 3) == Choice((0,), 3, 0.0, 0.0, True)
    assert choose([[Option(3, 0.0, 0.0)]], 3).gap == 0.0
    tie = [[Option(2, 1.0, 1.0), Option(1, 1.0, 1.0)]]
    assert choose(tie, 9).plan == (1,)


@pytest.mark.parametrize(
    ("groups", "budget", "message"),
    [
        ([], 4, "must each hold an option"),
        ([[]], 4, "must each hold an option"),
        ([[Option(3, 0.0, 1.0)], [Option(4, 0.0, 1.0)]], 6, r"budget must lie in \[7, 2\^62\], got 6"),
    ],
)
def test_what_cannot_be_solved_is_refused(groups: Menus, budget: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose(groups, budget)


@pytest.mark.parametrize(
    ("cost", "lower", "upper"),
    [(-1, 0.0, 1.0), (1.5, 0.0, 1.0), (1, 2.0, 1.0), (1, math.nan, 1.0), (1, 0.0, math.inf), (1, -1.0, 1.0)],
)
def test_an_option_has_a_cost_and_an_error(cost: int, lower: float, upper: float) -> None:
    with pytest.raises(ValueError, match=r"cost must|errors must"):
        Option(cost, lower, upper)


@given(st.fractions(-(10**6), 10**6))
def test_rounding_is_directed(value: Fraction) -> None:
    assert Fraction(round_down(value)) <= value <= Fraction(round_up(value))
    assert round_up(value) - round_down(value) <= math.ulp(round_up(value))

"""One option of every group at the least total error within a budget, and a bound that no plan beats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from ._choice.frontier import Proof, prove
from ._choice.instance import Instance
from ._choice.mixed_integer import mixed_integer_plan
from ._choice.relaxation import relax

__all__ = ["Choice", "Option", "choose", "round_down", "round_up"]

MOST_STATES = 2**17
LARGEST_COST = 2**50
LARGEST_BUDGET = 2**62


@dataclass(frozen=True)
class Option:
    """What one option of a group costs and how large its error is.

    Parameters
    ----------
    cost : whole number of bits, not negative
    lower, upper : the error lies between, or its best known value is `upper` and none is below `lower`
    """

    cost: int
    lower: float
    upper: float

    def __post_init__(self) -> None:
        if type(self.cost) is not int or not 0 <= self.cost <= LARGEST_COST:
            raise ValueError(f"cost must be a whole number in [0, 2^50], got {self.cost!r}")
        if not 0 <= self.lower <= self.upper < math.inf:
            raise ValueError(f"errors must fulfil 0 <= lower <= upper < inf, got {self.lower}, {self.upper}")


@dataclass(frozen=True)
class Choice:
    """A plan and what is proved of it.

    Parameters
    ----------
    plan : number of the option taken in each group
    cost : of the plan, exact
    value : the plan's total upper error, rounded up
    bound : no plan within the budget has a total error below it, whatever the errors are between their
        `lower` and `upper`; rounded down
    optimal : no plan has a smaller total upper error, but for rounding: about 2^-60 of the range of errors
    """

    plan: tuple[int, ...]
    cost: int
    value: float
    bound: float
    optimal: bool

    @property
    def gap(self) -> float:
        """How far the value may lie above the best one, relative to the value; 0 if the value is 0."""
        return 1.0 - self.bound / self.value if self.value else 0.0


def choose(
    groups: Sequence[Sequence[Option]], budget: int, seconds: float = 20.0, most_states: int = MOST_STATES
) -> Choice:
    """Return the plan of least total upper error with total cost <= budget, with a certified bound.

    The multiple-choice knapsack. A mixed-integer solver (HiGHS) and the greedy method on the linear
    relaxation give a plan; an exact search in whole numbers improves it or proves it optimal, and finds the
    least total of lower errors, which is the bound. Where that search would keep more than `most_states`
    partial plans, the bound is the Lagrangian one, evaluated exactly: for every price p >= 0,

        sum over groups of min over options of (lower + p cost)  -  p budget.

    Costs, plans and bounds are priced in integers and fractions; of the solver only its plan is used.

    Parameters
    ----------
    groups : the options of each group
    budget : at least the sum of the least costs
    seconds : limit of each call of the mixed-integer solver; 0 leaves it out, and the search, which by
        itself proves the optimum, starts from the greedy plan

    Raises
    ------
    ValueError : no group or an empty one; a budget below the cheapest plan's cost or beyond 2^62

    >>> menu = [Option(2, 4.0, 4.0), Option(5, 1.0, 1.0)]
    >>> choose([menu, menu], 7)
    Choice(plan=(1, 0), cost=7, value=5.0, bound=5.0, optimal=True)
    """
    _check(groups, budget)
    costs = [[option.cost for option in group] for group in groups]
    uppers = Instance.of(costs, [[option.upper for option in group] for group in groups], budget)
    lowers = Instance.of(costs, [[option.lower for option in group] for group in groups], budget)
    best = _least(uppers, _start(uppers, seconds), most_states)
    bound = _least(lowers, best.plan, most_states).bound * lowers.unit
    value = uppers.value(best.plan) * uppers.unit
    assert uppers.cost(best.plan) <= budget, "plans are kept within the budget"
    assert bound <= value, "every lower error is at most the upper one"
    return Choice(
        best.plan, uppers.cost(best.plan), round_up(value), max(0.0, round_down(bound)), best.complete
    )


def _start(instance: Instance, seconds: float) -> tuple[int, ...]:
    greedy = relax(instance).plan
    if seconds <= 0:
        return greedy
    return min(greedy, mixed_integer_plan(instance, seconds) or greedy, key=instance.value)


def _least(instance: Instance, known: tuple[int, ...], most_states: int) -> Proof:
    relaxation = relax(instance)
    return prove(instance, relaxation, min(known, relaxation.plan, key=instance.value), most_states)


def _check(groups: Sequence[Sequence[Option]], budget: int) -> None:
    if not groups or not all(groups):
        raise ValueError("groups must each hold an option, got none")
    least = sum(min(option.cost for option in group) for group in groups)
    if not least <= budget <= LARGEST_BUDGET:
        raise ValueError(f"budget must lie in [{least}, 2^62], got {budget}")


def round_up(value: Fraction) -> float:
    """Return the least float that is not below a finite `value`.

    >>> round_up(Fraction(1, 3)) * 3 >= 1, round_up(Fraction(1, 2))
    (True, 0.5)
    """
    nearest = float(value)
    return nearest if Fraction(nearest) >= value else math.nextafter(nearest, math.inf)


def round_down(value: Fraction) -> float:
    """Return the largest float that is not above a finite `value`."""
    return -round_up(-value)

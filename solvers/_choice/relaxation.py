"""The linear relaxation of a multiple-choice knapsack, solved exactly: a price for the budget and a bound."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from .instance import Instance

__all__ = ["Relaxation", "lagrangian", "relax"]


@dataclass(frozen=True)
class Relaxation:
    """What the relaxation gives.

    Parameters
    ----------
    price : value that one more unit of budget saves, the multiplier of the budget, not negative
    bound : no plan has a smaller value; in units of the instance
    plan : a plan within the budget
    """

    price: Fraction
    bound: Fraction
    plan: tuple[int, ...]


class _Step(NamedTuple):
    saving: Fraction  # of value per unit of cost
    group: int
    rank: int  # on the group's hull, where the step ends


def relax(instance: Instance) -> Relaxation:
    """Return the optimal multiplier, its bound, and the plan of the greedy method.

    Steps along the lower convex hulls of (cost, value) are taken by falling saving per cost; the saving of
    the first that does not fit is the multiplier (E. Zemel, Operations Research 28, 1980, 1412-1423).

    >>> relax(Instance(((0, 2), (0, 3)), ((9, 1), (7, 1)), Fraction(1), 3))
    Relaxation(price=Fraction(2, 1), bound=Fraction(6, 1), plan=(1, 0))
    """
    hulls = [_hull(instance, group) for group in range(len(instance.costs))]
    rank = [0] * len(hulls)
    left = instance.budget - sum(instance.costs[g][hull[0]] for g, hull in enumerate(hulls))
    assert left >= 0, "a budget below the cheapest plan is refused before"
    price = Fraction(0)
    for saving, group, end in sorted(_steps(instance, hulls), key=lambda s: (-s.saving, s.group, s.rank)):
        if rank[group] != end - 1:
            continue  # a step before it did not fit
        costs, hull = instance.costs[group], hulls[group]
        extra = costs[hull[end]] - costs[hull[end - 1]]
        if extra <= left:
            left, rank[group] = left - extra, end
        else:
            price = max(price, saving)
    plan = tuple(hull[r] for hull, r in zip(hulls, rank, strict=True))
    return Relaxation(price, lagrangian(instance, price), plan)


def lagrangian(instance: Instance, price: Fraction) -> Fraction:
    """Return sum over groups of min over options of (value + price cost), less price budget.

    For every price >= 0 no plan within the budget has a smaller value: its value is at least
    value + price (cost - budget), and each group's part of that is at least the minimum.

    >>> lagrangian(Instance(((0, 2),), ((9, 1),), Fraction(1), 1), Fraction(4))
    Fraction(5, 1)
    """
    assert price >= 0, "a multiplier of an inequality is not negative"
    least = sum(
        min(value + price * cost for cost, value in zip(costs, values, strict=True))
        for costs, values in zip(instance.costs, instance.values, strict=True)
    )
    return Fraction(least - price * instance.budget)


def _steps(instance: Instance, hulls: list[list[int]]) -> list[_Step]:
    return [
        _Step(_saving(instance, group, hull[rank - 1], hull[rank]), group, rank)
        for group, hull in enumerate(hulls)
        for rank in range(1, len(hull))
    ]


def _saving(instance: Instance, group: int, a: int, b: int) -> Fraction:
    costs, values = instance.costs[group], instance.values[group]
    return Fraction(values[a] - values[b], costs[b] - costs[a])


def _hull(instance: Instance, group: int) -> list[int]:
    """Return the corners of the lower convex hull, savings strictly falling."""
    hull: list[int] = []
    for option in instance.undominated(group):
        while len(hull) > 1 and _saving(instance, group, hull[-2], hull[-1]) <= _saving(
            instance, group, hull[-1], option
        ):
            hull.pop()
        hull.append(option)
    return hull

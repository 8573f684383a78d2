"""One option of every group within a budget, in integers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Instance"]


@dataclass(frozen=True)
class Instance:
    """Choose one option of each group, of least total value with total cost <= budget.

    Parameters
    ----------
    costs : of each group's options
    values : of each group's options, exact multiples of `unit`
    unit : what a value of 1 stands for
    budget : at least the sum of the groups' least costs
    """

    costs: tuple[tuple[int, ...], ...]
    values: tuple[tuple[int, ...], ...]
    unit: Fraction
    budget: int

    @staticmethod
    def of(costs: Sequence[Sequence[int]], values: Sequence[Sequence[float]], budget: int) -> Instance:
        """Return the instance with exactly these finite floats as values.

        >>> Instance.of([[1, 2]], [[0.75, 0.5]], 2)
        Instance(costs=((1, 2),), values=((3, 2),), unit=Fraction(1, 4), budget=2)
        """
        exact = [[Fraction(value) for value in group] for group in values]
        common = math.lcm(*(value.denominator for group in exact for value in group))
        whole = tuple(tuple(int(value * common) for value in group) for group in exact)
        return Instance(tuple(map(tuple, costs)), whole, Fraction(1, common), budget)

    def cost(self, plan: Sequence[int]) -> int:
        """Return the total cost of a plan, the number of the option taken in each group."""
        return sum(group[option] for group, option in zip(self.costs, plan, strict=True))

    def value(self, plan: Sequence[int]) -> int:
        """Return the total value of a plan, in units."""
        return sum(group[option] for group, option in zip(self.values, plan, strict=True))

    def undominated(self, group: int) -> list[int]:
        """Return the options for which no other is as cheap and as good, by increasing cost.

        >>> Instance(((4, 1, 2, 2),), ((0, 5, 3, 5),), Fraction(1), 9).undominated(0)
        [1, 2, 0]
        """
        costs, values = self.costs[group], self.values[group]
        kept: list[int] = []
        for option in sorted(range(len(costs)), key=lambda o: (costs[o], values[o], o)):
            if not kept or values[option] < values[kept[-1]]:
                kept.append(option)
        return kept

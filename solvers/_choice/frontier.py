"""The exact optimum of a multiple-choice knapsack: partial plans that could still beat the best known one."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from pvq.arrays import F64, I64

from .instance import Instance
from .relaxation import Relaxation

__all__ = ["Proof", "prove"]

VALUE_BITS = 60  # of all values together; longer ones lose their last bits
GAP_RANGE = 2**50  # the distance of the best known plan from the relaxation's bound


@dataclass(frozen=True)
class Proof:
    """What is known of the least value.

    Parameters
    ----------
    plan : the best plan found
    bound : no plan has a smaller value; in units of the instance
    complete : the bound is the least value; but for a share of about 2^-60 of the range of values for each
        group, where values have more bits than that
    """

    plan: tuple[int, ...]
    bound: Fraction
    complete: bool


def prove(instance: Instance, relaxation: Relaxation, known: tuple[int, ...], most_states: int) -> Proof:
    """Return the best plan and a bound that meets it, or a weaker bound where there were too many states.

    Dynamic programming over the groups on partial plans (cost, value), where a partial plan is dropped if
    another is as cheap and as good, and if its regret against the relaxation already exceeds the distance of
    the best known plan. With multiplier p and m_g the least value + p cost in group g, a plan's value is
    L + sum of regrets + p (budget - cost), where L = sum m_g - p budget is the Lagrangian bound and a regret
    is value + p cost - m_g >= 0: an option whose regret exceeds the distance belongs to no better plan
    (D. Pisinger, European Journal of Operational Research 83, 1995, 394-410).

    Whole numbers, rounded down, stand for the exact ones, so that what is dropped is worse for certain; the
    bound is less by all that rounding may have hidden.

    Parameters
    ----------
    known : a plan within the budget
    most_states : partial plans to keep at most
    """
    gap = instance.value(known) - relaxation.bound
    if gap <= 0:
        return Proof(known, relaxation.bound, True)
    core = _Core(instance, relaxation.price, gap)
    states = _States.start()
    trail: list[_States] = []
    for position in range(len(core.order)):
        states = core.extend(states, position)
        trail.append(states)
        if len(states.cost) > most_states:
            least = Fraction(int(states.regret.min()), GAP_RANGE) * gap
            return Proof(known, relaxation.bound + least, False)
    if not len(states.cost):
        return Proof(known, core.safe(Fraction(instance.value(known))), True)
    found = core.plan(trail)
    best = min(found, known, key=instance.value)
    reached = Fraction(core.base + (int(states.value.min()) << core.dropped))
    least = min(reached, Fraction(instance.value(known)))
    return Proof(best, max(relaxation.bound, core.safe(least)), True)


@dataclass(frozen=True)
class _States:
    """Partial plans, by increasing cost and falling value; where each comes from."""

    cost: I64
    value: I64
    regret: I64
    parent: I64
    option: I64

    @staticmethod
    def start() -> _States:
        return _States(*(np.zeros(1, dtype=np.int64) for _ in range(5)))


class _Core:
    """The options that a better plan may take, in whole numbers."""

    def __init__(self, instance: Instance, price: Fraction, gap: Fraction) -> None:
        groups = range(len(instance.costs))
        self.instance, self.price, self.gap = instance, price, gap
        self.options = [self._open(group) for group in groups]
        least = [min(instance.values[g][o] for o in self.options[g]) for g in groups]
        most = [max(instance.values[g][o] for o in self.options[g]) for g in groups]
        self.base = sum(least)
        self.dropped = max(0, (sum(most) - self.base).bit_length() - VALUE_BITS)
        self._least = least
        spread = [self._costs(g).max() - self._costs(g).min() for g in groups]
        self.order = sorted(groups, key=lambda g: -int(spread[g]))
        self._cheapest_rest = self._rest([int(self._costs(g).min()) for g in self.order])
        self._dearest_rest = self._rest([int(self._costs(g).max()) for g in self.order])
        self._slack_rate = min(float(price * GAP_RANGE / gap), 1e300) * (1 - 1e-9)

    def safe(self, value: Fraction) -> Fraction:
        """Return the value less what rounding down a plan's options may have hidden."""
        return value - (len(self.order) << self.dropped if self.dropped else 0)

    def extend(self, states: _States, position: int) -> _States:
        """Return the partial plans with one more group, those left out that cannot be better."""
        group = self.order[position]
        values, regrets = self._whole_values(group), self._whole_regrets(group)
        cost = (states.cost[:, None] + self._costs(group)).ravel()
        value = (states.value[:, None] + values).ravel()
        regret = (states.regret[:, None] + regrets).ravel()
        kept = np.flatnonzero(self._may_win(cost, regret, position))
        kept = kept[np.lexsort((value[kept], cost[kept]))]
        lowest = np.minimum.accumulate(value[kept]) if len(kept) else kept
        kept = kept[np.append(True, value[kept][1:] < lowest[:-1])] if len(kept) else kept
        parent, option = np.divmod(kept, len(values))
        return _States(cost[kept], value[kept], regret[kept], parent, option)

    def plan(self, trail: list[_States]) -> tuple[int, ...]:
        """Return the plan of the last states' least value."""
        plan, at = [0] * len(self.order), int(np.argmin(trail[-1].value))
        for group, states in zip(reversed(self.order), reversed(trail), strict=True):
            plan[group] = self.options[group][int(states.option[at])]
            at = int(states.parent[at])
        return tuple(plan)

    def _open(self, group: int) -> list[int]:
        regrets = self._regrets(group)
        return [option for option in self.instance.undominated(group) if regrets[option] < self.gap]

    def _regrets(self, group: int) -> list[Fraction]:
        pairs = zip(self.instance.costs[group], self.instance.values[group], strict=True)
        priced = [value + self.price * cost for cost, value in pairs]
        least = min(priced)
        return [each - least for each in priced]

    def _costs(self, group: int) -> I64:
        return np.array([self.instance.costs[group][o] for o in self.options[group]], dtype=np.int64)

    def _whole_values(self, group: int) -> I64:
        least, values = self._least[group], self.instance.values[group]
        whole = [(values[o] - least) >> self.dropped for o in self.options[group]]
        return np.array(whole, dtype=np.int64)

    def _whole_regrets(self, group: int) -> I64:
        regrets = self._regrets(group)
        whole = [int(regrets[o] * GAP_RANGE / self.gap) for o in self.options[group]]
        return np.array(whole, dtype=np.int64)

    def _may_win(self, cost: I64, regret: I64, position: int) -> np.ndarray:
        """Return which partial plans fit and could be better than the known one, whatever follows."""
        left = self.instance.budget - cost
        unused = np.maximum(left - self._dearest_rest[position], 0).astype(np.float64)
        penalty: F64 = np.minimum(unused * self._slack_rate, 2.0 * GAP_RANGE)
        return (left >= self._cheapest_rest[position]) & (regret + penalty.astype(np.int64) < GAP_RANGE)

    @staticmethod
    def _rest(costs: list[int]) -> list[int]:
        """Return the sum of what comes after each position."""
        return [sum(costs[position + 1 :]) for position in range(len(costs))]

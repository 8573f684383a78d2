"""How long work tells its caller that it goes on, and how it knows how long it will."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Forecast", "Outlook", "Progress"]


@dataclass(frozen=True)
class Outlook:
    """How far work is.

    Parameters
    ----------
    share : of the work that is done, in [0, 1], by estimated time and not by count
    left : seconds that it will take yet; None as long as nothing is known
    """

    share: float
    left: float | None = None


class Progress(Protocol):
    """Called as work goes on: `done` of `total` steps, and what is being done."""

    def __call__(self, done: int, total: int, label: str = "", outlook: Outlook | None = None) -> None:
        """Show it."""
        ...


@dataclass
class _Tally:
    """Pieces of one kind and cost: how many wait, were found done, and ended here within how many seconds."""

    open: int = 0
    found: int = 0
    timed: int = 0
    seconds: float = 0.0


@dataclass
class Forecast:
    """Estimates the time left from what pieces of work of like cost really took.

    Pieces may differ by orders of magnitude, so they are counted by cost, in any unit that grows with time.
    How many seconds a unit takes is learnt, kind by kind, from the pieces that ended: most from those of
    nearly the same cost. What was found done says nothing about speed.

    Parameters
    ----------
    clock : in seconds

    >>> now = iter([0.0, 10.0, 10.0])
    >>> forecast = Forecast(clock=lambda: next(now))
    >>> for cost in (5.0, 5.0, 20.0):
    ...     forecast.expect("a", cost)
    >>> forecast.ended("a", 5.0, seconds=10.0)
    >>> forecast.outlook()
    Outlook(share=0.1666..., left=50.0)
    """

    clock: Callable[[], float] = time.monotonic
    workers: int = 1
    _tallies: dict[tuple[str, float], _Tally] = field(default_factory=dict)
    _began: float | None = None

    def expect(self, kind: str, cost: float, found: bool = False) -> None:
        """Count a piece of work that is to be done, or was found done; its cost is positive."""
        if not 0 < cost < math.inf:
            raise ValueError(f"cost must be positive and finite, got {cost}")
        if self._began is None:
            self._began = self.clock()
        tally = self._tallies.setdefault((kind, cost), _Tally())
        tally.found += found
        tally.open += not found

    def ended(self, kind: str, cost: float, seconds: float, workers: int = 1) -> None:
        """Count a piece as done; `workers` pieces are done at once."""
        tally = self._tallies[kind, cost]
        tally.open -= 1
        tally.timed += 1
        tally.seconds += seconds
        self.workers = workers

    def outlook(self) -> Outlook:
        """Return how far the work is."""
        spent = math.fsum(tally.seconds for tally in self._tallies.values())
        if not any(tally.timed for tally in self._tallies.values()):
            return Outlook(self._counted_share())
        wanted = [at for at, tally in self._tallies.items() if tally.open or tally.found]
        expected = {at: self._seconds_each(*at) for at in wanted}
        found = self._total(expected, lambda tally: tally.found)
        left = self._total(expected, lambda tally: tally.open)
        whole = spent + found + left
        left -= self._under_way(expected, left, spent)
        open_ = sum(tally.open for tally in self._tallies.values())
        return Outlook(1.0 - left / whole if whole else 1.0, left / max(1, min(self.workers, open_)))

    def _counted_share(self) -> float:
        """Return the share by cost: all that is known before the first piece has ended."""
        cost = {at: at[1] for at in self._tallies}
        found, left = (self._total(cost, count) for count in (lambda t: t.found, lambda t: t.open))
        return found / (found + left) if found else 0.0

    def _total(self, expected: dict[tuple[str, float], float], count: Callable[[_Tally], int]) -> float:
        return math.fsum(seconds * count(self._tallies[at]) for at, seconds in expected.items())

    def _under_way(self, expected: dict[tuple[str, float], float], left: float, spent: float) -> float:
        """Return the seconds of work that workers have done on pieces that have not ended."""
        open_ = {at: self._tallies[at].open for at in expected if self._tallies[at].open}
        if self._began is None or not open_:
            return 0.0
        worked = (self.clock() - self._began) * self.workers - spent
        pieces, longest = sum(open_.values()), max(expected[at] for at in open_)
        # What is under way is half done on average; where nothing waits any more, it may be nearly done.
        share = 0.5 if pieces > self.workers else 0.9
        return min(max(worked, 0.0), share * min(min(self.workers, pieces) * longest, left))

    def _seconds_each(self, kind: str, cost: float) -> float:
        """Return the seconds that a piece will take: cost times the seconds per unit of those like it."""
        known = list(self._timed(kind)) or list(self._timed(None))
        near = [(_nearness(other, cost) * tally.timed, other, tally) for other, tally in known]
        units = math.fsum(weight * other for weight, other, _ in near)
        seconds = math.fsum(weight * tally.seconds / tally.timed for weight, _, tally in near)
        return cost * seconds / units

    def _timed(self, kind: str | None) -> Iterator[tuple[float, _Tally]]:
        for (name, cost), tally in self._tallies.items():
            if tally.timed and kind in (None, name):
                yield cost, tally


def _nearness(cost: float, other: float) -> float:
    """Return a weight that falls with the cube of the ratio of two costs."""
    return min(cost / other, other / cost) ** 3

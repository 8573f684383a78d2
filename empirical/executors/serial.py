"""One item after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

from pvq.empirical.executor import EXECUTORS, Agenda, Done, Pool, Sharing, local_attempt

__all__ = ["Serial"]

T = TypeVar("T")
R = TypeVar("R")


@EXECUTORS.register("serial")
@dataclass(frozen=True)
class Serial:
    """One item after the other, in this process."""

    def open(self) -> AbstractContextManager[Pool]:
        """Return itself: there is nothing to start."""
        return nullcontext(self)

    def run(
        self, function: Callable[..., R], items: Sequence[T], sharing: Sharing[T] | None = None
    ) -> Generator[Done[R]]:
        """Yield the items as they end, those that share something one after the other."""
        shared = [sharing(item) if sharing else None for item in items]
        keys = [one.key if one else "" for one in shared]
        agenda, mine = Agenda(keys), ""
        while (index := agenda.take(mine, ())) is not None:
            mine = keys[index]
            yield local_attempt(index, function, items[index], shared[index])

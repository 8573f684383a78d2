"""Where tasks run: in this process, in several, or on a cluster. Results do not depend on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Generator, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from pvq.registry import Registry, Spec

__all__ = [
    "EXECUTORS",
    "Agenda",
    "Done",
    "Executor",
    "Pool",
    "Shared",
    "Sharing",
    "attempt",
    "executor_of",
    "local_attempt",
    "reason",
]

T = TypeVar("T")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True)
class Done(Generic[R_co]):
    """How one item ended.

    Parameters
    ----------
    index : its place in the sequence
    value : what the function returned, None if it failed
    failure : why there is no value, empty if there is one
    seconds : that the function took
    workers : how many items were under way at once, as far as is known
    """

    index: int
    value: R_co | None = None
    failure: str = ""
    seconds: float = 0.0
    workers: int = 1


@dataclass(frozen=True)
class Shared(Generic[R_co]):
    """What several items need and is too large to be sent with each.

    Parameters
    ----------
    key : of the content; equal keys mean equal values
    load : gets the value from files of this machine, and remembers it: it is called for every item where
        processes of this machine work, and once, here, where a cluster does
    nbytes : size of the value
    """

    key: str
    load: Callable[[], R_co]
    nbytes: int = 0


Sharing = Callable[[T], Shared[Any]]


@runtime_checkable
class Pool(Protocol):
    """Calls functions on items and hands back what they return."""

    def run(
        self, function: Callable[..., R], items: Sequence[T], sharing: Sharing[T] | None = None
    ) -> Generator[Done[R]]:
        """Yield one `Done` an item, as they end, in any order; a failure ends its own item only.

        The call is ``function(item)``, or with `sharing` ``function(item, value)``, where `value` is what the
        item shares. Closing the generator drops what has not ended.

        Raises
        ------
        PvqError : there is nowhere to run any more; what was yielded holds
        """
        ...


@runtime_checkable
class Executor(Protocol):
    """Says where to run."""

    def open(self) -> AbstractContextManager[Pool]:
        """Return what runs items until it is left; its workers serve one `run` after the other.

        Raises
        ------
        PvqError : there is nowhere to run
        """
        ...


EXECUTORS: Registry[Executor] = Registry("executor", "pvq.empirical.executors", Executor)


class Agenda:
    """The items that wait, handed out so that a worker stays with what it has loaded.

    Parameters
    ----------
    keys : what each item shares with others, in the order in which they should begin

    >>> agenda = Agenda(["a", "b", "a"])
    >>> agenda.take("", ()), agenda.take("a", ()), agenda.take("a", ()), agenda.take("a", ())
    (0, 2, 1, None)
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._waiting = dict(enumerate(keys))

    def take(self, mine: str, others: Container[str]) -> int | None:
        """Return the next item for a worker that has loaded `mine`, while others have loaded `others`.

        The first of the same key; else the first whose key nobody has; else the first. None if none waits.
        """
        ranked = ((key != mine, key in others, place, index) for place, (index, key) in self._entries())
        best = min(ranked, default=None)
        if best is None:
            return None
        del self._waiting[best[-1]]
        return best[-1]

    def _entries(self) -> Iterable[tuple[int, tuple[int, str]]]:
        return enumerate(self._waiting.items())

    def put_back(self, index: int, key: str) -> None:
        """Let an item wait again, behind all others."""
        self._waiting[index] = key


def attempt(index: int, function: Callable[..., R], item: Any, *shared: Any) -> Done[R]:
    """Return what the function makes of an item, or why it fails."""
    start = time.perf_counter()
    try:
        value, failure = function(item, *shared), ""
    except Exception as error:  # whatever it was, it is this item's own affair
        value, failure = None, reason(error)
    return Done(index, value, failure, time.perf_counter() - start)


def reason(error: BaseException) -> str:
    """Return an error in one line.

    >>> reason(ValueError("no"))
    'ValueError: no'
    """
    first = (str(error).strip() or "no message").splitlines()[0]
    return f"{type(error).__name__}: {first}"


def local_attempt(index: int, function: Callable[..., R], item: Any, shared: Shared[Any] | None) -> Done[R]:
    """Do as `attempt`, with what the item shares loaded in this process; the loading counts as its work."""
    if shared is None:
        return attempt(index, function, item)
    return attempt(index, lambda one: function(one, shared.load()), item)


def executor_of(workers: int = 1, dask: str = "") -> Executor:
    """Return the executor for a number of processes, this one alone if it is 1, or for a Dask cluster.

    Parameters
    ----------
    workers : processes of this machine
    dask : address of a scheduler; empty for none

    >>> executor_of(1)
    Serial()
    """
    if dask:
        return EXECUTORS.build(Spec("dask", options={"address": dask}))
    return EXECUTORS.build("serial" if workers == 1 else f"processes[workers={workers}]")

"""Where tasks run: in this process, or in several. Results do not depend on it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

__all__ = ["Done", "Executor", "Processes", "Serial", "executor_of"]

T = TypeVar("T")


@dataclass(frozen=True)
class Done:
    """How one task ended.

    Parameters
    ----------
    index : its place in the sequence
    failure : why it has no result, empty if it has one
    """

    index: int
    failure: str = ""


@runtime_checkable
class Executor(Protocol):
    """Runs a function on every item; the function keeps its own results."""

    def run(self, function: Callable[[T], None], items: Sequence[T]) -> Generator[Done]:
        """Yield one `Done` an item, as they end, in any order; a failure ends its own item only."""
        ...


@dataclass(frozen=True)
class Serial:
    """One item after the other, here."""

    def run(self, function: Callable[[T], None], items: Sequence[T]) -> Generator[Done]:
        """Yield the items as they end, in order."""
        for index, item in enumerate(items):
            yield Done(index, _attempt(function, item))


@dataclass(frozen=True)
class Processes:
    """Items spread over fresh processes of this machine.

    Parameters
    ----------
    workers : how many
    """

    workers: int

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, got {self.workers}")

    def run(self, function: Callable[[T], None], items: Sequence[T]) -> Generator[Done]:
        """Yield the items as they end; an interrupt drops what has not begun and lets the rest end."""
        context = multiprocessing.get_context("spawn")  # forking a process with threads in it can hang
        workers = min(self.workers, max(1, len(items)))
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_obey_parent)
        try:
            futures = {pool.submit(_attempt, function, item): index for index, item in enumerate(items)}
            for future in as_completed(futures):
                yield Done(futures[future], _outcome(future))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _obey_parent() -> None:
    """Leave Ctrl-C, which a terminal sends to all processes, to the parent, and end when the parent is gone.

    A worker whose parent was killed would otherwise wait for work for ever: it holds both ends of the queue.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _attempt(function: Callable[[T], None], item: T) -> str:
    """Return why the item failed, empty if it did not."""
    try:
        function(item)
    except Exception as error:  # whatever it was, it is this item's own affair
        first = (str(error).strip() or "no message").splitlines()[0]
        return f"{type(error).__name__}: {first}"
    return ""


def _outcome(future: Future[str]) -> str:
    try:
        return future.result()
    except BrokenProcessPool:
        return "its process died (killed, or out of memory)"


def executor_of(workers: int) -> Executor:
    """Return the executor for a number of processes: this one alone if it is 1.

    >>> executor_of(1)
    Serial()
    """
    return Serial() if workers == 1 else Processes(workers)

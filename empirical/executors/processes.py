"""Items spread over processes of this machine, each with one thread."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from pvq.empirical.executor import (
    EXECUTORS,
    Agenda,
    Done,
    Pool,
    Shared,
    Sharing,
    local_attempt,
    reason,
)

__all__ = ["Processes"]

T = TypeVar("T")
R = TypeVar("R")
# Read by the libraries when they are loaded, so it has to be in a worker's environment from its start.
ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "NUMBA_NUM_THREADS",
    ),
    "1",
)
TRIES = 2
DIED = "its process died twice (killed, or out of memory)"
SETTLE_SECONDS = 2.0  # it takes milliseconds
ORPHAN_SECONDS = 0.5  # between a worker's looks at whether its parent lives


@EXECUTORS.register("processes")
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

    @contextmanager
    def open(self) -> Iterator[Pool]:
        """Yield a pool that starts processes when it has work for them, and ends them on leaving."""
        crew = _Crew([_Worker() for _ in range(self.workers)])
        with warnings.catch_warnings():  # loky's advice on memory is not for our users
            warnings.filterwarnings("ignore", message="A worker stopped while some jobs")
            try:
                yield crew
            finally:
                crew.end(crew.workers)


@dataclass(frozen=True)
class _Crew:
    """The processes of one `open`."""

    workers: list[_Worker]

    def run(
        self, function: Callable[..., R], items: Sequence[T], sharing: Sharing[T] | None = None
    ) -> Generator[Done[R]]:
        """Yield the items as they end.

        An item whose process dies is tried once more, in a fresh one, when the others have begun. Closing
        ends the processes at once: they hold nothing that their parent does not have.
        """
        shift = _Shift(function, items, [sharing(item) if sharing else None for item in items])
        try:
            for worker in self.workers:
                shift.assign(worker, self.workers)
            while busy := {worker.future: worker for worker in self.workers if worker.future is not None}:
                for future in wait(busy, return_when=FIRST_COMPLETED).done:
                    done = shift.outcome(busy[future])
                    shift.assign(busy[future], self.workers)
                    if done is not None:
                        yield replace(done, workers=len(busy))
        finally:
            self.end([worker for worker in self.workers if worker.future is not None])

    def end(self, workers: Sequence[_Worker]) -> None:
        for worker in workers:
            worker.end()


@dataclass
class _Worker:
    """One process in a pool of its own, so that its death costs no other's work."""

    pool: Any = None
    future: Future[Any] | None = None
    index: int = -1
    key: str = ""

    def begin(self, index: int, key: str, *call: Any) -> None:
        self.index, self.key = index, key
        if self.pool is not None:
            self.future = self.pool.submit(local_attempt, index, *call)
            return
        with _starting_quietly():
            self.pool = _pool()
            self.future = self.pool.submit(local_attempt, index, *call)

    def end(self) -> None:
        """End the process, whatever it does."""
        if self.pool is not None:
            self._settle()
            self.pool.shutdown(wait=True, kill_workers=True)
        self.pool, self.future, self.key = None, None, ""

    def _settle(self) -> None:
        """Wait until the pool has taken up its item: loky loses count of one that it has yet to look at."""
        end = time.monotonic() + SETTLE_SECONDS
        while self.future and not (self.future.running() or self.future.done()) and time.monotonic() < end:
            time.sleep(0.001)


@dataclass
class _Shift(Generic[T, R]):
    """The work of one `run`: what waits, and how often each item's process died."""

    function: Callable[..., R]
    items: Sequence[T]
    shared: list[Shared[Any] | None]
    agenda: Agenda = field(init=False)
    deaths: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.agenda = Agenda([self._key(index) for index in range(len(self.items))])

    def _key(self, index: int) -> str:
        shared = self.shared[index]
        return "" if shared is None else shared.key

    def assign(self, worker: _Worker, crew: Sequence[_Worker]) -> None:
        """Give a worker its next item, if any waits."""
        others = {other.key for other in crew if other is not worker}
        index = self.agenda.take(worker.key, others)
        worker.future = None
        if index is not None:
            worker.begin(index, self._key(index), self.function, self.items[index], self.shared[index])

    def outcome(self, worker: _Worker) -> Done[R] | None:
        """Return how a worker's item ended; None if its process died and it is to be tried again."""
        index, future = worker.index, worker.future
        assert future is not None, "asked only of workers that had one"
        try:
            done: Done[R] = future.result()
        except BrokenProcessPool as error:
            worker.end()
            self.deaths[index] += 1
            if self.deaths[index] < TRIES:
                self.agenda.put_back(index, self._key(index))
                return None
            return Done(index, failure=_cause(error))
        except Exception as error:  # what could not be sent to the process or back
            return Done(index, failure=reason(error))
        return done


def _cause(error: BrokenProcessPool) -> str:
    """Tell a process that was killed from one that could not read its task."""
    return DIED if type(error).__name__ == "TerminatedWorkerError" else reason(error)


def _pool() -> Any:
    """Return a pool of one process; loky's, which can be given an environment and needs no ``__main__``."""
    from joblib.externals.loky import ProcessPoolExecutor

    return ProcessPoolExecutor(1, initializer=_obey_parent, initargs=(os.getpid(),), env=ONE_THREAD)


@contextmanager
def _starting_quietly() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach before they can ignore it, and whose tracker says nothing.

    A blocked signal is blocked in a child from its first instruction; here it arrives on leaving. The tracker
    of semaphores clears up after a killed process; its warning tells a user nothing.
    """
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [before, "ignore:resource_tracker"]))
    mask = getattr(signal, "pthread_sigmask", None)  # absent on Windows, as are trackers
    if mask:
        _start_trackers()
    blocked = mask(signal.SIG_BLOCK, {signal.SIGINT}) if mask else None
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before
        if mask:
            mask(signal.SIG_SETMASK, blocked)


def _start_trackers() -> None:
    """Start the processes that clear up after others: when they do, they let signals through again."""
    from multiprocessing import resource_tracker

    from joblib.externals.loky.backend import resource_tracker as loky_tracker

    resource_tracker.ensure_running()
    loky_tracker.ensure_running()


def _obey_parent(parent: int) -> None:
    """Leave Ctrl-C, which a terminal sends to all processes, to the parent, and end when the parent is gone.

    A worker whose parent was killed would otherwise wait for work for ever: it holds both ends of the queue.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(ORPHAN_SECONDS)
    os._exit(1)

"""Items spread over a Dask cluster, by the address of its scheduler. No file system is shared with it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Generic, TypeVar

from pvq.empirical.executor import EXECUTORS, Done, Pool, Shared, Sharing, attempt, reason
from pvq.empirical.tasks import code_digest
from pvq.errors import PvqError

from ._connection import check_code, connected, expected_code, other_code

__all__ = ["Dask"]

T = TypeVar("T")
R = TypeVar("R")
LOOK_SECONDS = 20.0  # between questions of how many workers there are
AHEAD_BYTES = 1 << 30  # of shared values that the cluster holds for items that have not ended


@EXECUTORS.register("dask")
@dataclass(frozen=True)
class Dask:
    """Items spread over a Dask cluster.

    Parameters
    ----------
    address : of the scheduler, such as ``tcp://10.0.0.1:8786``
    """

    address: str

    @contextmanager
    def open(self) -> Iterator[Pool]:
        """Yield a pool of the workers that the cluster has; they may join and leave meanwhile.

        Raises
        ------
        PvqError : no scheduler answers, or the cluster runs other code than this process
        """
        with connected(self.address) as client:
            check_code(client, self.address)
            yield _Cluster(client, self.address)


@dataclass(frozen=True)
class _Cluster:
    """The connection of one `open`."""

    client: Any
    address: str

    def run(
        self, function: Callable[..., R], items: Sequence[T], sharing: Sharing[T] | None = None
    ) -> Generator[Done[R]]:
        """Yield the items as they end; a shared value is sent to the cluster once and passed on there.

        An item whose worker dies is run again elsewhere, as often as Dask's ``allowed-failures`` says (3
        unless configured).

        Raises
        ------
        PvqError : the scheduler is lost, or a worker that joined runs other code
        """
        session = _Session(self.client, self.address, function, items)
        try:
            yield from session.run([sharing(item) if sharing else None for item in items])
        finally:
            self.client.cancel(list(session.indices), force=True)


@dataclass
class _Session(Generic[T, R]):
    """One `run` on a cluster.

    Parameters
    ----------
    name : tells its keys on the scheduler from those of others
    indices : the items under way, by their future
    looked, workers : when the cluster was asked last how many items it takes at once, and its answer
    """

    client: Any
    address: str
    function: Callable[..., R]
    items: Sequence[T]
    name: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    indices: dict[Any, int] = field(default_factory=dict)
    looked: float = -LOOK_SECONDS
    workers: int = 1

    def run(self, shared: Sequence[Shared[Any] | None]) -> Generator[Done[R]]:
        """Send the items, those of one shared value together, not too many values ahead; yield the ends."""
        from distributed import as_completed

        ends: Any = as_completed(loop=self.client.loop)  # type: ignore[no-untyped-call]
        waiting = _groups(shared)
        held: dict[str, _Held] = {}
        while True:
            while waiting and sum(group.nbytes for group in held.values()) < AHEAD_BYTES:
                group = waiting.pop(0)
                held[group.key] = group
                for future in self._send(group):
                    ends.add(future)
            if not held:
                return
            future = next(ends)
            done = self._outcome(future)
            key = "" if (one := shared[done.index]) is None else one.key
            held[key].open -= 1
            if not held[key].open:
                del held[key]  # and with its last reference the value on the cluster
            yield done

    def _send(self, group: _Held) -> Iterator[Any]:
        """Submit the items of a group and remember their futures."""
        values: list[Any] = []
        if group.shared is not None:
            # As a task, not scattered: what a task returned is made again when the worker that has it dies.
            value = group.shared.load()
            group.value = self._submit(_same, value, name=f"shared-{group.key}")
            values = [group.value]
        for index in group.members:
            call = (expected_code(), index, self.function, self.items[index], *values)
            future = self._submit(_remote_attempt, *call, name=f"item-{index}")
            self.indices[future] = index
            yield future

    def _submit(self, function: Callable[..., Any], *arguments: Any, name: str) -> Any:
        return self.client.submit(function, *arguments, key=f"pvq-{name}-{self.name}", pure=False)

    def _outcome(self, future: Any) -> Done[R]:
        """Return how an item ended.

        Raises
        ------
        PvqError : the connection is lost, or the worker runs other code
        """
        from distributed import CancelledError

        index = self.indices.pop(future)
        try:
            done: Done[R] = future.result()
        except CancelledError:
            raise PvqError(f"lost the Dask scheduler at {self.address}; {KEPT}") from None
        except PvqError:
            raise
        except Exception as error:
            return Done(index, failure=_cause(error), workers=self.workers)
        return replace(done, workers=self._count_workers())

    def _count_workers(self) -> int:
        """Return how many items the cluster takes at once, asked now and then."""
        if time.monotonic() - self.looked > LOOK_SECONDS:
            self.looked = time.monotonic()
            self.workers = max(1, sum(self.client.nthreads().values()))
        return self.workers


KEPT = "what was finished is kept, run the same command to go on"


@dataclass
class _Held:
    """The items that share one value, and the value on the cluster."""

    key: str
    shared: Shared[Any] | None
    members: list[int] = field(default_factory=list)
    open: int = 0
    value: Any = None

    @property
    def nbytes(self) -> int:
        return 0 if self.shared is None else self.shared.nbytes


def _groups(shared: Sequence[Shared[Any] | None]) -> list[_Held]:
    """Return the items by what they share, in the order of their first."""
    groups: dict[str, _Held] = {}
    for index, one in enumerate(shared):
        key = "" if one is None else one.key
        group = groups.setdefault(key, _Held(key, one))
        group.members.append(index)
        group.open += 1
    return list(groups.values())


def _cause(error: Exception) -> str:
    if type(error).__name__ == "KilledWorker":
        return "its worker died too often (killed, or out of memory)"
    return reason(error)


def _same(value: T) -> T:
    return value


def _remote_attempt(
    expected: str, index: int, function: Callable[..., R], item: Any, *shared: Any
) -> Done[R]:
    """Do as `attempt`, in a worker that may have joined after the others were checked."""
    _one_thread()
    if code_digest() != expected:
        raise PvqError(other_code("a worker that joined", code_digest(), expected))
    return attempt(index, function, item, *shared)


@lru_cache(maxsize=1)
def _one_thread() -> Any:
    """Keep BLAS of this worker on one thread for good: limits that tasks set and lift again would mix."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1)

"""The connection to a Dask cluster: made within a time, to those that run our code, and quiet about it."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

from pvq.empirical.executor import reason
from pvq.empirical.tasks import code_digest
from pvq.errors import MissingExtra, PvqError

__all__ = ["check_code", "connected", "expected_code", "other_code"]

CONNECT_SECONDS = 5.0
LARGE_GRAPH = 1 << 34  # bytes in one message to the scheduler, below which Dask is not to warn
_log = logging.getLogger("pvq.dask")


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Yield a client of the cluster, closed on leaving.

    Raises
    ------
    PvqError : no scheduler answers there
    """
    try:
        from dask.config import set as configured
        from distributed import Client
    except ImportError as error:
        raise MissingExtra("distributed", "cluster") from error
    calm = {"distributed.admin.large-graph-warning-threshold": LARGE_GRAPH}
    with _quiet(), configured(calm):
        _knock(address)
        client: Any = Client.__new__(Client)  # to hold on to it where the rest of its birth fails
        try:
            _begin(client, address)
            yield client
        finally:
            with suppress(Exception):  # a farewell that nobody hears costs nothing
                client.close(timeout=CONNECT_SECONDS)


def _begin(client: Any, address: str) -> None:
    """Connect; apart from what is done with the connection, whose own OSError is another matter."""
    try:
        client.__init__(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except OSError as error:
        raise PvqError(f"no Dask scheduler answers at {address}: {_one_line(error)}") from error


def _knock(address: str) -> None:
    """See that something of Dask's answers at an address, within a time that a client would not keep to.

    A client that waits in vain also leaves threads behind, and hangs when it is thrown away.

    Raises
    ------
    PvqError : nobody does, or it is no address
    """

    async def greet() -> None:
        from distributed.comm.core import connect
        from distributed.security import Security

        security: Any = Security()  # type: ignore[no-untyped-call]
        credentials = security.get_connection_args("client")
        opening: Any = connect(address, timeout=CONNECT_SECONDS, **credentials)  # type: ignore[no-untyped-call]
        (await asyncio.wait_for(opening, 1.2 * CONNECT_SECONDS)).abort()

    with ThreadPoolExecutor(1) as apart:  # from a loop that may run here, in a notebook say
        try:
            apart.submit(asyncio.run, greet()).result()
        except TimeoutError as error:
            raise PvqError(f"no Dask scheduler answers at {address}: something else listens there") from error
        except (OSError, ValueError, TypeError) as error:
            raise PvqError(f"no Dask scheduler answers at {address}: {_one_line(error)}") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what Dask logs of lost connections and differing versions; we say it in one line."""
    log = logging.getLogger("distributed")
    names = ["distributed", *(name for name in log.manager.loggerDict if name.startswith("distributed."))]
    before = {name: logging.getLogger(name).level for name in names}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="distributed")
        for name in names:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            for name, level in before.items():
                logging.getLogger(name).setLevel(level)


def expected_code() -> str:
    """Return what everyone's code must be."""
    return code_digest()


def check_code(client: Any, address: str) -> None:
    """See that scheduler and workers run our code.

    Raises
    ------
    PvqError : one does not
    """
    expected = expected_code()
    found = {f"the scheduler {address}": _ask(lambda: client.run_on_scheduler(code_digest))}
    workers = client.run(code_digest, on_error="return")
    found |= {f"the worker {name}": answer for name, answer in workers.items()}
    for name, answer in found.items():
        if answer != expected:
            raise PvqError(other_code(name, answer, expected))
    if not workers:
        _log.warning("no worker has joined %s yet; waiting for one", address)


def _ask(question: Callable[[], Any]) -> Any:
    """Return the answer, or the error that comes instead."""
    try:
        return question()
    except Exception as error:
        return error


def other_code(name: str, answer: Any, expected: str) -> str:
    """Return the sentence that says who runs what."""
    says = reason(answer) if isinstance(answer, BaseException) else f"code {answer}"
    return (
        f"{name} runs other code than this process: {says}, here {expected}; "
        "install the same pvq, NumPy, SciPy and Numba on both"
    )

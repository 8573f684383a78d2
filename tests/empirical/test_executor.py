"""Executors: every item ends once, a failure is its own, a killed process costs its own item only."""

from __future__ import annotations

import operator
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import workload

import pvq
from pvq.empirical.executor import EXECUTORS, Agenda, Done, Executor, Shared, executor_of
from pvq.empirical.executors.processes import ONE_THREAD, Processes
from pvq.empirical.executors.serial import Serial
from pvq.errors import SpecError

LOCAL = pytest.mark.parametrize("executor", [Serial(), Processes(2)], ids=["serial", "processes"])


def _all(executor: Executor, function: Callable[..., Any], items: list[Any]) -> list[Done[Any]]:
    """Return how the items ended, in their order."""
    with executor.open() as pool:
        return sorted(pool.run(function, items), key=lambda done: done.index)


@LOCAL
def test_every_item_ends_once_with_its_value_and_failures_do_not_spread(executor: Executor) -> None:
    ended = _all(executor, operator.neg, [1, "x", 3, 4])
    assert [done.index for done in ended] == [0, 1, 2, 3]
    assert [done.value for done in ended] == [-1, None, -3, -4]
    assert [done.failure for done in ended if done.failure] == [
        "TypeError: bad operand type for unary -: 'str'"
    ]


@LOCAL
def test_a_pool_serves_one_run_after_the_other(executor: Executor) -> None:
    with executor.open() as pool:
        for items in ([1, 2], [], [3]):
            assert sorted(done.value for done in pool.run(operator.pos, items)) == items


@LOCAL
def test_what_items_share_is_loaded_by_whoever_works_on_it(executor: Executor, tmp_path: Path) -> None:
    def sharing(item: int) -> Shared[list[int]]:
        key = "ab"[item % 2]
        return Shared(key, partial(workload.load, tmp_path, key))

    with executor.open() as pool:
        ended = [done.value for done in pool.run(workload.with_shared, range(8), sharing) if done.value]
    assert sorted(value[:2] for value in ended) == [(item, ord("ab"[item % 2])) for item in range(8)]
    for key in "ab":
        loaded = (tmp_path / key).read_text().splitlines()
        assert len(set(loaded)) == len(loaded) <= 2
    workload._KEPT.clear()


def test_a_worker_stays_with_what_it_has_and_goes_first_where_nobody_is() -> None:
    agenda = Agenda(["a", "a", "b", "a", "c"])
    assert agenda.take("", {"a"}) == 2
    assert agenda.take("a", {"a", "b"}) == 0
    assert agenda.take("b", {"a"}) == 4
    assert agenda.take("c", {"a"}) == 1
    agenda.put_back(0, "a")
    assert [agenda.take("a", ()) for _ in range(3)] == [3, 0, None]


def test_a_killed_worker_costs_its_own_item_only_and_that_is_done_again(tmp_path: Path) -> None:
    items = [tmp_path / name for name in ("a", "once", "b", "c", "d")]
    ended = _all(Processes(2), workload.leave_line, items)
    assert [done.value for done in ended] == ["a", "once", "b", "c", "d"]
    begun = {item.name: len(item.read_text().splitlines()) for item in items}
    assert begun == {"a": 1, "once": 2, "b": 1, "c": 1, "d": 1}


def test_an_item_that_kills_its_process_twice_has_failed() -> None:
    (lost,) = _all(Processes(2), workload.die, [1])
    assert lost.failure == "its process died twice (killed, or out of memory)"
    assert lost.value is None


def test_what_cannot_be_sent_says_so() -> None:
    sent, kept = _all(Processes(1), operator.pos, [(value for value in ()), 2])
    assert "pickle" in sent.failure
    assert kept.value == 2


def test_workers_have_one_thread_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ONE_THREAD:
        monkeypatch.setenv(name, "2")
    (done,) = _all(Processes(1), workload.threads, [None])
    assert done.value, done.failure
    assert set(done.value) == {1}


@LOCAL
def test_closing_a_run_drops_what_has_not_begun(executor: Executor, tmp_path: Path) -> None:
    items = [tmp_path / f"{number}" for number in range(20)]
    with executor.open() as pool:
        steps = pool.run(workload.leave_line, items)
        next(steps)
        steps.close()
        assert [done.value for done in pool.run(operator.neg, [1])] == [-1], "the pool still serves"
    assert 0 < len(list(tmp_path.iterdir())) < 10


def test_executors_are_named_and_checked() -> None:
    assert executor_of(1) == EXECUTORS.build("serial") == Serial()
    assert executor_of(3) == EXECUTORS.build("processes[workers=3]") == Processes(3)
    assert executor_of(dask="tcp://h:1") == EXECUTORS.build("dask[address=tcp://h:1]")
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        executor_of(0)
    with pytest.raises(SpecError, match="unknown executor 'proceses'; did you mean processes"):
        EXECUTORS.build("proceses[workers=2]")


ENDLESS = """
import time
from pvq.empirical.executors.processes import Processes
try:
    with Processes(2).open() as pool:
        for done in pool.run(time.sleep, [0.0, 0.0, 600.0, 600.0, 600.0]):
            print("ready", flush=True)
except KeyboardInterrupt:
    pass
"""
LINUX = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="data: needs the process table of Linux"
)


def _children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def _alive(pid: int) -> bool:
    """Return whether a process runs; one that has ended and waits to be asked for its exit code does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def _endless() -> Iterator[subprocess.Popen[bytes]]:
    """Yield a process whose two workers never end."""
    environment = {**os.environ, "PYTHONPATH": str(Path(pvq.__file__).parents[1])}
    command, pipe = [sys.executable, "-c", ENDLESS], subprocess.PIPE
    with subprocess.Popen(
        command, stdout=pipe, stderr=pipe, start_new_session=True, env=environment
    ) as parent:
        try:
            yield parent
        finally:
            parent.kill()


def _end_of(workers: set[int]) -> None:
    end = time.monotonic() + 60
    while any(map(_alive, workers)):
        assert time.monotonic() < end, "a worker lives on"
        time.sleep(0.05)


@LINUX
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_their_parent_however_that_ends(number: signal.Signals) -> None:
    with _endless() as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        workers = _children(parent.pid)
        assert len(workers) >= 2
        parent.send_signal(number)
        parent.wait(timeout=60)
        _end_of(workers)


@LINUX
def test_ctrl_c_ends_all_at_once_and_in_silence() -> None:
    """A terminal sends it to the whole group of processes, and so it is here; to workers that start, too."""
    with _endless() as parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        while not (workers := _workers(parent.pid)):
            time.sleep(0.01)
        for worker in workers:
            os.kill(worker, signal.SIGINT)
        assert parent.stdout.readline() == b"ready\n"
        workers = _workers(parent.pid)
        os.killpg(parent.pid, signal.SIGINT)
        assert parent.wait(timeout=60) == 0
        assert parent.stderr.read() == b""
        _end_of(workers)


@LINUX
def test_closing_a_run_ends_the_processes_at_work() -> None:
    with Processes(2).open() as pool:
        steps = pool.run(time.sleep, [0.0, 600.0, 600.0])
        next(steps)
        workers = _workers(os.getpid())
        assert len(workers) == 2
        steps.close()
        _end_of(workers)


def _workers(pid: int) -> set[int]:
    return {child for child in _children(pid) if b"popen_loky" in Path(f"/proc/{child}/cmdline").read_bytes()}

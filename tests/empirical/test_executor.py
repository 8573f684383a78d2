"""Executors: every item ends once, a failure is its own."""

from __future__ import annotations

import operator
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pvq.empirical.executor import Executor, Processes, Serial, executor_of

leave_mark = operator.methodcaller("mkdir")  # picklable, and it fails where the parent folder is missing


@pytest.mark.parametrize("executor", [Serial(), Processes(2)], ids=["serial", "processes"])
def test_every_item_ends_once_and_failures_do_not_spread(executor: Executor, tmp_path: Path) -> None:
    items = [tmp_path / name for name in ("a", "missing/bad", "b", "c")]
    ended = {done.index: done.failure for done in executor.run(leave_mark, items)}
    assert ended.pop(1).startswith("FileNotFoundError: ")
    assert ended == {0: "", 2: "", 3: ""}
    assert all(items[i].exists() for i in (0, 2, 3))


def test_processes_are_other_processes_and_a_dead_one_is_reported() -> None:
    (lost,) = Processes(1).run(os._exit, [1])
    assert lost.failure == "its process died (killed, or out of memory)"


def test_an_interrupt_leaves_serial_work_where_it_was(tmp_path: Path) -> None:
    steps = Serial().run(leave_mark, [tmp_path / "a", tmp_path / "b"])
    next(steps)
    with pytest.raises(KeyboardInterrupt):
        steps.throw(KeyboardInterrupt)
    assert (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()


def test_one_worker_is_this_process_and_none_is_refused() -> None:
    assert executor_of(1) == Serial()
    assert executor_of(3) == Processes(3)
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        executor_of(0)


def test_nothing_to_do_is_done() -> None:
    assert list(Processes(2).run(leave_mark, [])) == []


ENDLESS = """
import time
from pvq.empirical.executor import Processes
if __name__ == "__main__":
    list(Processes(1).run(time.sleep, [0.0, 600.0]))
"""


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


def _wait_for(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="data: needs the process table of Linux")
def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    parent = subprocess.Popen([sys.executable, str(script)])
    _wait_for(lambda: len(_children(parent.pid)) >= 2)  # the worker and the tracker of shared resources
    workers = _children(parent.pid)
    parent.kill()
    parent.wait()
    _wait_for(lambda: not any(Path(f"/proc/{worker}/stat").exists() for worker in workers))


def test_closing_the_run_drops_what_has_not_begun(tmp_path: Path) -> None:
    steps = Processes(1).run(leave_mark, [tmp_path / f"{i}" for i in range(3000)])
    next(steps)
    steps.close()
    assert 0 < len(list(tmp_path.iterdir())) < 3000

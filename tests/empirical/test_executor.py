"""Executors: every item ends once, a failure is its own."""

from __future__ import annotations

import operator
import os
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
        steps.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
    assert (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()


def test_one_worker_is_this_process_and_none_is_refused() -> None:
    assert executor_of(1) == Serial()
    assert executor_of(3) == Processes(3)
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        executor_of(0)


def test_nothing_to_do_is_done() -> None:
    assert list(Processes(2).run(leave_mark, [])) == []

"""A cluster of real processes gives what one process does, and says in one line what it cannot do."""

from __future__ import annotations

import errno
import operator
import os
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import tiny_network as tiny
import workload
from dask_cluster import Cluster, cluster

from pvq.empirical.atomic import CannotWrite
from pvq.empirical.executor import Shared
from pvq.empirical.executors import _connection, dask_cluster
from pvq.empirical.executors.dask_cluster import Dask
from pvq.empirical.layerwise import run_bounds
from pvq.empirical.verify_run import verify_run
from pvq.errors import PvqError
from pvq.solvers.verify import verify_path

WIDTHS = {"bits": (2.0, 3.0)}
MEASURED = ("seconds", "peak_mb")


def _timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key not in MEASURED} for row in rows]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as started:
        yield started


def test_items_end_once_share_what_they_share_and_fail_alone(running: Cluster, tmp_path: Path) -> None:
    with Dask(running.address).open() as pool:
        shared = Shared("a", partial(workload.load, tmp_path, "a"), nbytes=100)
        ended = list(pool.run(workload.with_shared, range(8), lambda _: shared))
        assert sorted((done.index, done.value[:2]) for done in ended if done.value) == [
            (item, (item, ord("a"))) for item in range(8)
        ]
        failed = {done.index: done.failure for done in pool.run(operator.neg, [1, "x", 3])}
        assert failed == {0: "", 1: "TypeError: bad operand type for unary -: 'str'", 2: ""}
        assert list(pool.run(operator.neg, [])) == []
    assert len((tmp_path / "a").read_text().splitlines()) == 1, "loaded here, sent from here"
    workload._KEPT.clear()


def test_large_values_go_out_a_few_at_a_time(
    running: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_cluster, "AHEAD_BYTES", 150)
    with Dask(running.address).open() as pool:
        sharing = {key: Shared(key, partial(workload.load, tmp_path, key), nbytes=100) for key in "abcde"}
        steps = pool.run(workload.with_shared, list(range(10)), lambda item: sharing["abcde"[item // 2]])
        next(steps)
        assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}
        assert len(list(steps)) == 9
    assert {path.name for path in tmp_path.iterdir()} == set("abcde")
    workload._KEPT.clear()


def test_workers_are_kept_to_one_thread(running: Cluster) -> None:
    with Dask(running.address).open() as pool:
        (done,) = pool.run(workload.threads, [None])
    assert done.value is not None, done.failure
    assert set(done.value[:-1]) == {1}


def test_other_code_on_the_cluster_is_refused_in_one_line(
    running: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (_connection, dask_cluster):
        monkeypatch.setattr(module, "expected_code", lambda: "0123")
    with pytest.raises(PvqError, match=r"^the scheduler tcp://.* runs other code than this process: code"):
        Dask(running.address).open().__enter__()
    monkeypatch.setattr(dask_cluster, "check_code", lambda *_: None)
    with (
        Dask(running.address).open() as pool,
        pytest.raises(PvqError, match=r"^a worker that joined runs other code .*, here 0123; install"),
    ):
        list(pool.run(operator.neg, [1]))


def test_a_full_disk_is_told_as_that_on_a_cluster_too(
    running: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CannotWrite, match=r"cannot be written: No space left on device$"):
        run_bounds(tiny.run_of(tmp_path, layers="head", dask=running.address))


@pytest.fixture
def taken() -> Iterator[list[str]]:
    """Addresses of sockets that refuse, and that accept and say nothing."""
    with socket.socket() as refusing, socket.socket() as mute:
        for one in (refusing, mute):
            one.bind(("127.0.0.1", 0))
        mute.listen()
        yield [f"tcp://127.0.0.1:{one.getsockname()[1]}" for one in (refusing, mute)]


def test_nobody_at_the_address_and_no_address_are_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, taken: list[str]
) -> None:
    monkeypatch.setattr(_connection, "CONNECT_SECONDS", 0.5)
    for address in (*taken, "nonsense", "foo://bar:1"):
        with pytest.raises(PvqError, match=f"^no Dask scheduler answers at {address}: .+") as caught:
            run_bounds(tiny.run_of(tmp_path, dask=address))
        assert "\n" not in str(caught.value)


def test_a_run_on_a_cluster_that_loses_a_worker_is_the_serial_run_bit_for_bit(
    running: Cluster, tmp_path: Path
) -> None:
    serial = run_bounds(tiny.run_of(tmp_path / "serial", **WIDTHS))
    killed: list[int] = []

    def kill_one(done: int, total: int, *_: object) -> None:
        if 0 < done < total and not killed:
            killed.append(total - done)
            running.workers[0].kill()

    settings = tiny.run_of(tmp_path / "dask", dask=running.address, **WIDTHS)
    rows = run_bounds(settings, kill_one)
    assert killed
    assert killed[0] > 8, "the worker died with most of the work to do"
    assert running.workers[0].wait() != 0
    assert _timeless(rows) == _timeless(serial)
    claims = verify_path(settings.out)
    assert all(claim["accepted"] for claim in claims)
    assert verify_run(settings.out, claims) == []


def test_a_lost_scheduler_ends_the_run_in_one_line_and_what_was_finished_is_kept(
    running: Cluster, tmp_path: Path
) -> None:
    """The last test of this file: it takes the scheduler with it."""
    finished: list[int] = []

    def kill_scheduler(done: int, *_: object) -> None:
        finished.append(done)
        if done == 3 and running.scheduler is not None:
            running.scheduler.kill()

    settings = tiny.run_of(tmp_path, dask=running.address, **WIDTHS)
    with pytest.raises(PvqError, match=r"^lost the Dask scheduler at tcp://.*; what was finished is kept"):
        run_bounds(settings, kill_scheduler)
    kept = len(list((settings.out / "tasks").iterdir()))
    assert 3 <= kept < 16
    resumed: list[int] = []
    rows = run_bounds(tiny.run_of(tmp_path, **WIDTHS), lambda done, *_: resumed.append(done))
    assert resumed[1] == kept, "after the first call, of the calibration"
    assert all(row["certified"] for row in rows)

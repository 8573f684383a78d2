"""A full disk ends a run in one line, leaves no half file, and the run goes on from there."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_network as tiny

from pvq.empirical.atomic import CannotWrite, write_bytes
from pvq.empirical.effort import METHODS, Rung
from pvq.empirical.executor import Done
from pvq.empirical.executors.serial import Serial
from pvq.empirical.layerwise import run_bounds
from pvq.empirical.run_folder import RunFolder, solve_task
from pvq.empirical.tasks import Methods
from pvq.empirical.verify_run import verify_run
from pvq.solvers.verify import verify_path

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key not in ("seconds", "peak_mb")} for row in rows]


def _files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return run_bounds(tiny.run_of(tmp_path_factory.mktemp("undisturbed")))


@pytest.mark.parametrize("writes", [0, 1, 2, 7, 20])
def test_a_disk_that_fills_up_at_any_file_is_told_and_the_run_goes_on(
    writes: int, undisturbed: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, left = os.fsync, [writes]

    def fill_up(handle: int) -> None:
        if left[0] == 0:
            raise FULL
        left[0] -= 1
        sync(handle)

    settings = tiny.run_of(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill_up)
        with pytest.raises(CannotWrite, match=r"^/.* cannot be written: No space left on device$"):
            run_bounds(settings)
    assert not [name for name in _files(settings.out) if name.endswith(".tmp") or "part-" in name]
    for path in (settings.out / "tasks").glob("*"):
        assert RunFolder(settings.out).tasks.get(path.stem) is not None, "whole or not there"
    assert _timeless(run_bounds(settings)) == _timeless(undisturbed)
    assert verify_run(settings.out, verify_path(settings.out)) == []


def test_what_failed_to_be_written_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    write_bytes(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(FULL))
    with pytest.raises(CannotWrite):
        write_bytes(path, b"new")
    assert _files(tmp_path) == ["a"]
    assert path.read_bytes() == b"old"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    mount, at = shutil.which("mount"), tmp_path / "small"
    at.mkdir()
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(at)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("data: needs the right to mount a small file system")
    yield at
    subprocess.run(["umount", str(at)], check=True)


def test_a_disk_that_is_really_full(
    small_disk: Path, undisturbed: list[dict[str, Any]], tmp_path: Path
) -> None:
    settings = tiny.run_of(tmp_path)
    settings.out.symlink_to(small_disk, target_is_directory=True)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(200_000))
    with pytest.raises(OSError, match="No space left on device"):
        run_bounds(settings)
    assert not [name for name in _files(small_disk) if name.endswith(".tmp")]
    ballast.unlink()
    kept = len(list((small_disk / "tasks").glob("*"))) if (small_disk / "tasks").exists() else 0
    assert kept < 8
    assert _timeless(run_bounds(settings)) == _timeless(undisturbed)


LADDER = tuple(
    Rung(role, camp, Methods("exact"), 64, 1.0) for role in ("behind", "ahead") for camp in METHODS
)


def test_what_was_escalated_is_resumed_and_redone_where_it_was_damaged(tmp_path: Path) -> None:
    settings = tiny.run_of(tmp_path, bits=(2.0,), ladder=LADDER)
    rows = run_bounds(settings)
    assert any(row["stage"] for row in rows)
    records = sorted((settings.out / "tasks").iterdir())
    proofs = sorted((settings.out / "certificates").glob("*.cert.npz"))
    exact = [path for path in records if '"exact"' in path.read_text()]
    assert exact, "escalated tasks are among them"
    for number, path in enumerate([*exact, *proofs]):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2] if number % 2 else content[:-1] + b"?")
    assert _timeless(run_bounds(settings)) == _timeless(rows)
    assert verify_run(settings.out, verify_path(settings.out)) == []


def test_an_interrupt_in_a_later_stage_loses_nothing(tmp_path: Path) -> None:
    whole = run_bounds(tiny.run_of(tmp_path / "whole", bits=(2.0,), ladder=LADDER))
    settings = tiny.run_of(tmp_path / "cut", bits=(2.0,), ladder=LADDER)

    def interrupt(done: int, total: int, *_: object) -> None:
        if done == total > 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_bounds(settings, interrupt)
    assert len(list((settings.out / "tasks").iterdir())) > 8
    assert _timeless(run_bounds(settings)) == _timeless(whole)


def test_a_task_whose_process_dies_is_a_row_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_dies(self: Serial, function: Any, items: Any, sharing: Any = None) -> Iterator[Done[Any]]:
        for index, item in enumerate(items):
            dead = (item.layer, item.camp) == ("head", "prune")
            yield Done(index, failure="its process died twice") if dead else Done(index, solve_task(item))

    monkeypatch.setattr(Serial, "run", one_dies)
    rows = {row["layer"]: row for row in run_bounds(tiny.run_of(tmp_path))}
    assert "prune: its process died twice" in rows["head"]["note"]
    assert rows["head"]["verdict"] is None
    assert rows["first"]["certified"]

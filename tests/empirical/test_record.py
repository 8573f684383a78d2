"""Records and the files they stand in: whole or not at all."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from pvq.empirical.atomic import write_bytes, write_text
from pvq.empirical.bundle import bundle_run, bundled_path
from pvq.empirical.model import file_sha256
from pvq.empirical.record import (
    EpochMetrics,
    RunRecord,
    read_record,
    write_metrics,
    write_record,
)
from pvq.errors import PvqError

EPOCH = EpochMetrics(1, 2.25, 0.125, None, 0.1, 3.5)
RECORD = RunRecord(
    {"name": "a"},
    "0123",
    (EPOCH,),
    0.5,
    10,
    7,
    "weights.safetensors",
    "abc",
    3.5,
    {"git": None, "platform": "Linux-1.2-x"},
)


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    write_record(tmp_path / "record.json", RECORD)
    assert read_record(tmp_path / "record.json") == RECORD


def test_metrics_are_one_line_of_json_per_epoch(tmp_path: Path) -> None:
    write_metrics(tmp_path / "metrics.jsonl", [EPOCH, dataclasses.replace(EPOCH, epoch=2)])
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[0] == dataclasses.asdict(EPOCH)


def test_time_is_no_part_of_the_numbers() -> None:
    assert dataclasses.replace(EPOCH, seconds=9.0).numbers() == EPOCH.numbers()
    assert dataclasses.replace(EPOCH, loss=9.0).numbers() != EPOCH.numbers()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"epochs": []}', '{"epochs": [{"epoch": 1}]}', "7"])
def test_files_that_hold_no_record_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "record.json"
    with pytest.raises(PvqError, match="holds no run record"):
        read_record(path)
    path.write_text(text)
    with pytest.raises(PvqError, match="holds no run record"):
        read_record(path)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "old")

    def broken(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("pvq.empirical.atomic.os.fsync", broken)
    with pytest.raises(OSError, match="disk full"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [file.name for file in path.parent.iterdir()] == ["a.txt"]


def test_a_reader_never_sees_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_bytes(path, b"old")
    seen = []
    monkeypatch.setattr("pvq.empirical.atomic.os.fsync", lambda descriptor: seen.append(path.read_bytes()))
    write_bytes(path, b"new and longer")
    assert seen == [b"old"]
    assert path.read_bytes() == b"new and longer"


def test_a_file_is_replaced_and_not_written_over(tmp_path: Path) -> None:
    path, kept = tmp_path / "a.txt", tmp_path / "kept.txt"
    write_text(path, "old")
    kept.hardlink_to(path)
    write_text(path, "new")
    assert (path.read_text(), kept.read_text()) == ("new", "old")


def test_a_run_is_bundled_with_its_record(tmp_path: Path) -> None:
    run, bundle = tmp_path / "run", tmp_path / "bundle"
    write_bytes(run / "weights.safetensors", b"weights")
    record = dataclasses.replace(RECORD, weights_sha256=file_sha256(run / "weights.safetensors"))
    write_record(run / "record.json", record)
    bundle_run(run, "net", bundle)
    assert (bundle / "net.safetensors").read_bytes() == b"weights"
    expected = dataclasses.replace(
        record, weights="net.safetensors", provenance={"git": None, "platform": "Linux"}
    )
    assert read_record(bundle / "net.json") == expected
    write_bytes(run / "weights.safetensors", b"others")
    with pytest.raises(PvqError, match="is not the file that"):
        bundle_run(run, "net", bundle)
    with pytest.raises(PvqError, match="holds no run record"):
        bundle_run(tmp_path, "net", bundle)


def test_bundled_files_are_found_by_name() -> None:
    assert bundled_path("calibration_cifar10.npz").stat().st_size < 1_700_000
    with pytest.raises(PvqError, match=r"no bundled file is called 'absent\.npz'"):
        bundled_path("absent.npz")

"""Nothing is lost, nothing damaged is believed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvq.empirical.store import ArrayStore, RecordStore, content_key

RECORD = {"rows": [{"error": 0.1 + 0.2, "lower": None, "note": "é"}], "seconds": 1e-300}


def test_records_come_back_bit_for_bit(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    store.put("a", RECORD)
    assert store.get("a") == RECORD
    assert store.get("b") is None


@given(position=st.integers(min_value=0), byte=st.integers(0, 255))
def test_a_record_with_any_byte_changed_is_the_same_record_or_none(
    tmp_path_factory: pytest.TempPathFactory, position: int, byte: int
) -> None:
    store = RecordStore(tmp_path_factory.mktemp("store"))
    store.put("a", RECORD)
    data = bytearray(store.path("a").read_bytes())
    data[position % len(data)] = byte
    store.path("a").write_bytes(bytes(data))
    assert store.get("a") in (None, RECORD)


@pytest.mark.parametrize("kept", [0, 1, 40, 100])
def test_truncated_files_are_absent(tmp_path: Path, kept: int) -> None:
    records, arrays = RecordStore(tmp_path), ArrayStore(tmp_path)
    records.put("a", RECORD)
    arrays.put("a", {"x": np.arange(9.0)})
    for path in (records.path("a"), arrays.path("a")):
        path.write_bytes(path.read_bytes()[:kept])
    assert records.get("a") is None
    assert arrays.get("a") is None


def test_a_record_under_another_key_is_absent(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    store.put("a", RECORD)
    store.path("a").rename(store.path("b"))
    assert store.get("b") is None


def test_altered_arrays_are_absent(tmp_path: Path) -> None:
    store = ArrayStore(tmp_path)
    store.put("a", {"x": np.arange(9.0), "n": np.array(3)})
    found = store.get("a")
    assert found is not None
    assert (found["x"] == np.arange(9.0)).all()
    with np.load(store.path("a")) as file:
        stored = dict(file)
    stored["x"] = stored["x"] + 1e-12
    np.savez(store.path("a"), **stored)
    assert store.get("a") is None


def test_no_temporary_file_stays_behind(tmp_path: Path) -> None:
    RecordStore(tmp_path).put("a", RECORD)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_keys_depend_on_every_bit() -> None:
    x = np.arange(4.0)
    near = x.copy()
    near[3] = math.nextafter(3.0, 4.0)
    keys = [
        content_key({"seed": 0}, x),
        content_key({"seed": 1}, x),
        content_key({"seed": 0}, near),
        content_key({"seed": 0}, x.astype(np.float32)),
        content_key({"seed": 0}, x.reshape(2, 2)),
        content_key({"seed": 0}, x[:3], x[3:]),
    ]
    assert len(set(keys)) == len(keys)

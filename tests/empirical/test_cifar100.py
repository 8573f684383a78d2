"""CIFAR-100: files of 20 records stand for the official ones."""

from __future__ import annotations

import hashlib
import tarfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from test_real_cifar10 import SHARED, _mosaic

from pvq.empirical.data import cifar100
from pvq.empirical.data.cifar100 import Cifar100, content_of, decode_records, encode_records
from pvq.errors import PvqError

N = 20
Records = tuple[np.ndarray, np.ndarray, np.ndarray]


def records(seed: int) -> Records:
    rng = np.random.default_rng(seed)
    fine = rng.integers(0, 100, N).astype(np.uint8)
    return rng.integers(0, 256, (N, 32, 32, 3)).astype(np.uint8), fine, fine // 5


PARTS = {"train": records(0), "test": records(1)}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make the small files the official ones, with a cache of their own."""
    files = {split: encode_records(*part) for split, part in PARTS.items()}
    monkeypatch.setattr(cifar100, "COUNT", dict.fromkeys(PARTS, N))
    monkeypatch.setattr(cifar100, "MD5", {s: hashlib.md5(data).hexdigest() for s, data in files.items()})
    monkeypatch.setattr(cifar100, "CONTENT", {s: content_of(data) for s, data in files.items()})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PVQ_DATA", raising=False)


def unpacked(root: Path) -> Path:
    folder = root / "cifar-100-binary"
    folder.mkdir(parents=True)
    for split, part in PARTS.items():
        (folder / f"{split}.bin").write_bytes(encode_records(*part))
    return root


def packed(root: Path) -> Path:
    folder = unpacked(root / "loose") / "cifar-100-binary"
    with tarfile.open(root / "cifar-100-binary.tar.gz", "w:gz") as archive:
        archive.add(folder, "cifar-100-binary")
    return root


@pytest.mark.parametrize("source", [unpacked, packed])
@pytest.mark.parametrize("split", ["train", "test"])
def test_all_sources_give_the_official_images_and_fine_labels(
    source: object, split: str, tmp_path: Path
) -> None:
    assert callable(source)
    dataset = Cifar100(str(source(tmp_path / "data")))
    images, fine, _ = PARTS[split]
    np.testing.assert_array_equal(dataset.images(split), images)
    np.testing.assert_array_equal(dataset.labels(split), fine)
    assert dataset.count(split) == N
    places = np.array([3, 1, 7])
    (x, y), (x2, y2) = dataset.parts(split, places, 2)
    np.testing.assert_array_equal(np.concatenate([x, x2]), images[places])  # type: ignore[arg-type]
    np.testing.assert_array_equal(np.concatenate([y, y2]), fine[places])  # type: ignore[arg-type]


def test_an_archive_is_read_once_and_then_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = packed(tmp_path / "data")
    Cifar100(str(root)).images("test")
    monkeypatch.setattr(cifar100, "_from_tar", None)  # a second reading would fail
    np.testing.assert_array_equal(Cifar100(str(root)).images("test"), PARTS["test"][0])
    np.testing.assert_array_equal(Cifar100().images("test"), PARTS["test"][0])


def test_a_damaged_cache_is_not_used(tmp_path: Path) -> None:
    root = packed(tmp_path / "data")
    Cifar100(str(root)).images("test")
    (tmp_path / "cache" / "pvq" / "cifar-100-binary" / "test.bin").write_bytes(b"half")
    np.testing.assert_array_equal(Cifar100(str(root)).images("test"), PARTS["test"][0])


def test_the_official_records_in_another_order_are_taken(tmp_path: Path) -> None:
    images, fine, _ = (array[::-1] for array in PARTS["test"])
    file = unpacked(tmp_path) / "cifar-100-binary" / "test.bin"
    file.write_bytes(encode_records(images, fine, np.zeros(N, np.uint8)))  # coarse labels are of no account
    np.testing.assert_array_equal(Cifar100(str(tmp_path)).images("test"), images)


@pytest.mark.parametrize("change", ["pixel", "label", "record", "empty"])
def test_damaged_data_are_refused(change: str, tmp_path: Path) -> None:
    file = unpacked(tmp_path) / "cifar-100-binary" / "test.bin"
    data = bytearray(file.read_bytes())
    if change in ("pixel", "label"):
        data[5 if change == "pixel" else 1] ^= 1
    file.write_bytes({"record": data[:-3074], "empty": b""}.get(change, data))
    with pytest.raises(PvqError, match=r"test\.bin is damaged: it must hold the 20 official records"):
        Cifar100(str(tmp_path)).images("test")


def test_absent_data_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PvqError, match=r"no CIFAR-100 found; get cifar-100-binary\.tar\.gz"):
        Cifar100().images("test")
    monkeypatch.setenv("PVQ_DATA", str(tmp_path))
    with pytest.raises(PvqError, match=r"no CIFAR-100 in .*; get"):
        Cifar100().images("test")
    (tmp_path / "cifar-100-binary.tar.gz").write_bytes(b"no archive")
    with pytest.raises(PvqError, match=r"test\.bin cannot be read"):
        Cifar100().images("test")


def test_records_are_coarse_label_fine_label_planes() -> None:
    images, fine, coarse = PARTS["train"]
    data = encode_records(images, fine, coarse)
    assert (data[3074], data[3075]) == (coarse[1], fine[1])
    assert data[3074 + 2 + 1024 + 33] == images[1, 1, 1, 1]  # green plane, second row, second pixel
    for found, expected in zip(decode_records(data), PARTS["train"], strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_lossless_copy_has_the_content_that_is_asked_for(
    split: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = SHARED / "cifar100_webp.npz"
    if not path.is_file():
        pytest.skip("data: no lossless copy of CIFAR-100 is here")
    monkeypatch.undo()
    with np.load(path, allow_pickle=False) as stored:
        labels, blob, offsets = (stored[f"{split}_{name}"] for name in ("labels", "webp", "off"))
    images = np.concatenate([_mosaic(blob[a:b]) for a, b in pairwise(offsets)])
    assert len(images) == cifar100.COUNT[split]
    assert content_of(encode_records(images, labels, labels)) == cifar100.CONTENT[split]

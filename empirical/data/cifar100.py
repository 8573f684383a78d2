"""CIFAR-100 from the official binary files."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pvq.empirical.atomic import write_bytes
from pvq.empirical.data.cifar10 import cache_folder
from pvq.empirical.dataset import DATASETS, Loaded, check_split
from pvq.errors import PvqError

__all__ = ["CONTENT", "Cifar100", "content_of", "decode_records", "encode_records"]

COUNT = {"train": 50_000, "test": 10_000}
RECORD = 2 + 3072  # coarse label, fine label, three colour planes of 32 x 32
FOLDER, ARCHIVE = "cifar-100-binary", "cifar-100-binary.tar.gz"
# of train.bin and test.bin, as public loaders of the binary version check them
MD5 = {"train": "6172c7755cfe09b2fe270c85cebc1b15", "test": "4499cfba6c016c1be1438163640a0898"}
# `content_of` each split, computed from a lossless copy in another order
CONTENT = {
    "train": "6d2a03c47c105e4c34d3a2ff16c2803e8df0e5d6fa0c631e46663a327aeac573",
    "test": "381b7d98ce1e9b98232a8df0db0a22992654c39ff2433270656ab8ace5a45e65",
}
HOW_TO_GET = f"get {ARCHIVE} from www.cs.toronto.edu/~kriz/cifar.html and name its folder in PVQ_DATA"

U8: TypeAlias = NDArray[np.uint8]


@DATASETS.register("cifar100")
@dataclass(frozen=True)
class Cifar100(Loaded):
    """CIFAR-100: 50,000 training and 10,000 test images of 32 x 32 pixels, a hundred classes.

    Parameters
    ----------
    root : folder with ``cifar-100-binary/`` or ``cifar-100-binary.tar.gz``, or that archive; the environment
        variable PVQ_DATA if None

    A file must have the MD5 of the official one, or hold the official records in another order. Labels are
    the fine ones. Pickles are never read.
    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """

    root: str | None = None

    @property
    def splits(self) -> tuple[str, ...]:
        """The two parts."""
        return tuple(COUNT)

    def count(self, split: str) -> int:
        """Return 50,000 or 10,000."""
        check_split(split, self.splits)
        return COUNT[split]

    def _load(self, split: str) -> tuple[U8, U8]:
        check_split(split, self.splits)
        name = f"{split}.bin"
        try:
            data = self._read(name)
        except (OSError, EOFError, KeyError, tarfile.TarError, zlib.error) as error:
            raise PvqError(f"CIFAR-100 {name} cannot be read: {error}") from error
        images, labels, _ = decode_records(_checked(split, data))
        return images, labels

    def _read(self, name: str) -> bytes:
        """Return the bytes of a file of the binary version; one out of an archive is kept in the cache."""
        root = self.root or os.environ.get("PVQ_DATA")
        cached = cache_folder() / FOLDER / name
        file = _file(Path(root).expanduser(), name) if root else cached
        if file is None or not file.is_file():
            raise PvqError(f"no CIFAR-100 {f'in {root}' if root else 'found'}; {HOW_TO_GET}")
        if file.suffix == ".bin":
            return file.read_bytes()
        if cached.is_file() and _is_official(cached.stem, data := cached.read_bytes()):
            return data
        data = _from_tar(file, name)
        if _is_official(cached.stem, data):
            with contextlib.suppress(OSError):  # a cache that cannot be written costs time, nothing else
                write_bytes(cached, data)
        return data


def _file(root: Path, name: str) -> Path | None:
    """Return the file called `name` below root, or the archive, or None."""
    candidates = (root / name, root / FOLDER / name, root / ARCHIVE, root)
    return next((path for path in candidates if path.is_file()), None)


def _from_tar(path: Path, name: str) -> bytes:
    with tarfile.open(path) as archive:
        member = archive.extractfile(f"{FOLDER}/{name}")
        return member.read() if member else b""


def decode_records(data: bytes) -> tuple[U8, U8, U8]:
    """Return images (N, 32, 32, 3), fine labels (N,) and coarse labels (N,) of a file of the binary version.

    >>> images, fine, coarse = decode_records(bytes([4, 30]) + bytes(3072))
    >>> images.shape, fine, coarse
    ((1, 32, 32, 3), array([30], dtype=uint8), array([4], dtype=uint8))
    """
    rows = np.frombuffer(data, np.uint8).reshape(-1, RECORD)
    images = rows[:, 2:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), rows[:, 1].copy(), rows[:, 0].copy()


def encode_records(images: U8, fine: U8, coarse: U8) -> bytes:
    """Return the bytes of the binary version: per image its coarse and fine label, then three planes."""
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return np.concatenate([coarse[:, None], fine[:, None], planes], axis=1).astype(np.uint8).tobytes()


def content_of(data: bytes) -> str:
    """Return the SHA-256 of the sorted SHA-256s of all records without their coarse labels.

    It does not depend on the order of the records.
    """
    rows = np.frombuffer(data, np.uint8).reshape(-1, RECORD)[:, 1:]
    digests = sorted(hashlib.sha256(row.tobytes()).digest() for row in rows)
    return hashlib.sha256(b"".join(digests)).hexdigest()


def _is_official(split: str, data: bytes) -> bool:
    """Return whether these are the official records, in whatever order."""
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return md5 == MD5[split] or (len(data) == COUNT[split] * RECORD and content_of(data) == CONTENT[split])


def _checked(split: str, data: bytes) -> bytes:
    if not _is_official(split, data):
        raise PvqError(
            f"CIFAR-100 {split}.bin is damaged: it must hold the {COUNT[split]} official records, got "
            f"{len(data)} bytes with MD5 {hashlib.md5(data, usedforsecurity=False).hexdigest()}"
        )
    return data

"""The calibration images that come with the package: 512 training images of CIFAR-10."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import I64
from pvq.empirical.atomic import write_bytes
from pvq.empirical.dataset import DATASETS, Dataset, Part, check_split, pick, slices
from pvq.errors import PvqError

__all__ = ["CALIBRATION_FILE", "Bundled", "balanced_choice", "cut_calibration"]

U8: TypeAlias = NDArray[np.uint8]
CALIBRATION_FILE = "calibration_cifar10.npz"


@DATASETS.register("bundled")
@dataclass(frozen=True)
class Bundled:
    """512 images of CIFAR-10's training set, 51 or 52 of each class, in random order; needs no download."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Training images only."""
        return ("train",)

    def count(self, split: str = "train") -> int:
        """Return 512."""
        return len(self.labels(split))

    def parts(self, split: str, places: I64, size: int) -> Iterator[Part]:
        """Yield uint8 images and class numbers, `size` at a time."""
        return slices(self.images(split)[places], self.labels(split)[places], size)

    def images(self, split: str = "train", n: int | None = None, seed: int | None = None) -> U8:
        """Return uint8 images of shape (n, 32, 32, 3)."""
        return self._part("images", split, n, seed)

    def labels(self, split: str = "train", n: int | None = None, seed: int | None = None) -> I64:
        """Return class numbers 0..9 of shape (n,)."""
        return self._part("labels", split, n, seed).astype(np.int64)

    def indices(self, split: str = "train", n: int | None = None, seed: int | None = None) -> I64:
        """Return the places of the images in CIFAR-10's training set, from 0, shape (n,).

        >>> Bundled().indices().shape
        (512,)
        """
        return self._part("indices", split, n, seed).astype(np.int64)

    def _part(self, key: str, split: str, n: int | None, seed: int | None) -> NDArray[Any]:
        check_split(split, self.splits)
        data = (resources.files("pvq.empirical") / "bundled" / CALIBRATION_FILE).read_bytes()
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            values: NDArray[Any] = stored[key]
        return values[pick(len(values), n, seed)]


def balanced_choice(labels: I64, n: int, rng: np.random.Generator) -> I64:
    """Return n places of `labels` in random order, each class as often as any other or once more.

    Parameters
    ----------
    labels : (N,) class numbers
    n : how many to choose
    rng : decides which images, and which classes get one more

    Raises
    ------
    PvqError : a class has too few members, n not positive

    >>> labels = np.array([0, 0, 0, 1, 1, 1])
    >>> sorted(labels[balanced_choice(labels, 4, np.random.default_rng(0))].tolist())
    [0, 0, 1, 1]
    """
    classes = rng.permutation(np.unique(labels))
    if n < 1 or len(classes) == 0:
        raise PvqError(f"n must be at least 1 and labels not empty, got {n} and {len(labels)} labels")
    chosen: list[I64] = []
    for rank, value in enumerate(classes):
        members = np.flatnonzero(labels == value)
        share = n // len(classes) + (rank < n % len(classes))
        if share > len(members):
            raise PvqError(f"class {value} must have at least {share} images, got {len(members)}")
        chosen.append(rng.choice(members, size=share, replace=False))
    return rng.permutation(np.concatenate(chosen))


def cut_calibration(path: str | Path, source: Dataset, n: int = 512, seed: int = 0) -> None:
    """Write n balanced training images of a data set, their labels and their places in it, as one npz file.

    This made the bundled file; the same source, n and seed give the same arrays.

    Raises
    ------
    PvqError : data absent, or too few images of a class
    """
    labels = source.labels("train")
    where = balanced_choice(labels, n, np.random.default_rng(seed))
    buffer = io.BytesIO()
    images = np.asarray(source.images("train"))[where]
    np.savez_compressed(buffer, images=images, labels=labels[where].astype(np.uint8), indices=where)
    write_bytes(Path(path), buffer.getvalue())

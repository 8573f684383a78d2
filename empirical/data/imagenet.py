"""ImageNet, or any other photographs in one folder a class, read as they are needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import I64
from pvq.empirical.data.folder import SUFFIXES
from pvq.empirical.dataset import DATASETS, check_split, pick
from pvq.empirical.photograph import Cut, Interpolation, decoded
from pvq.empirical.random_cut import RandomCut
from pvq.errors import MissingExtra, PvqError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["ImageNet"]

U8: TypeAlias = NDArray[np.uint8]
FOLDERS = {"train": "train", "test": "val"}
MEMORY_BYTES = 8 * 2**30  # of one answer of `images`
HOW_TO_GET = "name the folder that holds train/ and val/, one folder a class, in PVQ_DATA"


@DATASETS.register("imagenet")
@dataclass(frozen=True)
class ImageNet:
    """Photographs in ``train/CLASS/`` and ``val/CLASS/``, as ImageNet comes: ``imagenet:PATH``.

    Classes are the folders below ``train``, counted from 0 in the order of their names, which for ImageNet's
    WordNet numbers is torchvision's order. The images of ``val`` are the split ``test``.

    Parameters
    ----------
    root : the folder with ``train`` and ``val``, or one with ``imagenet`` in it; the environment variable
        PVQ_DATA if None
    size : side of the square that is cut from the centre, in pixels
    resize : length of the short side before that
    interpolation : how pixels are resampled
    squash : resize both sides instead of the short one
    threads : that decode images

    Source: O. Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 2015.
    """

    root: str | None = None
    size: int = 224
    resize: int | None = 256
    interpolation: Interpolation = "bilinear"
    squash: bool = False
    threads: int = 4

    def __post_init__(self) -> None:
        self._cut()
        if self.threads < 1:
            raise ValueError(f"threads must be at least 1, got {self.threads}")

    @property
    def splits(self) -> tuple[str, ...]:
        """The two parts."""
        return tuple(FOLDERS)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes' folders, in the order of their numbers.

        Raises
        ------
        PvqError : no such folder
        """
        return self._class_folders("train")

    def count(self, split: str) -> int:
        """Return how many images a split has."""
        return len(self._files(split)[0])

    def parts(self, split: str, places: I64, size: int) -> Iterator[tuple[U8, I64]]:
        """Yield uint8 images (m, size, size, 3), cut from the centre, and class numbers; m is at most `size`.

        Raises
        ------
        PvqError : no such folder or split, an image that cannot be decoded
        """
        return self._read(split, places, size, lambda _: self._cut())

    def random_parts(self, split: str, places: I64, size: int, seed: int) -> Iterator[tuple[U8, I64]]:
        """Yield what `parts` does, but cut at random; the cut of an image depends on the seed and its place.

        Raises
        ------
        PvqError : as of `parts`
        """

        def cut(place: int) -> RandomCut:
            state = np.random.SeedSequence([seed, place]).generate_state(1, np.uint64)
            return RandomCut(self.size, int(state[0]))

        return self._read(split, places, size, cut)

    def images(self, split: str, n: int | None = None, seed: int | None = None) -> U8:
        """Return uint8 images of shape (n, size, size, 3).

        Raises
        ------
        PvqError : as of `parts`, n out of range, more images than 8 GiB hold
        """
        places = pick(self.count(split), n, seed)
        if len(places) * self.size**2 * 3 > MEMORY_BYTES:
            raise PvqError(
                f"{len(places)} images of {self.size} pixels do not fit into memory "
                f"({len(places) * self.size**2 * 3 / 1e9:.0f} GB); take fewer, or read them in parts"
            )
        return np.concatenate([images for images, _ in self.parts(split, places, 256)])

    def labels(self, split: str, n: int | None = None, seed: int | None = None) -> I64:
        """Return class numbers of shape (n,), in the order of `images`; no image is read."""
        _, labels = self._files(split)
        return labels[pick(len(labels), n, seed)]

    def _read(
        self, split: str, places: I64, size: int, cut: Callable[[int], Callable[[Image], U8]]
    ) -> Iterator[tuple[U8, I64]]:
        try:
            from PIL import Image
        except ImportError as error:
            raise MissingExtra("pillow", "torch") from error
        files, labels = self._files(split)

        def one(place: int) -> U8:
            return decoded(partial(Image.open, files[place]), cut(place), str(files[place]))

        with ThreadPoolExecutor(self.threads) as pool:
            for start in range(0, len(places), size):
                some = places[start : start + size]
                yield np.stack(list(pool.map(one, some.tolist()))), labels[some]

    def _cut(self) -> Cut:
        return Cut(self.size, self.resize, self.interpolation, self.squash)

    def _files(self, split: str) -> tuple[list[Path], I64]:
        check_split(split, self.splits)
        return self._train if split == "train" else self._test

    @cached_property
    def _train(self) -> tuple[list[Path], I64]:
        return self._listed("train")

    @cached_property
    def _test(self) -> tuple[list[Path], I64]:
        return self._listed("test")

    def _listed(self, split: str) -> tuple[list[Path], I64]:
        """Return the files of a split, class by class in the order of names, and their class numbers."""
        found = self._class_folders(split)
        unknown = sorted(set(found) - set(self.classes))
        if unknown:
            raise PvqError(f"{self._folder(split)} has classes that train has not: {', '.join(unknown[:3])}")
        files, labels = [], []
        for name in found:
            with os.scandir(self._folder(split) / name) as entries:
                images = sorted(
                    entry.path for entry in entries if Path(entry.name).suffix.lower() in SUFFIXES
                )
            files += [Path(image) for image in images]
            labels += [self.classes.index(name)] * len(images)
        if not files:
            raise PvqError(f"no image ({', '.join(sorted(SUFFIXES))}) in {self._folder(split)}")
        return files, np.array(labels, np.int64)

    def _class_folders(self, split: str) -> tuple[str, ...]:
        folder = self._folder(split)
        try:
            return tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir()))
        except OSError as error:
            raise PvqError(f"no images of {split} in {folder}; {HOW_TO_GET}") from error

    def _folder(self, split: str) -> Path:
        root = self.root or os.environ.get("PVQ_DATA")
        if not root:
            raise PvqError(f"no ImageNet found; {HOW_TO_GET}")
        path = Path(root).expanduser()
        inside = path / "imagenet"
        return (inside if inside.is_dir() else path) / FOLDERS[split]

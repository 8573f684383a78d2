"""Photographs in a folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import I64
from pvq.empirical.dataset import DATASETS, Part, check_split, pick
from pvq.empirical.photograph import Cut, Interpolation, decoded
from pvq.errors import MissingExtra, PvqError

__all__ = ["Folder"]

U8: TypeAlias = NDArray[np.uint8]
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
NUMBERED = re.compile(r"(\d+)[_-]")  # such as 000_n01440764.jpg


@DATASETS.register("folder")
@dataclass(frozen=True)
class Folder:
    """JPEG, PNG, WebP or BMP images below a folder, in the order of their paths: ``folder:PATH``.

    Parameters
    ----------
    path : the folder
    size : side of the square that is cut from the centre, in pixels; a network's own preprocessing replaces
        this and what follows
    resize : length of the short side before that, `size` if None
    interpolation : how pixels are resampled
    squash : resize both sides instead of the short one

    The class of an image is the sub-folder that it lies in, counted from 0 in the order of names; or, where
    there are no two of them, the number before a ``_`` or ``-`` that every file name starts with.
    """

    path: str
    size: int = 224
    resize: int | None = None
    interpolation: Interpolation = "bilinear"
    squash: bool = False

    def __post_init__(self) -> None:
        self._cut()

    @property
    def splits(self) -> tuple[str, ...]:
        """One part."""
        return ("train",)

    def count(self, split: str = "train") -> int:
        """Return how many images there are."""
        check_split(split, self.splits)
        return len(self._paths())

    def parts(self, split: str, places: I64, size: int) -> Iterator[Part]:
        """Yield uint8 images, and class numbers where there are any, `size` at a time."""
        check_split(split, self.splits)
        paths = self._paths()
        labels = self._labels(paths)
        for start in range(0, len(places), size):
            some = places[start : start + size]
            yield self._stack([paths[i] for i in some]), None if labels is None else labels[some]

    def images(self, split: str = "train", n: int | None = None, seed: int | None = None) -> U8:
        """Return uint8 images of shape (n, size, size, 3).

        Raises
        ------
        PvqError : no such folder, no image in it, an image that cannot be decoded
        """
        paths, chosen = self._paths(), pick(self.count(split), n, seed)
        return self._stack([paths[i] for i in chosen])

    def labels(self, split: str = "train", n: int | None = None, seed: int | None = None) -> I64:
        """Return class numbers of shape (n,).

        Raises
        ------
        PvqError : neither sub-folders nor file names tell them
        """
        labels = self._labels(self._paths())
        if labels is None:
            raise PvqError(f"the images in {self.path} have no labels")
        return labels[pick(self.count(split), n, seed)]

    def _cut(self) -> Cut:
        return Cut(self.size, self.resize, self.interpolation, self.squash)

    def _paths(self) -> list[Path]:
        root = Path(self.path).expanduser()
        if not root.is_dir():
            raise PvqError(f"path must be a folder of images, got {self.path}")
        found = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if not found:
            raise PvqError(f"no image ({', '.join(sorted(SUFFIXES))}) in {self.path}")
        return found

    def _labels(self, paths: list[Path]) -> I64 | None:
        root = Path(self.path).expanduser()
        parents = [path.relative_to(root).parts[0] if path.parent != root else "" for path in paths]
        names = sorted(set(parents))
        if len(names) > 1 and "" not in names:
            return np.array([names.index(name) for name in parents], np.int64)
        numbers = [NUMBERED.match(path.name) for path in paths]
        return np.array([int(n.group(1)) for n in numbers if n], np.int64) if all(numbers) else None

    def _stack(self, paths: list[Path]) -> U8:
        try:
            from PIL import Image
        except ImportError as error:
            raise MissingExtra("pillow", "torch") from error
        return np.stack([decoded(partial(Image.open, path), self._cut(), str(path)) for path in paths])

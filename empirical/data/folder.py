"""Photographs in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import I64
from pvq.empirical.dataset import DATASETS, check_split, pick
from pvq.errors import MissingExtra, PvqError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Folder"]

U8: TypeAlias = NDArray[np.uint8]
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})


@DATASETS.register("folder")
@dataclass(frozen=True)
class Folder:
    """JPEG, PNG, WebP or BMP images below a folder, in the order of their paths: ``folder:PATH``.

    Parameters
    ----------
    path : the folder
    size : side of the square that is cut from the centre, in pixels; a network's own size replaces it
    resize : length of the short side before that, `size` if None
    """

    path: str
    size: int = 224
    resize: int | None = None

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size must be at least 1, got {self.size}")
        if self.resize is not None and self.resize < self.size:
            raise ValueError(f"resize must be at least size, got {self.resize} and {self.size}")

    @property
    def splits(self) -> tuple[str, ...]:
        """One part."""
        return ("train",)

    def images(self, split: str = "train", n: int | None = None, seed: int | None = None) -> U8:
        """Return uint8 images of shape (n, size, size, 3).

        Raises
        ------
        PvqError : no such folder, no image in it, an image that cannot be decoded
        """
        check_split(split, self.splits)
        paths = self._paths()
        return np.stack([self._read(paths[i]) for i in pick(len(paths), n, seed)])

    def labels(self, split: str = "train", n: int | None = None, seed: int | None = None) -> I64:
        """Refuse: a folder says nothing of classes.

        Raises
        ------
        PvqError : always
        """
        raise PvqError(f"the images in {self.path} have no labels")

    def _paths(self) -> list[Path]:
        root = Path(self.path).expanduser()
        if not root.is_dir():
            raise PvqError(f"path must be a folder of images, got {self.path}")
        found = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if not found:
            raise PvqError(f"no image ({', '.join(sorted(SUFFIXES))}) in {self.path}")
        return found

    def _read(self, path: Path) -> U8:
        try:
            from PIL import Image
        except ImportError as error:
            raise MissingExtra("pillow", "torch") from error
        try:
            with Image.open(path) as image:
                return np.asarray(self._cut(image.convert("RGB")), np.uint8)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise PvqError(f"cannot read image {path}: {error}") from error

    def _cut(self, image: Image) -> Image:
        """Resize the short side, then cut the centre, both as torchvision's evaluation transforms do."""
        from PIL.Image import Resampling

        short = self.resize or self.size
        width, height = image.size
        if width <= height:
            width, height = short, max(short, int(short * height / width))
        else:
            width, height = max(short, int(short * width / height)), short
        image = image.resize((width, height), Resampling.BILINEAR)
        left, top = round((width - self.size) / 2), round((height - self.size) / 2)
        return image.crop((left, top, left + self.size, top + self.size))

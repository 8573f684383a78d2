"""Images that a user stored as an array."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import I64
from pvq.empirical.dataset import DATASETS, Images, Part, check_split, pick, slices
from pvq.errors import PvqError

__all__ = ["Npz"]


@DATASETS.register("npz")
@dataclass(frozen=True)
class Npz:
    """Array `images` of an npz file, and `labels` if it has them: ``npz:PATH``.

    Parameters
    ----------
    path : file with `images`, either uint8 (N, H, W, 3), or floats (N, C, H, W) that are preprocessed
        already; `labels`, if there, are N whole numbers. Pickled arrays are refused.
    """

    path: str

    @property
    def splits(self) -> tuple[str, ...]:
        """One part."""
        return ("train",)

    def images(self, split: str = "train", n: int | None = None, seed: int | None = None) -> Images:
        """Return uint8 (n, H, W, 3) or float32 (n, C, H, W).

        Raises
        ------
        PvqError : no such file or array, another type or shape, NaN or infinity
        """
        check_split(split, self.splits)
        images = self._images()
        return self._checked(images, pick(len(images), n, seed))

    def count(self, split: str = "train") -> int:
        """Return how many images the file holds."""
        check_split(split, self.splits)
        return len(self._images())

    def parts(self, split: str, places: I64, size: int) -> Iterator[Part]:
        """Yield images, and labels if there are any, `size` at a time; the chosen ones are in memory."""
        check_split(split, self.splits)
        images = self._checked(self._images(), places)
        return slices(images, self.labels(split)[places] if self._has("labels") else None, size)

    def _has(self, key: str) -> bool:
        with np.load(self.path, allow_pickle=False) as stored:
            return key in stored.files

    def _images(self) -> NDArray[Any]:
        images = self._read("images")
        if images.ndim != 4 or images.size == 0:
            raise PvqError(f"{self.path}: images must have 4 dimensions, got shape {images.shape}")
        return images

    def _checked(self, images: NDArray[Any], places: I64) -> Images:
        """Return the images at `places` as uint8 (n, H, W, 3) or float32 (n, C, H, W)."""
        chosen = images[places]
        if images.dtype == np.uint8 and images.shape[3] == 3:
            return chosen
        if not np.issubdtype(images.dtype, np.floating):
            raise PvqError(
                f"{self.path}: images must be uint8 (N, H, W, 3) or floats (N, C, H, W), "
                f"got {images.dtype} {images.shape}"
            )
        if not np.isfinite(chosen).all():
            raise PvqError(f"{self.path}: images must be finite, got NaN or infinity")
        return chosen.astype(np.float32)

    def labels(self, split: str = "train", n: int | None = None, seed: int | None = None) -> I64:
        """Return class numbers of shape (n,).

        Raises
        ------
        PvqError : no such file or array, no whole numbers
        """
        check_split(split, self.splits)
        labels = self._read("labels")
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            raise PvqError(
                f"{self.path}: labels must be whole numbers of shape (N,), got {labels.dtype} {labels.shape}"
            )
        return labels[pick(len(labels), n, seed)].astype(np.int64)

    def _read(self, key: str) -> NDArray[Any]:
        try:
            with np.load(self.path, allow_pickle=False) as stored:
                values: NDArray[Any] = stored[key]
                return values
        except KeyError as error:
            raise PvqError(f"{self.path} must hold an array {key!r}") from error
        except (OSError, ValueError, EOFError, TypeError, AttributeError) as error:
            raise PvqError(f"{self.path} cannot be read as npz: {error}") from error

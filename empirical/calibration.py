"""Calibration images: what ``DATA:N`` means for a network, as batches ready to go in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from pvq.empirical.dataset import Dataset, read_dataset
from pvq.empirical.evaluate import normalise
from pvq.empirical.model import Model, Preprocessing
from pvq.empirical.store import content_key
from pvq.errors import PvqError

__all__ = ["Calibration", "read_calibration"]

BATCH = 64


@dataclass(frozen=True, eq=False)
class Calibration:
    """Images as a network takes them.

    Parameters
    ----------
    text : how they were asked for
    batches : float32 (at most 64, channels, height, width) each
    split : the part of the data set
    digest : content hash of the images as they go in
    note : a remark that belongs beside every result, empty if there is none
    """

    text: str
    batches: tuple[Tensor, ...]
    split: str
    digest: str
    note: str = ""

    @property
    def images(self) -> int:
        """How many images."""
        return sum(len(batch) for batch in self.batches)

    def describe(self) -> dict[str, Any]:
        """Return what a manifest says of it."""
        shape = list(self.batches[0].shape[1:])
        return {
            "calibration": self.text, "split": self.split, "images": self.images, "shape": shape,
            "digest": self.digest, "note": self.note,
        }  # fmt: skip


def read_calibration(text: str, model: Model, seed: int) -> Calibration:
    """Return N images of a data set, drawn with the seed, as `model` takes them.

    Parameters
    ----------
    text : ``DATA:N``; all images without N
    model : says how images are prepared

    Raises
    ------
    PvqError : no such data set, more images than there are, a network that does not say what it expects
    """
    how = model.preprocessing
    dataset, count = read_dataset(text, **({"size": how.size, "resize": how.resize} if how else {}))
    split = "train" if "train" in dataset.splits else dataset.splits[0]
    images = _draw(dataset, split, count, seed)
    if images.dtype == np.uint8 and how is None:
        raise PvqError(f"{model.name} does not say how images are prepared; give them as floats (npz:PATH)")
    x, note = _prepare(images, how)
    digest = content_key({}, x.numpy())
    return Calibration(text, torch.split(x, BATCH), split, digest, note)


def _draw(dataset: Dataset, split: str, count: int | None, seed: int) -> NDArray[Any]:
    return np.asarray(dataset.images(split, count, None if count is None else seed))


def _prepare(images: NDArray[Any], how: Preprocessing | None) -> tuple[Tensor, str]:
    """Return float32 (N, C, size, size) and a remark where images had to be stretched; floats are ready."""
    if images.dtype != np.uint8 or how is None:
        return torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32)), ""
    x = normalise(torch.from_numpy(images), how.mean, how.std).contiguous()
    height, width = x.shape[-2:]
    if (height, width) == (how.size, how.size):
        return x, ""
    x = F.interpolate(x, (how.size, how.size), mode="bilinear", antialias=True)
    return x, f"calibration images were stretched from {height} x {width} to {how.size} x {how.size} pixels"

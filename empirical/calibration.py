"""Calibration images: what ``DATA:N`` means for a network, as batches ready to go in."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pvq.arrays import I64
from pvq.empirical.data.bundled import balanced_choice
from pvq.empirical.dataset import Dataset, Part, Sequential, pick, read_dataset
from pvq.empirical.evaluate import normalise
from pvq.empirical.inputs import Inputs, examples, fingerprints, nbytes, shape, take
from pvq.empirical.model import Model, Preprocessing
from pvq.errors import PvqError

__all__ = ["Calibration", "Stream", "dataset_of", "read_calibration", "survey"]

BATCH = 64  # images at most
BATCH_VALUES = 600_000  # of one batch: four photographs of 224 x 224; measured to be fastest on one thread
KEPT_BYTES = 256 * 2**20  # of images that later passes need not read again
BALANCED = ":balanced"


@dataclass
class Stream:
    """The images at some places of a data set, as a network takes them; every pass gives the same batches.

    Parameters
    ----------
    dataset, split, places : which images
    how : the network's preprocessing, None where unknown
    model : its name, for messages
    note : a remark once the first image was seen, empty if there is none
    """

    dataset: Dataset
    split: str
    places: I64
    how: Preprocessing | None
    model: str
    note: str = ""
    _kept: list[tuple[Inputs, I64 | None]] = field(default_factory=list, repr=False)
    _bytes: int = 0

    def __iter__(self) -> Iterator[Inputs]:
        """Yield the batches."""
        for inputs, _ in self.labelled():
            yield from _split(inputs)

    def labelled(self) -> Iterator[tuple[Inputs, I64 | None]]:
        """Yield what is read at a time and the class numbers, if known."""
        kept = len(self._kept)
        yield from self._kept[:kept]
        rest = self.places[sum(examples(inputs) for inputs, _ in self._kept[:kept]) :]
        if len(rest) == 0:
            return
        for part in self.dataset.parts(self.split, rest, BATCH):
            prepared = self._prepared(part)
            self._keep(kept, prepared)
            kept += 1
            yield prepared

    def _keep(self, index: int, part: tuple[Inputs, I64 | None]) -> None:
        """Keep the first parts, as far as there is room."""
        size = nbytes(part[0])
        if index == len(self._kept) and self._bytes + size <= KEPT_BYTES:
            self._kept.append(part)
            self._bytes += size

    def _prepared(self, part: Part) -> tuple[Inputs, I64 | None]:
        images, labels = part
        if not isinstance(images, np.ndarray):
            return images, labels
        if images.dtype != np.uint8:
            return torch.from_numpy(np.ascontiguousarray(images, np.float32)), labels
        if self.how is None:
            raise PvqError(
                f"{self.model} does not say how images are prepared; give them as floats (npz:PATH)"
            )
        return self._squared(normalise(torch.from_numpy(images), self.how.mean, self.how.std)), labels

    def _squared(self, x: Tensor) -> Tensor:
        """Return (N, C, size, size), stretched if need be."""
        assert self.how is not None, "images that need preparing have been refused"
        size, (height, width) = self.how.size, x.shape[-2:]
        if (height, width) == (size, size):
            return x.contiguous()
        self.note = f"calibration images were stretched from {height} x {width} to {size} x {size} pixels"
        return F.interpolate(x.contiguous(), (size, size), mode="bilinear", antialias=True)


def _split(inputs: Inputs) -> Iterator[Inputs]:
    """Yield batches of at most `BATCH_VALUES` values; several inputs at once stay together."""
    if not isinstance(inputs, Tensor):
        yield inputs
        return
    size = max(1, BATCH_VALUES // max(1, inputs[0].numel()))
    for start in range(0, len(inputs), size):
        yield take(inputs, start, min(start + size, len(inputs)))


@dataclass(frozen=True, eq=False)
class Calibration:
    """Images as a network takes them.

    Parameters
    ----------
    text : how they were asked for
    batches : inputs of the network; may be gone through again and again
    split : the part of the data set
    digest : content hash of the images as they go in
    note : a remark that belongs beside every result, empty if there is none
    images : how many there are
    shape : of one image, by name where the network takes several inputs
    seed : that they were drawn with; None where they are the first ones
    classes : how many images there are of each class; None where classes are unknown
    prints : a hash of each image, in order
    """

    text: str
    batches: Iterable[Inputs]
    split: str
    digest: str
    note: str = ""
    images: int = 0
    shape: Any = None
    seed: int | None = None
    classes: Mapping[int, int] | None = None
    prints: tuple[bytes, ...] = ()

    def describe(self) -> dict[str, Any]:
        """Return what a manifest says of it."""
        return {
            "calibration": self.text, "split": self.split, "images": self.images, "shape": self.shape,
            "seed": self.seed, "classes": self._balance(), "digest": self.digest, "note": self.note,
        }  # fmt: skip

    def _balance(self) -> dict[str, Any] | None:
        if self.classes is None:
            return None
        counts = self.classes.values()
        return {
            "number": len(counts), "fewest": min(counts), "most": max(counts),
            "counts": {str(label): count for label, count in sorted(self.classes.items())},
        }  # fmt: skip


def read_calibration(text: str, model: Model, seed: int) -> Calibration:
    """Return N images of a data set, drawn with the seed, as `model` takes them.

    They are read once here, for their hash and their classes, and again by whoever goes through the batches;
    no more than 256 MiB of them are held.

    Parameters
    ----------
    text : ``DATA:N``, all images without N; with ``:balanced`` at the end each class gets as many of the N as
        any other, or one more
    model : says how images are prepared

    Raises
    ------
    PvqError : no such data set, more images than there are, a network that does not say what it expects
    """
    asked, balanced = text.removesuffix(BALANCED), text.endswith(BALANCED)
    dataset, split, count = dataset_of(asked, model)
    if balanced and (count is None or isinstance(dataset, Sequential)):
        raise PvqError(f"balanced images must be drawn, as in cifar10:N:balanced, got {text!r}")
    if balanced and count is not None:
        places = balanced_choice(dataset.labels(split), count, np.random.default_rng(seed))
    else:
        places = _places(dataset, split, count, seed)
    drawn = count is not None and not isinstance(dataset, Sequential)
    stream = Stream(dataset, split, places, model.preprocessing, model.name)
    return survey(text, stream, seed if drawn else None)


def dataset_of(text: str, model: Model) -> tuple[Dataset, str, int | None]:
    """Return the data set that ``DATA:N`` means for a network, the split that is used of it, and N."""
    how = model.preprocessing
    options = (
        {name: getattr(how, name) for name in ("size", "resize", "interpolation", "squash")} if how else {}
    )
    dataset, count = read_dataset(text, **options)
    return dataset, "train" if "train" in dataset.splits else dataset.splits[0], count


def _places(dataset: Dataset, split: str, count: int | None, seed: int) -> I64:
    if count is None or isinstance(dataset, Sequential):
        return pick(dataset.count(split) if count is None else max(1, count), count, None)
    return pick(dataset.count(split), count, seed)


def survey(text: str, stream: Stream, seed: int | None) -> Calibration:
    """Go through the images once and return what is to be known of them beforehand.

    Raises
    ------
    PvqError : there are fewer than the stream was to give
    """
    prints: list[bytes] = []
    classes: Counter[int] | None = Counter()
    form: Any = None
    for inputs, labels in stream.labelled():
        prints += fingerprints(inputs)
        form = form or shape(inputs)
        classes = None if classes is None or labels is None else classes + Counter(labels.tolist())
    if len(prints) != len(stream.places):
        raise PvqError(f"number of images must lie in [1, {len(prints)}], got {len(stream.places)}")
    digest = hashlib.sha256(b"".join(prints)).hexdigest()
    return Calibration(
        text, stream, stream.split, digest, stream.note, len(prints), form, seed, classes, tuple(prints)
    )

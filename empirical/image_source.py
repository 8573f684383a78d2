"""Where a training run takes its batches from: arrays in memory, or photographs read as they are needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pvq.arrays import I64
from pvq.empirical.dataset import Dataset
from pvq.empirical.evaluate import predict
from pvq.errors import PvqError

__all__ = ["ImageSource", "InMemory", "Streamed", "Streaming", "ahead", "image_source", "stream_accuracy"]

T = TypeVar("T")
U8: TypeAlias = NDArray[np.uint8]
Batch: TypeAlias = tuple[Tensor, Tensor]  # uint8 (n, H, W, 3) and int64 (n,), both on the run's device
EVALUATED = 250  # images at a time


@runtime_checkable
class Streaming(Protocol):
    """A data set too large for memory, whose photographs are cut at random for training."""

    def labels(self, split: str, n: int | None = None, seed: int | None = None) -> I64:
        """Return the class numbers, without reading an image."""
        ...

    def parts(self, split: str, places: I64, size: int) -> Iterator[tuple[U8, I64]]:
        """Yield what `random_parts` does, cut from the centre."""
        ...

    def random_parts(self, split: str, places: I64, size: int, seed: int) -> Iterator[tuple[U8, I64]]:
        """Yield the images at `places`, in that order, at most `size` at a time, and their classes."""
        ...


class ImageSource(Protocol):
    """The images that a run trains on."""

    @property
    def labels(self) -> Tensor:
        """Class numbers of all images, int64 (N,), on the run's device."""
        ...

    def batches(self, order: Tensor, size: int, seed: int) -> Iterator[Batch]:
        """Yield the images at `order`, places from 0 to N - 1, at most `size` at a time."""
        ...


@dataclass(frozen=True)
class InMemory:
    """Images that lie on the device.

    Parameters
    ----------
    images : uint8 (N, H, W, 3)
    labels : int64 (N,)
    """

    images: Tensor
    labels: Tensor

    def batches(self, order: Tensor, size: int, seed: int) -> Iterator[Batch]:
        """Yield batches; the seed decides nothing here."""
        for places in torch.split(order.to(self.images.device), size):
            yield self.images[places], self.labels[places]


@dataclass(frozen=True)
class Streamed:
    """Photographs of a data set, decoded one batch ahead and cut at random.

    Parameters
    ----------
    dataset : it
    places : those that are trained on, in its split ``train``
    labels : int64 (N,), of these
    """

    dataset: Streaming
    places: I64
    labels: Tensor

    def batches(self, order: Tensor, size: int, seed: int) -> Iterator[Batch]:
        """Yield batches; the cut of each image depends on the seed and on its place in the data set."""
        parts = self.dataset.random_parts("train", self.places[order.cpu().numpy()], size, seed)
        for images, labels in ahead(parts):
            device = self.labels.device
            yield torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device)


def image_source(
    dataset: Dataset, places: I64, held_out: I64, device: str
) -> tuple[InMemory | Streamed, tuple[U8, I64]]:
    """Return what gives the training images at `places`, and the images and labels that are held out.

    Images are streamed where the data set can, else they lie on the device; held-out ones lie in memory.

    Raises
    ------
    PvqError : images that are not uint8, not one label an image
    """
    labels = dataset.labels("train")
    chosen = torch.from_numpy(labels[places]).to(device)
    if isinstance(dataset, Streaming):
        parts = [np.asarray(part, np.uint8) for part, _ in dataset.parts("train", held_out, EVALUATED)]
        kept = np.concatenate(parts) if parts else np.zeros((0, 1, 1, 3), np.uint8)
        return Streamed(dataset, places, chosen), (kept, labels[held_out])
    images = dataset.images("train")
    if images.dtype != np.uint8:
        raise PvqError(f"training needs uint8 images, got {images.dtype}")
    if len(images) != len(labels):
        raise PvqError(f"there must be one label per image, got {len(images)} and {len(labels)}")
    whole = images.astype(np.uint8, copy=False)
    source = InMemory(torch.from_numpy(whole[places]).to(device), chosen)
    return source, (whole[held_out], labels[held_out])


def ahead(parts: Iterator[T]) -> Iterator[T]:
    """Yield what an iterator yields, while a thread works at what comes next.

    >>> list(ahead(iter([1, 2, 3])))
    [1, 2, 3]
    """
    done = object()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, parts, done)
        while (part := coming.result()) is not done:
            coming = pool.submit(next, parts, done)
            yield part  # type: ignore[misc]  # `done` is no T, and is never yielded


def stream_accuracy(
    model: nn.Module, parts: Iterable[tuple[U8, I64]], mean: Sequence[float], std: Sequence[float]
) -> float:
    """Return the share of images that are classified rightly, in [0, 1]; one part is in memory at a time.

    Parameters
    ----------
    parts : uint8 (n, H, W, 3) and class numbers (n,), such as ``dataset.parts("test", places, 250)``

    Raises
    ------
    ValueError : no image
    """
    right = count = 0
    for images, labels in ahead(iter(parts)):
        right += int((predict(model, images, mean, std, EVALUATED) == labels).sum())
        count += len(labels)
    if count == 0:
        raise ValueError("there must be an image to classify, got none")
    return right / count

"""Networks with some weights exchanged, measured on labelled images; what was measured once is on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pvq.arrays import Bool
from pvq.empirical.compression_apply import find_tensors
from pvq.empirical.evaluate import normalise
from pvq.empirical.hessian_trace import check_labels, read_labelled
from pvq.empirical.model import Model
from pvq.empirical.prediction_choice import Choice
from pvq.empirical.store import ArrayStore, content_key

__all__ = ["Bench", "Measured", "TestImages", "read_test_images"]

SPLITS = ("test", "val", "validation")
BATCH = 500
Losses = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class TestImages:
    """Labelled images.

    Parameters
    ----------
    data, split, seed : where they come from
    images : uint8 (N, H, W, 3), or float32 (N, C, H, W) that are preprocessed already
    labels : (N,) class numbers
    """

    __test__ = False  # no test case

    data: str
    split: str
    seed: int
    images: Tensor
    labels: Tensor

    @cached_property
    def digest(self) -> str:
        """Hash of images and labels."""
        return content_key({}, self.images.numpy(), self.labels.numpy())


def read_test_images(data: str, model: Model, seed: int) -> TestImages:
    """Return images of the test split, of the only split where a data set has no other.

    Parameters
    ----------
    data : ``DATA:N``, N images drawn under `seed`, or ``DATA``: all

    Raises
    ------
    PvqError : no such data set, no labels, a network that does not say how images are prepared, another size
    """
    images, labels, split = read_labelled(data, model, seed, SPLITS)
    return TestImages(data, split, seed, images, labels)


@dataclass(frozen=True, eq=False)
class Measured:
    """What a network made of N images.

    Parameters
    ----------
    losses : (N,) cross-entropies
    hits : (N,) whether the class was right
    """

    losses: Losses
    hits: Bool

    @property
    def loss(self) -> float:
        """Mean cross-entropy; NaN or infinite if one image's is."""
        with np.errstate(invalid="ignore", over="ignore"):
            return float(np.mean(self.losses, dtype=np.float64))

    @property
    def accuracy(self) -> float:
        """Share of images classified rightly."""
        return float(np.mean(self.hits))

    def increase(self, before: Measured) -> tuple[float, float]:
        """Return by how much the loss is above that of another network, and the standard error of that.

        The error is that of a mean of differences image by image: how far other images would move it.
        """
        with np.errstate(invalid="ignore", over="ignore"):
            steps = self.losses.astype(np.float64) - before.losses
            spread = float(np.std(steps, ddof=1)) if len(steps) > 1 else np.nan
            return float(np.mean(steps)), spread / len(steps) ** 0.5


class Bench:
    """A network, the images, and where measurements are kept.

    Parameters
    ----------
    model : whose weights are exchanged
    images : to measure on
    folder : of the measurements, each under a key of everything that decides it: name and all tensors of the
        network, images and labels, how they are prepared, the exchanged weights, the version of torch

    Raises
    ------
    PvqError : labels that are no classes of the network
    """

    def __init__(self, model: Model, images: TestImages, folder: Path) -> None:
        self.images, self.how, self.name = images, model.preprocessing, model.name
        self.module, self.store = model.module(), ArrayStore(folder)
        check_labels(self.module, self._batch(slice(0, 1)), images.labels, model.name)
        self._about = {
            "model": model.name,
            "weights": _state_digest(self.module),
            "images": images.digest,
            "preprocessing": str(model.preprocessing),
            "torch": torch.__version__,
        }

    def key(self, choices: Sequence[Choice]) -> str:
        """Return the key of a measurement."""
        ordered = sorted(choices, key=lambda choice: choice.layer)
        about = {**self._about, "layers": [choice.layer for choice in ordered]}
        return content_key(about, *(choice.tensor for choice in ordered))

    def stored(self, choices: Sequence[Choice]) -> Measured | None:
        """Return what was measured earlier; None where nothing was, or it is damaged."""
        arrays = self.store.get(self.key(choices))
        return None if arrays is None else Measured(arrays["losses"], arrays["hits"])

    def measure(self, choices: Sequence[Choice]) -> Measured:
        """Measure the network with these layers exchanged, all others as they are, and keep the outcome.

        Raises
        ------
        PvqError : a layer that the network lacks
        OSError : the outcome cannot be written
        """
        weights = {choice.layer: choice.tensor for choice in choices}
        tensors = find_tensors(self.module, list(weights), self.name)
        before = {name: tensor.clone() for name, tensor in tensors.items()}
        try:
            _copy(weights, tensors)
            found = self._scored()
        finally:
            _copy({name: tensor.numpy() for name, tensor in before.items()}, tensors)
        self.store.put(self.key(choices), {"losses": found.losses, "hits": found.hits})
        return found

    def _batch(self, part: slice) -> Tensor:
        images = self.images.images[part]
        if images.dtype != torch.uint8 or self.how is None:
            return images
        return normalise(images, self.how.mean, self.how.std)

    def _scored(self) -> Measured:
        losses, hits = [], []
        with torch.no_grad():
            for start in range(0, len(self.images.labels), BATCH):
                part = slice(start, start + BATCH)
                outputs, labels = self.module(self._batch(part)).double(), self.images.labels[part]
                losses.append(functional.cross_entropy(outputs, labels, reduction="none").float())
                hits.append(outputs.argmax(dim=1) == labels)
        return Measured(torch.cat(losses).numpy(), torch.cat(hits).numpy())


def _copy(weights: Mapping[str, NDArray[Any]], tensors: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(torch.from_numpy(weights[name]))


def _state_digest(module: nn.Module) -> str:
    state = {name: tensor.detach().cpu() for name, tensor in module.state_dict().items()}
    arrays = [tensor.contiguous().numpy() for tensor in state.values()]
    return content_key({"names": list(state)}, *arrays)

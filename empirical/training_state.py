"""The moving parts of a training run, as a recipe starts them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pvq.arrays import I64
from pvq.empirical.architecture import ARCHITECTURES
from pvq.empirical.dataset import DATASETS, Dataset
from pvq.empirical.evaluate import normalise
from pvq.empirical.recipe import Recipe
from pvq.empirical.record import EpochMetrics
from pvq.errors import PvqError
from pvq.provenance import provenance

__all__ = ["TrainingState", "fresh_state"]


@dataclass
class TrainingState:
    """What changes while a run goes on, and the data it reads.

    Parameters
    ----------
    recipe, dataset : the settings, and the data set that they name
    model, optimizer : on the recipe's device
    images : uint8 (N, H, W, 3), those that are trained on
    labels : int64 (N,)
    held_out : images and labels that are not
    made : provenance at the start, when the code is what runs
    epochs : metrics of the epochs done
    """

    recipe: Recipe
    dataset: Dataset
    model: nn.Module
    optimizer: torch.optim.SGD
    images: Tensor
    labels: Tensor
    held_out: tuple[NDArray[np.uint8], I64]
    made: dict[str, Any]
    epochs: tuple[EpochMetrics, ...] = ()

    @property
    def steps(self) -> int:
        """Batches in an epoch; images that fill none are left out."""
        return len(self.images) // self.recipe.batch_size


def fresh_state(recipe: Recipe) -> TrainingState:
    """Return a run before its first step, its weights drawn under the recipe's seed.

    Raises
    ------
    PvqError : unknown names, data absent or unfit for the network, no GPU where one is asked for
    """
    if recipe.device == "cuda" and not torch.cuda.is_available():
        raise PvqError("device is cuda in the recipe, but torch finds no GPU")
    dataset = DATASETS.build(recipe.dataset)
    architecture = ARCHITECTURES.build(recipe.model)
    images, labels = _training_data(recipe, dataset)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = architecture.build()
    _check_fit(model, images, labels, recipe)
    model = model.to(recipe.device)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # absent in torch's types
    order = np.random.default_rng(recipe.seed).permutation(len(images))
    kept, out = np.sort(order[recipe.validation :]), np.sort(order[: recipe.validation])
    return TrainingState(
        recipe=recipe,
        dataset=dataset,
        model=model,
        optimizer=_optimizer(model, recipe),
        images=torch.from_numpy(images[kept]).to(recipe.device),
        labels=torch.from_numpy(labels[kept]).to(recipe.device),
        held_out=(images[out], labels[out]),
        made=provenance(seed=recipe.seed, threads=recipe.threads, device=recipe.device),
    )


def _training_data(recipe: Recipe, dataset: Dataset) -> tuple[NDArray[np.uint8], I64]:
    images, labels = dataset.images("train"), dataset.labels("train")
    if images.dtype != np.uint8:
        raise PvqError(f"training needs uint8 images, got {images.dtype} from {recipe.dataset}")
    if len(images) != len(labels):
        raise PvqError(f"there must be one label per image, got {len(images)} and {len(labels)}")
    if len(images) - recipe.validation < recipe.batch_size:
        raise PvqError(
            f"batch_size must be at most the number of training images, "
            f"got {recipe.batch_size} and {len(images)} - {recipe.validation}"
        )
    return images.astype(np.uint8, copy=False), labels


def _check_fit(model: nn.Module, images: NDArray[np.uint8], labels: I64, recipe: Recipe) -> None:
    """Refuse labels that the network has no output for."""
    with torch.no_grad():
        one = normalise(torch.from_numpy(images[:1]), recipe.mean, recipe.std)
        classes = model.eval()(one).shape[1]
    if labels.min() < 0 or labels.max() >= classes:
        raise PvqError(
            f"labels must lie in [0, {classes}) for {recipe.model}, got {labels.min()} to {labels.max()}"
        )


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """SGD whose weight decay spares biases and norms."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": others},
    ]
    nesterov = recipe.momentum > 0
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=nesterov)

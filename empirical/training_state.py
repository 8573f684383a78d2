"""The moving parts of a training run, as a recipe starts them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pvq.arrays import I64
from pvq.empirical.architecture import ARCHITECTURES
from pvq.empirical.dataset import DATASETS, Dataset
from pvq.empirical.distributed import ALONE, World
from pvq.empirical.evaluate import normalise
from pvq.empirical.image_source import ImageSource, image_source
from pvq.empirical.method import TRAINING_METHODS, Calibrated, Method, OwnOptimizer, Paced, Settling
from pvq.empirical.recipe import Recipe
from pvq.empirical.record import EpochMetrics
from pvq.empirical.start_weights import load_start
from pvq.errors import PvqError
from pvq.provenance import provenance
from pvq.theory.budget import Budget

__all__ = ["TrainingState", "fresh_state"]


@dataclass
class TrainingState:
    """What changes while a run goes on, and the data it reads.

    Parameters
    ----------
    recipe, dataset : the settings, and the data set that they name
    model, optimizer : on the recipe's device
    source : the images that are trained on
    held_out : images and labels that are not
    classes : outputs of the network
    made : provenance at the start, when the code is what runs
    method : how the network is compressed, None if it is not
    own : optimizer of the method's own parameters, None if it has none
    started : the network as it was loaded, None if its weights were drawn
    prepared : the network as the method prepared it, None without a method
    start_sha256 : of the file it was loaded from
    epochs : metrics of the epochs done
    world : the processes that train this run
    network : what is called in training, the model or its wrapping for several processes
    """

    recipe: Recipe
    dataset: Dataset
    model: nn.Module
    optimizer: torch.optim.SGD
    source: ImageSource
    held_out: tuple[NDArray[np.uint8], I64]
    classes: int
    made: dict[str, Any]
    method: Method | None = None
    own: torch.optim.Optimizer | None = None
    started: nn.Module | None = None
    prepared: nn.Module | None = None
    start_sha256: str = ""
    epochs: tuple[EpochMetrics, ...] = ()
    world: World = ALONE
    network: nn.Module = field(init=False)

    def __post_init__(self) -> None:
        self.network = self.model

    @property
    def steps(self) -> int:
        """Batches in an epoch; images that fill none are left out."""
        return len(self.source.labels) // self.recipe.batch_size

    @property
    def image_size(self) -> int:
        """Side of an image as it goes in, in pixels."""
        ((one, _),) = self.source.batches(torch.zeros(1, dtype=torch.int64), 1, self.recipe.seed)
        return int(one.shape[1])

    @property
    def optimizers(self) -> tuple[torch.optim.Optimizer, ...]:
        """The recipe's, and the method's own where there is one."""
        return (self.optimizer,) if self.own is None else (self.optimizer, self.own)

    @property
    def wanted_epochs(self) -> int:
        """For how many epochs to train.

        Raises
        ------
        ValueError : the method would do nothing in so few
        """
        asked = self.recipe.epochs
        return self.method.epochs(asked) if isinstance(self.method, Paced) else asked

    def batches(self, n: int) -> Iterator[Tensor]:
        """Yield at most n batches of training images without shift or mirror, drawn under the seed."""
        recipe, count = self.recipe, min(n, self.steps)
        order = np.random.default_rng([recipe.seed, 1]).permutation(len(self.source.labels))
        drawn = torch.from_numpy(order[: count * recipe.batch_size])
        for images, _ in self.source.batches(drawn, recipe.batch_size, recipe.seed):
            yield normalise(images, recipe.mean, recipe.std)

    def settle(self, model: nn.Module) -> None:
        """Let the method correct a network before it is evaluated."""
        method: object = self.method
        if isinstance(method, Settling):
            method.settle(model, self.batches)


def fresh_state(recipe: Recipe, world: World = ALONE) -> TrainingState:
    """Return a run before its first step, its weights loaded, or drawn under the recipe's seed.

    Raises
    ------
    PvqError : unknown names, data absent or unfit for the network, no GPU where one is asked for, a method
        that refuses the network or the budget
    """
    if recipe.device == "cuda" and not torch.cuda.is_available():
        raise PvqError("device is cuda in the recipe, but torch finds no GPU")
    device = world.device(recipe.device)
    method = TRAINING_METHODS.build(recipe.method) if recipe.method else None
    dataset = DATASETS.build(recipe.dataset)
    architecture = ARCHITECTURES.build(recipe.model)
    labels = dataset.labels("train")
    order = np.random.default_rng(recipe.seed).permutation(len(labels))
    kept, out = np.sort(order[recipe.validation :]), np.sort(order[: recipe.validation])
    source, held_out = image_source(dataset, kept, out, device)
    _check_count(recipe, len(labels))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = architecture.build()
    sha256 = load_start(model, recipe.start) if recipe.start else ""
    classes = _check_fit(model, source, labels, recipe)
    model = model.to(device)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # absent in torch's types
    run = TrainingState(
        recipe=recipe,
        dataset=dataset,
        model=model,
        optimizer=_optimizer(model, recipe),
        source=source,
        held_out=held_out,
        classes=classes,
        made=provenance(
            seed=recipe.seed, threads=recipe.threads, device=recipe.device, processes=world.share.size
        ),
        method=method,
        started=copy.deepcopy(model) if recipe.start else None,
        start_sha256=sha256,
        world=world,
    )
    if method is not None:
        _prepare(run, method)
    return run


def _prepare(run: TrainingState, method: Method) -> None:
    """Let the method change the network, then make the optimizers anew."""
    recipe = run.recipe
    try:
        budget = Budget(recipe.budget)
        _ = run.wanted_epochs
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            run.model = method.prepare(run.model.eval(), budget).eval()
            if isinstance(method, Calibrated):
                method.calibrate(run.model, budget, run.batches)
    except ValueError as error:
        raise PvqError(f"{recipe.method}: {error}") from error
    run.network, run.prepared = run.model, copy.deepcopy(run.model)
    run.own = method.optimizer(run.model) if isinstance(method, OwnOptimizer) else None
    for group in run.own.param_groups if run.own else ():
        group["peak"] = group["lr"]
    run.optimizer = _optimizer(run.model, recipe, run.own)


def _check_count(recipe: Recipe, images: int) -> None:
    if images - recipe.validation < recipe.batch_size:
        raise PvqError(
            f"batch_size must be at most the number of training images, "
            f"got {recipe.batch_size} and {images} - {recipe.validation}"
        )


def _check_fit(model: nn.Module, source: ImageSource, labels: I64, recipe: Recipe) -> int:
    """Return the number of outputs; refuse labels that the network has none for."""
    ((one, _),) = source.batches(torch.zeros(1, dtype=torch.int64), 1, recipe.seed)
    with torch.no_grad():
        classes = model.eval()(normalise(one.cpu(), recipe.mean, recipe.std)).shape[1]
    if labels.min() < 0 or labels.max() >= classes:
        raise PvqError(
            f"labels must lie in [0, {classes}) for {recipe.model}, got {labels.min()} to {labels.max()}"
        )
    return int(classes)


def _optimizer(model: nn.Module, recipe: Recipe, own: torch.optim.Optimizer | None = None) -> torch.optim.SGD:
    """SGD whose weight decay spares biases and norms, on all parameters but those of another optimizer."""
    taken = {id(p) for group in own.param_groups for p in group["params"]} if own else set()
    parameters = [p for p in model.parameters() if id(p) not in taken]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2]},
    ]
    rate, nesterov = recipe.learning_rate, recipe.momentum > 0
    for group in groups:
        group["peak"] = rate
    return torch.optim.SGD(groups, lr=rate, momentum=recipe.momentum, nesterov=nesterov)

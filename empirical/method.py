"""Ways to compress a network after or while it is trained, as the training loop sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias, runtime_checkable

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.optim import Optimizer

from pvq.empirical.spent import Spent
from pvq.registry import Registry
from pvq.theory.budget import Budget

__all__ = [
    "TRAINING_METHODS",
    "Batches",
    "Calibrated",
    "Method",
    "OwnOptimizer",
    "Paced",
    "Settling",
    "task_loss",
]

Batches: TypeAlias = Callable[[int], Iterator[Tensor]]  # n -> at most n batches of normalised training images


@runtime_checkable
class Method(Protocol):
    """A way to compress a network: a frozen dataclass of options. What changes is kept in the network.

    The loop calls `prepare` before it makes the optimizer, `loss` and `after_step` for every batch, `spent`
    at the end. Whatever a run must have to go on after a stop has to be in the network's state dict. The
    protocols below are for methods that want more.
    """

    def prepare(self, model: nn.Module, budget: Budget) -> nn.Module:
        """Return the network, which may be changed in place, ready to be trained.

        Raises
        ------
        ValueError, PvqError : a budget or a network that the method cannot serve
        """
        ...

    def loss(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """Return the loss of a batch; see `task_loss` for the arguments. The network is called in it.

        Where several processes train, `model` is the network in torch's `DistributedDataParallel`, the batch
        this process's share, and gradients become the mean over all of them.
        """
        ...

    def after_step(self, model: nn.Module, progress: float) -> None:
        """Do what follows each step of the optimizer; `progress` is the share of the run done, in (0, 1]."""
        ...

    def spent(self, model: nn.Module) -> Spent:
        """Return the bits that the network's weights take, measured from its tensors."""
        ...


@runtime_checkable
class Calibrated(Protocol):
    """A method that needs training images before training starts."""

    def calibrate(self, model: nn.Module, budget: Budget, batches: Batches) -> None:
        """Set what depends on images, in place; called after `prepare`, in evaluation mode."""
        ...


@runtime_checkable
class Settling(Protocol):
    """A method that corrects the network before it is evaluated."""

    def settle(self, model: nn.Module, batches: Batches) -> None:
        """Correct what training does not read, such as the running averages of batch norms, in place."""
        ...


@runtime_checkable
class OwnOptimizer(Protocol):
    """A method with parameters that the recipe's optimizer must not touch."""

    def optimizer(self, model: nn.Module) -> Optimizer | None:
        """Return their optimizer, None if there are none; its rates are peaks of the recipe's schedule."""
        ...


@runtime_checkable
class Paced(Protocol):
    """A method that does not train for as long as any recipe asks."""

    def epochs(self, asked: int) -> int:
        """Return for how many epochs to train where the recipe asks for `asked`.

        Raises
        ------
        ValueError : the method would do nothing in so few
        """
        ...


TRAINING_METHODS: Registry[Method] = Registry("training method", "pvq.empirical.methods", Method)


def task_loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return the mean cross-entropy, in nats.

    Parameters
    ----------
    x : (N, C, H, W) normalised images
    y : (N,) classes, or (N, classes) probabilities where labels are smoothed
    """
    return F.cross_entropy(model(x), y)

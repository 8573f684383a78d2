"""One training run on several processes, each with its share of every batch."""

from __future__ import annotations

import atexit
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pvq.empirical.recipe import Recipe
from pvq.errors import MissingExtra, PvqError

__all__ = ["ALONE", "WHOLE", "Share", "World", "is_main", "join_world", "processes"]

T = TypeVar("T")
LOST = "another process of this run has ended, see its message; the same command goes on from the last epoch"


@dataclass(frozen=True)
class Share:
    """Which part of every batch a process trains on: the rank-th of `size` equal ones."""

    rank: int = 0
    size: int = 1

    def of(self, batch: Tensor) -> Tensor:
        """Return this process's part of a batch, along the first dimension.

        >>> Share(1, 2).of(torch.arange(6)).tolist()
        [3, 4, 5]
        """
        count = len(batch) // self.size
        return batch[self.rank * count : (self.rank + 1) * count]

    def of_order(self, order: Tensor, batch_size: int) -> Tensor:
        """Return this process's part of every batch of an order of images, one after the other.

        >>> Share(1, 2).of_order(torch.arange(8), 4).tolist()
        [2, 3, 6, 7]
        """
        return order.view(-1, self.size, batch_size // self.size)[:, self.rank].flatten()


WHOLE = Share()


@dataclass(frozen=True)
class World:
    """The processes of a run; by default there is one, and nothing is exchanged.

    Parameters
    ----------
    share : of this process
    accelerator : an ``accelerate.Accelerator``, None for one process
    """

    share: Share = WHOLE
    accelerator: Any = None

    @property
    def main(self) -> bool:
        """Whether this process writes files and tells of progress."""
        return self.share.rank == 0

    def device(self, asked: str) -> str:
        """Return the device of this process: each has a GPU of its own where ``cuda`` is asked for."""
        return str(self.accelerator.device) if self.accelerator and asked == "cuda" else asked

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return the network to call in training; with several processes its gradients become their mean.

        Whatever differs between processes is set to what the first has.
        """
        if self.accelerator is None:
            return model
        model.load_state_dict(self.from_main(lambda: _on_cpu(model)))
        with warnings.catch_warnings():  # torch is about to rename what accelerate passes on
            warnings.filterwarnings("ignore", message=".*broadcast_buffers", category=FutureWarning)
            wrapped: nn.Module = self.accelerator.prepare_model(model)
        return wrapped

    def total(self, value: float) -> float:
        """Return the sum over all processes, the same in each."""
        if self.accelerator is None:
            return value
        mine = torch.tensor(value, dtype=torch.float64, device=self.accelerator.device)
        return float(self.accelerator.reduce(mine, "sum"))

    def average_norms(self, model: nn.Module) -> None:
        """Set the running averages of batch norms, each of its share of batches, to their mean."""
        if self.accelerator is None:
            return
        for norm in model.modules():
            if isinstance(norm, _BatchNorm):
                for average in (norm.running_mean, norm.running_var):
                    if average is not None:
                        average.copy_(self.accelerator.reduce(average.clone(), "mean"))

    def from_main(self, find: Callable[[], T]) -> T:
        """Return what the first process finds, in all of them; what it raises is raised in all.

        `find` is called in the first process only, and what it returns must be possible to pickle.
        """
        if self.accelerator is None:
            return find()
        from accelerate.utils import broadcast_object_list

        found: list[Any] = [None, None]
        if self.main:
            try:
                found[0] = find()
            except Exception as error:  # whatever it is, the others must not wait for a value
                found[1] = error
        broadcast_object_list(found)
        if found[1] is not None:
            raise found[1]
        value: T = found[0]
        return value


ALONE = World()


def processes() -> int:
    """Return of how many processes this one is, as `torchrun` and `accelerate launch` tell it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Return whether this process is the only or the first one."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def join_world(recipe: Recipe) -> Iterator[World]:
    """Give the processes of a run while the block runs.

    Where this process fails in the block, the others are cut off, so that they fail too and do not wait.

    Raises
    ------
    MissingExtra : several processes without accelerate
    PvqError : a batch that cannot be split evenly; no GPU where one is asked for; another process has ended
    """
    size = processes()
    if size == 1:
        yield ALONE
        return
    if recipe.batch_size % size:
        raise PvqError(
            f"batch_size must be a multiple of the number of processes, got {recipe.batch_size} and {size}"
        )
    if recipe.device == "cuda" and not torch.cuda.is_available():
        raise PvqError("device is cuda in the recipe, but torch finds no GPU")
    accelerator = _accelerator(recipe.device == "cpu")
    try:
        yield World(Share(accelerator.process_index, accelerator.num_processes), accelerator)
    except BaseException as error:
        _leave()
        if isinstance(error, torch.distributed.DistError) or "gloo" in str(error):
            raise PvqError(LOST) from error
        raise


def _accelerator(cpu: bool) -> Any:
    """Return the accelerator, which starts the process group: gloo on the CPU, NCCL on GPUs.

    Buffers are not copied before every step: masks follow from weights that are equal everywhere, and the
    averages of batch norms are brought together at the end of an epoch.
    """
    try:
        from accelerate import Accelerator, DistributedDataParallelKwargs
    except ModuleNotFoundError as error:
        raise MissingExtra("accelerate", "accelerate") from error
    atexit.register(_leave)  # gloo's threads abort a process that ends without; later runs use the same group
    return Accelerator(cpu=cpu, kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)])


def _leave() -> None:
    """Leave the process group: whoever waits for this process gets an error."""
    from accelerate.state import AcceleratorState

    with suppress(Exception):  # another failure is on its way already
        torch.distributed.destroy_process_group()
    AcceleratorState._reset_state(reset_partial_state=True)


def _on_cpu(model: nn.Module) -> dict[str, Any]:
    return {
        name: value.cpu() if isinstance(value, Tensor) else value
        for name, value in model.state_dict().items()
    }

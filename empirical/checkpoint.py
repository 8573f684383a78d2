"""The state of a training run after a whole epoch, in one safetensors file."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pvq.empirical.atomic import write_bytes
from pvq.empirical.record import EpochMetrics
from pvq.errors import PvqError

__all__ = ["Checkpoint", "read_checkpoint", "restore", "take", "write_checkpoint"]


@dataclass(frozen=True)
class Checkpoint:
    """Everything that the next epoch depends on; chance is a function of seed and epoch alone.

    Parameters
    ----------
    recipe_hash : of the run that it belongs to
    epochs : metrics of the epochs done
    tensors : ``model.*`` state and ``momentum.*`` buffers, by parameter name
    """

    recipe_hash: str
    epochs: tuple[EpochMetrics, ...]
    tensors: dict[str, Tensor]


def take(
    recipe_hash: str, epochs: tuple[EpochMetrics, ...], model: nn.Module, optimizer: torch.optim.Optimizer
) -> Checkpoint:
    """Return the present state of a run."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        momentum = optimizer.state[parameter].get("momentum_buffer")
        if momentum is not None:
            tensors[f"momentum.{name}"] = momentum
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    return Checkpoint(recipe_hash, epochs, plain)


def restore(checkpoint: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put a run into the state of a checkpoint.

    Raises
    ------
    PvqError : the checkpoint is of another network
    """
    state = {k.removeprefix("model."): v for k, v in checkpoint.tensors.items() if k.startswith("model.")}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise PvqError(f"the checkpoint is of another network: {' '.join(str(error).split())}") from error
    for name, parameter in model.named_parameters():
        momentum = checkpoint.tensors.get(f"momentum.{name}")
        if momentum is not None:
            optimizer.state[parameter]["momentum_buffer"] = torch.empty_like(parameter).copy_(momentum)


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically."""
    from safetensors.torch import save

    epochs = json.dumps([dataclasses.asdict(entry) for entry in checkpoint.epochs])
    metadata = {"recipe_hash": checkpoint.recipe_hash, "epochs": epochs}
    write_bytes(path, save(checkpoint.tensors, metadata))


def read_checkpoint(path: Path) -> Checkpoint | None:
    """Return the checkpoint in a file, None if there is no file.

    Raises
    ------
    PvqError : the file is no checkpoint
    """
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        epochs = tuple(EpochMetrics(**entry) for entry in json.loads(metadata["epochs"]))
        return Checkpoint(metadata["recipe_hash"], epochs, tensors)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise PvqError(f"{path} is no checkpoint of a training run: {error}") from error

"""The state of a training run after a whole epoch, in one safetensors file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pvq.empirical.atomic import write_bytes
from pvq.empirical.record import EpochMetrics
from pvq.errors import PvqError

__all__ = ["Checkpoint", "read_checkpoint", "restore", "take", "write_checkpoint"]

KINDS = ("momentum_buffer", "exp_avg", "exp_avg_sq", "step")  # what SGD and Adam keep of a parameter
SHORT = {"momentum_buffer": "momentum"}


@dataclass(frozen=True)
class Checkpoint:
    """Everything that the next epoch depends on; chance is a function of seed and epoch alone.

    Parameters
    ----------
    recipe_hash : of the run that it belongs to
    epochs : metrics of the epochs done
    tensors : ``model.*`` state, what a method keeps in the network included, and the optimizers' state, by
        its kind and the parameter's name: ``momentum.*``, ``exp_avg.*``
    """

    recipe_hash: str
    epochs: tuple[EpochMetrics, ...]
    tensors: dict[str, Tensor]


def take(
    recipe_hash: str,
    epochs: tuple[EpochMetrics, ...],
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
) -> Checkpoint:
    """Return the present state of a run."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for optimizer in optimizers:
            for kind, value in optimizer.state.get(parameter, {}).items():
                if value is not None:
                    tensors[f"{SHORT.get(kind, kind)}.{name}"] = value
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    return Checkpoint(recipe_hash, epochs, plain)


def restore(checkpoint: Checkpoint, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> None:
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
    owners = {id(p): owner for owner in optimizers for group in owner.param_groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        for kind in KINDS:
            value = checkpoint.tensors.get(f"{SHORT.get(kind, kind)}.{name}")
            if value is not None:
                owners[id(parameter)].state[parameter][kind] = _placed(value, parameter)


def _placed(value: Tensor, parameter: Tensor) -> Tensor:
    """Return a tensor laid out in memory as the parameter that it belongs to; a count as it is."""
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value.clone()


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

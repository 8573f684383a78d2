"""The weights that a run starts from: of a network of the zoo, or of an earlier run."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from pvq.empirical.model import file_sha256
from pvq.empirical.models_zoo import load_model
from pvq.empirical.state_dict import load_state_dict
from pvq.errors import PvqError

__all__ = ["load_start", "started_network"]

FILES = (".safetensors", ".pt", ".pth")


def load_start(model: nn.Module, start: str) -> str:
    """Put stored weights into a network and return the SHA-256 of their file.

    Parameters
    ----------
    model : of the same architecture
    start : path of a safetensors file or state dict, or a name of the zoo

    Raises
    ------
    PvqError : no such file or network, weights of another architecture
    """
    state, sha256 = _read(start)
    own = model.state_dict()
    for name in (*own, *state):
        shapes = tuple(tuple(found[name].shape) if name in found else None for found in (own, state))
        if shapes[0] != shapes[1]:
            raise PvqError(
                f"start must hold weights of the recipe's model, got {start} where {name} has shape "
                f"{shapes[1]} instead of {shapes[0]}"
            )
    model.load_state_dict(state)
    return sha256


def started_network(architecture: str, start: str) -> tuple[nn.Module, str]:
    """Return a network with stored weights, in evaluation mode, and the SHA-256 of their file.

    Raises
    ------
    PvqError : see `load_start`
    """
    from pvq.empirical.architecture import ARCHITECTURES

    network = ARCHITECTURES.build(architecture).build()
    sha256 = load_start(network, start)
    return network.eval(), sha256


def _read(start: str) -> tuple[dict[str, Tensor], str]:
    path = Path(start).expanduser()
    if path.suffix in FILES or path.is_file():
        return load_state_dict(path), file_sha256(path)
    network = load_model(start)
    return dict(network.module().state_dict()), network.source.sha256

"""From state dicts to named layers: what is a weight matrix, and of which kind."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pvq.empirical.model import Kind, LayerWeights
from pvq.errors import MissingExtra, PvqError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["layers_of", "load_state_dict"]


def layers_of(state: Mapping[str, Tensor]) -> dict[str, LayerWeights]:
    """Return the weight matrices of a state dict by name, in its order.

    A floating-point tensor counts if its name ends in ``weight`` and it has two dimensions or more; that
    leaves out biases, batch norm, running statistics and position tables. The name
    loses a trailing ``.weight``.
    """
    found: dict[str, LayerWeights] = {}
    for key, tensor in state.items():
        if not (key.endswith("weight") and tensor.ndim >= 2 and tensor.is_floating_point()):
            continue
        name = key.removesuffix(".weight")
        first = not any(layer.kind == "conv" for layer in found.values())
        found[name] = LayerWeights(name, _kind(name, tuple(tensor.shape), first), _to_numpy(tensor))
    return found


def _kind(name: str, shape: tuple[int, ...], first: bool) -> Kind:
    """Tell the kind from name and shape.

    A convolution over one input channel is depthwise unless it is the first one: a grey image has
    one channel.
    """
    if len(shape) == 2:
        return "embedding" if "embed" in name.lower() else "linear"
    return "depthwise" if shape[1] == 1 and shape[0] > 1 and not first else "conv"


def _to_numpy(tensor: Tensor) -> NDArray[np.floating[Any]]:
    """Return a NumPy copy; NumPy has no bfloat16, float32 holds every such value."""
    import torch

    wide = tensor.detach().cpu()
    array: NDArray[Any] = (wide.float() if wide.dtype == torch.bfloat16 else wide).numpy()
    return array.copy()


def load_state_dict(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a ``.safetensors`` file or of a ``.pt``/``.pth`` state dict, by name.

    A pickle is never executed: anything but tensors in plain containers is refused. A checkpoint that holds
    the state dict under ``state_dict`` or ``model`` is unwrapped.

    Raises
    ------
    PvqError : no such file, another format, a file that would have to run code, no tensor inside
    """
    if path.is_dir():
        raise PvqError(f"{path} is a directory; name a .safetensors, .pt or .pth file")
    if not path.is_file():
        raise PvqError(f"no such file: {path}")
    loaded = _safetensors(path) if path.suffix == ".safetensors" else _torch(path)
    for wrapper in ("state_dict", "model"):
        if isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
    tensors = {str(key): value for key, value in loaded.items() if hasattr(value, "is_floating_point")}
    if not tensors:
        raise PvqError(f"{path} holds no named tensors")
    return tensors


def _safetensors(path: Path) -> Mapping[str, Any]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingExtra("safetensors", "torch") from error
    try:
        return dict(load_file(str(path)))
    except Exception as error:
        raise PvqError(f"{path} is not a readable safetensors file: {_first_line(error)}") from error


def _torch(path: Path) -> Mapping[str, Any]:
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of a file before it refuses it
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise PvqError(
            f"{path} is refused: it is no state dict of plain tensors, and pickles are never executed "
            f"(save model.state_dict() or use safetensors)"
        ) from error
    if not isinstance(loaded, Mapping):
        raise PvqError(f"{path} must hold a state dict, got {type(loaded).__name__}")
    return loaded


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]

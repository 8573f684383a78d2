"""From state dicts to named layers: what is a weight matrix, and of which kind."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pvq.empirical.model import LayerWeights
from pvq.empirical.tensor_names import Described, is_weight, named_layers, remarks_on
from pvq.errors import MissingExtra, PvqError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["TorchTensor", "layers_of", "lazy_layers_of", "load_state_dict", "numpy_of", "state_remarks"]


@dataclass(frozen=True, eq=False)
class TorchTensor:
    """A tensor of torch, such as one that lies in a file mapped into memory; copied when it is read."""

    tensor: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, known without reading."""
        return tuple(self.tensor.shape)

    def read(self) -> NDArray[np.floating[Any]]:
        """Return a copy."""
        return numpy_of(self.tensor)


def layers_of(state: Mapping[str, Tensor]) -> dict[str, LayerWeights]:
    """Return the weight matrices of a state dict by name, in its order.

    A floating-point tensor counts if its name ends in ``weight`` and it has two dimensions or more; that
    leaves out biases, batch norm, running statistics and position tables. The name loses a trailing
    ``.weight``. A tensor with several names comes once, under its first. The layers hold copies: what
    becomes of the state dict does not change them. With a network at hand, `pvq.empirical.module_layers`
    knows better.
    """
    return {name: layer.with_stored(layer.tensor) for name, layer in lazy_layers_of(state).items()}


def lazy_layers_of(state: Mapping[str, Tensor]) -> dict[str, LayerWeights]:
    """Return what `layers_of` does, each tensor copied only when it is read."""
    weights = {key: TorchTensor(tensor) for key, tensor in state.items() if is_weight(_describe(key, tensor))}
    return named_layers(weights, _same_memory(weights))


def state_remarks(state: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Return why tensors that look like weights are no layers, see `remarks_on`."""
    return remarks_on(_describe(key, tensor) for key, tensor in state.items())


def _describe(key: str, tensor: Tensor) -> Described:
    if tensor.is_complex():
        return Described(key, tuple(tensor.shape), "complex")
    return Described(key, tuple(tensor.shape), "real" if tensor.is_floating_point() else "integer")


def _same_memory(weights: Mapping[str, TorchTensor]) -> dict[str, str]:
    """Return, for each further name of a tensor, its first."""
    first: dict[tuple[Any, ...], str] = {}
    same: dict[str, str] = {}
    for key, stored in weights.items():
        tensor = stored.tensor
        memory = (tensor.data_ptr(), stored.shape, tensor.stride(), tensor.dtype, tensor.device)
        if tensor.data_ptr() and first.setdefault(memory, key) != key:
            same[key] = first[memory]
    return same


def numpy_of(tensor: Tensor) -> NDArray[np.floating[Any]]:
    """Return a NumPy copy; float32 holds every value of the types that NumPy does not have."""
    import torch

    wide = tensor.detach().cpu()
    known = wide.dtype in (torch.float16, torch.float32, torch.float64)
    array: NDArray[Any] = (wide if known else wide.float()).numpy()
    return array.copy()


def load_state_dict(path: Path, mapped: bool = False) -> dict[str, Tensor]:
    """Return the tensors of a ``.safetensors`` file or of a ``.pt``/``.pth`` state dict, by name.

    A pickle is never executed: anything but tensors in plain containers is refused. A checkpoint that holds
    the state dict under ``state_dict`` or ``model`` is unwrapped.

    Parameters
    ----------
    path : of the file
    mapped : leave a ``.pt``/``.pth`` file on disk and read what is used; the file must then stay as it is

    Raises
    ------
    PvqError : no such file, another format, a file that would have to run code, no tensor inside
    """
    if path.is_dir():
        raise PvqError(f"{path} is a directory; name a .safetensors, .pt or .pth file")
    if not path.is_file():
        raise PvqError(f"no such file: {path}")
    loaded = _safetensors(path) if path.suffix == ".safetensors" else _torch(path, mapped)
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


def _torch(path: Path, mapped: bool) -> Mapping[str, Any]:
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    options: dict[str, Any] = {"map_location": "cpu", "weights_only": True}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of a file before it refuses it
            loaded = torch.load(path, mmap=mapped and _is_zip(path), **options)
    except Exception as error:
        raise PvqError(
            f"{path} is refused: it is no state dict of plain tensors, and pickles are never executed "
            f"(save model.state_dict() or use safetensors)"
        ) from error
    if not isinstance(loaded, Mapping):
        raise PvqError(f"{path} must hold a state dict, got {type(loaded).__name__}")
    return loaded


def _is_zip(path: Path) -> bool:
    """Return whether the file has the layout that can be mapped: torch's since version 1.6."""
    with path.open("rb") as stream:
        return stream.read(4) == b"PK\x03\x04"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]

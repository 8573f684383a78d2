"""A pretrained network as the project sees it: named weight matrices, where they come from, how to run it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import F64
from pvq.errors import PvqError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Kind", "LayerWeights", "Model", "Preprocessing", "Source", "file_sha256", "trouble"]

Kind: TypeAlias = Literal["conv", "depthwise", "linear", "embedding"]


@dataclass(frozen=True)
class LayerWeights:
    """The weights of one layer.

    Parameters
    ----------
    name : the tensor's name in the model's state dict, without a trailing ``.weight``
    kind : what the layer does with them
    tensor : as stored, first axis = output channels (rows of an embedding: tokens)
    """

    name: str
    kind: Kind
    tensor: NDArray[np.floating[Any]]

    @property
    def shape(self) -> tuple[int, ...]:
        """The stored shape."""
        return self.tensor.shape

    @property
    def n(self) -> int:
        """Number of weights of a row; 0 where there are no rows."""
        return self.tensor.size // self.shape[0] if self.shape[0] else 0

    @property
    def matrix(self) -> F64:
        """Return the weights as float64 (rows, n): one row per output channel.

        >>> LayerWeights("conv1", "conv", np.zeros((16, 3, 3, 3), np.float32)).matrix.shape
        (16, 27)
        """
        return np.ascontiguousarray(self.tensor.reshape(self.shape[0], -1), dtype=np.float64)


@dataclass(frozen=True)
class Preprocessing:
    """What the network expects of an image: RGB in [0, 1], resized, cropped, (x - mean) / std by channel.

    Parameters
    ----------
    size : side of the square that goes in, in pixels
    mean, std : per channel
    resize : length of the short side before the centre crop; None leaves images as they are
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: int | None = None

    def __post_init__(self) -> None:
        if self.size < 1 or len(self.mean) != len(self.std) or min(self.std, default=0.0) <= 0:
            raise ValueError(
                f"preprocessing must have a size, and mean and std > 0 of one length, got {self}"
            )


@dataclass(frozen=True)
class Source:
    """Where weights come from.

    Parameters
    ----------
    origin : what a reader would look for: a package, a file, a command
    version : of that package, empty where there is none
    file : name of the file that was read
    sha256 : of that file
    licence : as its authors state it, empty if unknown
    """

    origin: str
    version: str = ""
    file: str = ""
    sha256: str = ""
    licence: str = ""


@dataclass(frozen=True)
class Model:
    """A network: its weights now, the network itself when asked.

    Parameters
    ----------
    name : the text that names it on the command line
    source : where the weights come from
    layers : named weight matrices, in the order of the state dict
    build : returns the network, evaluation mode, weights loaded; None where only weights are known
    preprocessing : what it expects of images; None where unknown
    metadata : what its authors state, such as accuracy
    """

    name: str
    source: Source
    layers: Mapping[str, LayerWeights]
    build: Callable[[], nn.Module] | None = None
    preprocessing: Preprocessing | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def weights(self) -> dict[str, LayerWeights]:
        """Return the weight matrices by layer name, in order."""
        return dict(self.layers)

    def module(self) -> nn.Module:
        """Return the network in evaluation mode.

        Raises
        ------
        PvqError : only the weights are known
        """
        if self.build is None:
            raise PvqError(f"weights only: {self.name} has no network to run, so no activations can be taken")
        return self.build().eval()


def trouble(layer: LayerWeights) -> tuple[str, bool]:
    """Return what is odd about the weights, empty if nothing, and whether it forbids to measure them.

    >>> trouble(LayerWeights("a", "linear", np.array([[1.0, np.nan]])))
    ('1 of 2 weights are NaN or infinite', True)
    """
    w = layer.tensor
    if w.size == 0:
        return "no weights", True
    broken = int((~np.isfinite(w)).sum())
    if broken:
        return f"{broken} of {w.size} weights are NaN or infinite", True
    if not w.any():
        return "all weights are zero", True
    if (w == w.flat[0]).all():
        return f"all weights equal {float(w.flat[0]):.6g}", False
    return "", False


def file_sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

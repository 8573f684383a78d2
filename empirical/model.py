"""A pretrained network as the project sees it: named weight matrices, where they come from, how to run it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import F64
from pvq.empirical.photograph import Interpolation
from pvq.errors import PvqError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Kind", "LayerWeights", "Model", "Preprocessing", "Source", "Stored", "file_sha256", "trouble"]

Kind: TypeAlias = Literal["conv", "depthwise", "conv-transpose", "linear", "embedding"]


@runtime_checkable
class Stored(Protocol):
    """A tensor that is read when it is asked for, so that a network may be larger than memory."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The stored shape, known without reading."""
        ...

    def read(self) -> NDArray[np.floating[Any]]:
        """Return the tensor."""
        ...


@dataclass(frozen=True)
class LayerWeights:
    """The weights of one layer: where they lie, and which of them make up one output channel.

    Parameters
    ----------
    name : the tensor's name in the model's state dict, without a trailing ``.weight``
    kind : what the layer does with them
    stored : the tensor, or what reads it; (out, in / groups, ...), or (in, out / groups, ...) if transposed;
        the rows of an embedding are tokens
    transposed : inputs come first, as in a transposed convolution or in ``x @ W``
    groups : the channels fall into this many groups; told only where the layout depends on it (transposed)
    tied : further names of the same tensor
    note : what a reader must know of these weights, empty if nothing
    """

    name: str
    kind: Kind
    stored: NDArray[np.floating[Any]] | Stored
    transposed: bool = False
    groups: int = 1
    tied: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if self.groups < 1 or (self.transposed and (len(self.shape) < 2 or self.shape[0] % self.groups)):
            raise ValueError(
                f"groups must divide the inputs of {self.name}, shape {self.shape}, got {self.groups}"
            )

    @property
    def tensor(self) -> NDArray[np.floating[Any]]:
        """The weights as stored, read anew each time where they lie on disk."""
        return self.stored if isinstance(self.stored, np.ndarray) else self.stored.read()

    @property
    def shape(self) -> tuple[int, ...]:
        """The stored shape."""
        return tuple(self.stored.shape)

    @property
    def size(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)

    @property
    def remark(self) -> str:
        """What belongs beside every result on these weights: the note, and further names of the tensor.

        >>> LayerWeights("a", "linear", np.ones((2, 2)), tied=("b",)).remark
        'tied to b'
        """
        tied = f"tied to {', '.join(self.tied)}" if self.tied else ""
        return "; ".join(filter(None, [self.note, tied]))

    @property
    def rows(self) -> int:
        """Number of output channels.

        >>> LayerWeights("up", "conv-transpose", np.zeros((4, 3, 2, 2)), transposed=True, groups=2).rows
        6
        """
        if self.transposed:
            return self.shape[1] * self.groups
        return self.shape[0] if self.shape else 0

    @property
    def n(self) -> int:
        """Number of weights of a row, one for each input that an output sees; 0 where there are no rows."""
        return self.size // self.rows if self.rows else 0

    @property
    def matrix(self) -> F64:
        """Return the weights as float64 (rows, n): one row per output channel.

        A row's weights are in the order (input channel of its group, kernel position), also where the stored
        tensor has inputs first.

        >>> LayerWeights("conv1", "conv", np.zeros((16, 3, 3, 3), np.float32)).matrix.shape
        (16, 27)
        >>> LayerWeights("c_fc", "linear", np.array([[1.0, 2.0], [3.0, 4.0]]), transposed=True).matrix
        array([[1., 3.],
               [2., 4.]])
        """
        with np.errstate(invalid="ignore"):  # NaN stays NaN, of whatever sort
            return np.ascontiguousarray(self.as_rows(self.tensor), dtype=np.float64)

    def as_rows(self, tensor: NDArray[Any]) -> NDArray[Any]:
        """Return an array of the stored shape as (rows, n), in its own number type."""
        if not self.transposed:
            return tensor.reshape(self.rows, self.n)
        split = tensor.reshape(self._split)
        return split.swapaxes(1, 2).reshape(self.rows, self.n)

    def restore(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """Return a (rows, n) matrix in the stored layout: the inverse of `as_rows`.

        Raises
        ------
        ValueError : a matrix of another shape

        >>> layer = LayerWeights("c_fc", "linear", np.arange(6.0).reshape(2, 3), transposed=True)
        >>> bool((layer.restore(layer.matrix) == layer.tensor).all())
        True
        """
        if matrix.shape != (self.rows, self.n):
            raise ValueError(f"matrix must have shape {(self.rows, self.n)}, got {matrix.shape}")
        if not self.transposed:
            return matrix.reshape(self.shape)
        groups, inputs, outputs, kernel = self._split
        return matrix.reshape(groups, outputs, inputs, kernel).swapaxes(1, 2).reshape(self.shape)

    def with_stored(self, stored: NDArray[np.floating[Any]] | Stored) -> LayerWeights:
        """Return the layer with its tensor elsewhere, such as in memory."""
        return replace(self, stored=stored)

    def tied_to(self, other: LayerWeights) -> LayerWeights:
        """Return the layer under its own name with another name of the same tensor.

        A matrix product decides what the layer is: of an embedding tied to the output layer, the rows are the
        output channels of that layer, and the note says that they are an embedding as well.
        """
        tied = (*self.tied, other.name)
        if self.kind == "embedding" != other.kind:
            note = "; ".join(filter(None, [self.note, "also an embedding"]))
            return replace(other, name=self.name, stored=self.stored, tied=tied, note=note)
        return replace(self, tied=tied)

    @property
    def _split(self) -> tuple[int, int, int, int]:
        """Groups, inputs of a group, outputs of a group and kernel positions of a transposed layout."""
        return self.groups, self.shape[0] // self.groups, self.shape[1], math.prod(self.shape[2:])


@dataclass(frozen=True)
class Preprocessing:
    """What the network expects of an image: RGB in [0, 1], resized, cropped, (x - mean) / std by channel.

    Parameters
    ----------
    size : side of the square that goes in, in pixels
    mean, std : per channel
    resize : length of the short side before the centre crop; None leaves images as they are
    interpolation : of the resizing, as Pillow names it
    squash : both sides become `resize` pixels long, whatever the shape of the image
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: int | None = None
    interpolation: Interpolation = "bilinear"
    squash: bool = False

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
    metadata : what its authors state, such as accuracy; ``remarks``, if there, is what a reader of any result
        must know
    """

    name: str
    source: Source
    layers: Mapping[str, LayerWeights]
    build: Callable[[], nn.Module] | None = None
    preprocessing: Preprocessing | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader of any result must know, such as weights that are left out or were folded."""
        return tuple(self.metadata.get("remarks", ()))

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

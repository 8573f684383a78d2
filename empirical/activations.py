"""Activations -> Gram matrices: for every layer, what its inputs say about errors in its weights.

The output of a layer at one position is ``W c`` with c the inputs that the layer sees there (for a
convolution: one patch). A change dW of the weights changes the mean squared output, per position, by

    sum over rows r of  dW[r]' H dW[r],      H = (1 / N) sum over positions of c c'

with N the number of output positions over all calibration images. H depends on the group that a row belongs
to and on nothing else of the row. The network runs in its own number type; H is accumulated in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode

from pvq.arrays import F64
from pvq.empirical.im2col import ConvCall, conv_columns, linear_columns

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["LayerGram", "gram_matrices"]

MEMORY_BYTES = 2 * 2**30


@dataclass(frozen=True)
class LayerGram:
    """What calibration says about the inputs of one layer.

    Parameters
    ----------
    grams : (groups, n, n) mean of c c' over positions, symmetric
    positions : number of output positions that were averaged over
    """

    grams: F64
    positions: int

    def of_row(self, row: int, rows: int) -> F64:
        """Return H, (n, n), of output channel `row` out of `rows`.

        >>> LayerGram(np.arange(2.0).reshape(2, 1, 1), 10).of_row(3, 4)
        array([[1.]])
        """
        groups: int = self.grams.shape[0]
        return np.asarray(self.grams[row * groups // rows])

    @property
    def dead(self) -> int:
        """Number of inputs, over all groups, that were zero at every position."""
        return int((np.diagonal(self.grams, axis1=1, axis2=2) == 0).sum())


class _Accumulator:
    """Running sum of c c' over the chunks of one layer."""

    def __init__(self) -> None:
        self.total: Tensor | None = None
        self.positions = 0

    def add(self, columns: Tensor) -> None:
        product = columns.transpose(1, 2) @ columns
        self.total = product if self.total is None else self.total.add_(product)
        self.positions += columns.shape[1]

    def result(self) -> LayerGram | None:
        if self.total is None or self.positions == 0:
            return None
        mean = self.total / self.positions
        return LayerGram(((mean + mean.transpose(1, 2)) / 2).numpy(), self.positions)


class _Recorder(TorchFunctionMode):
    """Sees every convolution and matrix product with its arguments as the network made them.

    A hook on a module sees its input before the module pads it or calls something else. The call itself is
    what counts: padding modes, 'same' padding, modules with a forward of their own need no special case.
    """

    def __init__(self, weights: Mapping[int, str]) -> None:
        super().__init__()
        self.names = weights
        self.layers: dict[str, _Accumulator] = {name: _Accumulator() for name in weights.values()}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Collection[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run `func`; before, take the Gram matrix if it applies the weights of a layer."""
        read = _READERS.get(func)
        if read is not None:
            self._record(read, args, kwargs or {})
        return func(*args, **(kwargs or {}))

    def _record(
        self,
        read: Callable[..., tuple[Tensor, Iterator[Tensor]]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        weight, columns = read(*args, **kwargs)
        name = self.names.get(id(weight))
        if name is not None:
            for chunk in columns:
                self.layers[name].add(chunk)


def _read_conv(
    input: Tensor,  # noqa: A002 - these are the names of torch.nn.functional.conv2d
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[Tensor, Iterator[Tensor]]:
    """Return the weight of the call and the columns of its input."""
    call = ConvCall.of(tuple(weight.shape[2:]), stride, padding, dilation, groups)
    return weight, conv_columns(input, call)


def _read_linear(
    input: Tensor,  # noqa: A002 - these are the names of torch.nn.functional.linear
    weight: Tensor,
    bias: Tensor | None = None,
) -> tuple[Tensor, Iterator[Tensor]]:
    """Return the weight of the call and the rows of its input."""
    return weight, linear_columns(input)


_READERS: dict[Callable[..., Any], Callable[..., tuple[Any, Iterator[Any]]]] = {
    F.conv1d: _read_conv,
    F.conv2d: _read_conv,
    F.linear: _read_linear,
}


def gram_matrices(
    module: nn.Module, names: Iterable[str], batches: Iterable[Tensor], memory_bytes: int = MEMORY_BYTES
) -> dict[str, LayerGram]:
    """Return H of the named layers, by name; a layer that no call used is left out.

    Parameters
    ----------
    module : the network, in evaluation mode
    names : of weights in its state dict, without a trailing ``.weight``
    batches : inputs of the network
    memory_bytes : the sums of one pass over the batches stay below this (or hold one layer); more layers take
        more passes

    Raises
    ------
    ValueError : a name that the network does not have, no batch
    """
    weights = _weights_of(module, names)
    stored = list(batches)
    if not stored:
        raise ValueError("batches must not be empty, got none")
    found: dict[str, LayerGram] = {}
    sizes = {name: _gram_bytes(module, name, weight) for name, weight in weights.items()}
    for group in _passes(sizes, memory_bytes):
        found |= _one_pass(module, {name: weights[name] for name in group}, stored)
    return found


def _weights_of(module: nn.Module, names: Iterable[str]) -> dict[str, Tensor]:
    parameters = dict(module.named_parameters(remove_duplicate=False))
    found: dict[str, Tensor] = {}
    for name in names:
        tensor = parameters.get(f"{name}.weight", parameters.get(name))
        if tensor is None:
            raise ValueError(f"names must be of weights in the network, got {name!r}")
        found[name] = tensor
    return found


def _passes(sizes: Mapping[str, int], memory_bytes: int) -> Iterator[list[str]]:
    """Split the layers, in order, so that the sums of each part fit."""
    part: list[str] = []
    used = 0
    for name, size in sizes.items():
        if part and used + size > memory_bytes:
            yield part
            part, used = [], 0
        part.append(name)
        used += size
    if part:
        yield part


def _gram_bytes(module: nn.Module, name: str, weight: Tensor) -> int:
    """Return the size of the layer's Gram matrices, one of n x n float64 per group."""
    owner = dict(module.named_modules()).get(name)
    return 8 * weight.shape[1:].numel() ** 2 * int(getattr(owner, "groups", 1))


def _one_pass(
    module: nn.Module, weights: Mapping[str, Tensor], batches: list[Tensor]
) -> dict[str, LayerGram]:
    recorder = _Recorder({id(weight): name for name, weight in weights.items()})
    with torch.inference_mode(), recorder:
        for batch in batches:
            module(batch)
    results = {name: layer.result() for name, layer in recorder.layers.items()}
    return {name: result for name, result in results.items() if result is not None}

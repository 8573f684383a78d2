"""The matrix that a layer multiplies by its weights: one row per output position, as the layer runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

__all__ = ["ConvCall", "conv_columns", "linear_columns", "transposed_columns"]

# of float64 columns held at a time, about what a cache takes; one line of output positions may exceed it
CHUNK_BYTES = 4 * 2**20


@dataclass(frozen=True)
class ConvCall:
    """The geometry of one call of a convolution, per spatial axis.

    Parameters
    ----------
    kernel, stride, dilation : one number per spatial axis
    padding : zeros before and after each axis; negative numbers crop
    groups : the channels fall into this many groups
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    groups: int

    @classmethod
    def of(
        cls,
        kernel: Sequence[int],
        stride: int | Sequence[int],
        padding: str | int | Sequence[int],
        dilation: int | Sequence[int],
        groups: int,
    ) -> ConvCall:
        """Read the arguments of ``torch.nn.functional.conv1d``, ``conv2d`` or ``conv3d``.

        >>> ConvCall.of((3, 3), 1, "same", 2, 1).padding
        ((2, 2), (2, 2))
        """
        axes = len(kernel)
        dilations = _per_axis(dilation, axes)
        pads: tuple[tuple[int, int], ...]
        if isinstance(padding, str):
            totals = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilations, kernel, strict=True)]
            pads = tuple((total // 2, total - total // 2) for total in totals)
        else:
            pads = tuple((p, p) for p in _per_axis(padding, axes))
        return cls(tuple(kernel), _per_axis(stride, axes), dilations, pads, groups)

    @property
    def spans(self) -> tuple[int, ...]:
        """Inputs from the first to the last that one position sees, per axis."""
        return tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))


def _per_axis(value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * axes if len(values) == 1 else values


def conv_columns(x: Tensor, call: ConvCall) -> Iterator[Tensor]:
    """Yield the columns of a batch, chunk by chunk, float64, shape (groups, positions, n).

    n = channels of a group times kernel size, in the order of the flattened weight, so that
    ``columns[g] @ W[row].ravel()`` is the output of a row of group g without its bias. In memory the values
    of one input lie together, ready for a product over positions. A chunk is overwritten by the next.

    Parameters
    ----------
    x : (batch, channels, ...) with one to three spatial axes; the batch axis may be missing
    call : the geometry
    """
    scratch = _Scratch()
    for patches in _patches(_batched(x, call), call):
        yield _columns(patches, call, scratch)


def transposed_columns(x: Tensor, call: ConvCall, output_padding: Sequence[int]) -> Iterator[Tensor]:
    """Yield the columns of a transposed convolution in the layout of `conv_columns`.

    It is the convolution of step one, with the kernel turned around, of the input with ``stride - 1`` zeros
    put between its values; n is in the order (input channel of the group, kernel position) of the weights as
    stored, so the patches are turned around instead of the kernel.

    Parameters
    ----------
    x, call : as for `conv_columns`; padding is the transposed convolution's own
    output_padding : extra positions at the end of each axis
    """
    pads = tuple(
        (span - 1 - before, span - 1 - after + extra)
        for span, (before, after), extra in zip(call.spans, call.padding, output_padding, strict=True)
    )
    plain = ConvCall(call.kernel, (1,) * len(call.kernel), call.dilation, pads, call.groups)
    kernel_axes, scratch = list(range(-len(call.kernel), 0)), _Scratch()
    for patches in _patches(_spread(_batched(x, call), call.stride), plain):
        yield _columns(patches.flip(kernel_axes), plain, scratch)


def _batched(x: Tensor, call: ConvCall) -> Tensor:
    return x.detach() if x.ndim == len(call.kernel) + 2 else x.detach().unsqueeze(0)


def _spread(x: Tensor, stride: Sequence[int]) -> Tensor:
    """Return the input with zeros between its values."""
    sizes = [(size - 1) * step + 1 for size, step in zip(x.shape[2:], stride, strict=True)]
    spread = x.new_zeros((*x.shape[:2], *sizes))
    every: list[Any] = [..., *(slice(None, None, step) for step in stride)]
    spread[tuple(every)] = x
    return spread


def _patches(x: Tensor, call: ConvCall) -> Iterator[Tensor]:
    """Yield views (batch, channels, positions per axis, kernel per axis) of a few images or a few lines."""
    images, lines = _chunk_size(x, call)
    stride, span = call.stride[0], call.spans[0]
    for part in torch.split(x, images):
        padded = F.pad(part, [edge for pair in call.padding[::-1] for edge in pair])
        positions = (padded.shape[2] - span) // stride + 1
        for first in range(0, positions, lines):
            last = min(first + lines, positions) - 1
            yield _windows(padded[:, :, first * stride : last * stride + span], call)


def _chunk_size(x: Tensor, call: ConvCall) -> tuple[int, int]:
    """Return how many images fit into a chunk, and how many lines of positions of one image."""
    counts = [
        max((size + sum(pad) - span) // stride + 1, 1)
        for size, pad, span, stride in zip(x.shape[2:], call.padding, call.spans, call.stride, strict=True)
    ]
    line = 8 * x.shape[1] * math.prod(call.kernel) * math.prod(counts[1:])
    image = max(1, line * counts[0])
    return max(1, CHUNK_BYTES // image), max(1, min(counts[0], CHUNK_BYTES // max(1, line)))


def _windows(padded: Tensor, call: ConvCall) -> Tensor:
    for axis, (span, stride, dilation) in enumerate(
        zip(call.spans, call.stride, call.dilation, strict=True), start=2
    ):
        padded = padded.unfold(axis, span, stride)[..., ::dilation]
    return padded


class _Scratch:
    """Memory that one chunk of columns after the other takes; fresh memory costs more than filling it."""

    def __init__(self) -> None:
        self._memory = torch.empty(0, dtype=torch.float64)

    def copy(self, x: Tensor) -> Tensor:
        """Return a contiguous float64 copy, valid until the next."""
        if self._memory.numel() < x.numel():
            self._memory = torch.empty(x.numel(), dtype=torch.float64, device=x.device)
        return self._memory[: x.numel()].view(x.shape).copy_(x)


def _columns(patches: Tensor, call: ConvCall, scratch: _Scratch) -> Tensor:
    """Return (groups, batch * positions, n) of patches."""
    axes = len(call.kernel)
    batch, channels, *rest = patches.shape
    split = patches.reshape(batch, call.groups, channels // call.groups, *rest)
    inputs_first = (1, 2, *range(3 + axes, 3 + 2 * axes), 0, *range(3, 3 + axes))
    width = split.shape[2] * math.prod(call.kernel)
    return scratch.copy(split.permute(inputs_first)).view(call.groups, width, -1).transpose(1, 2)


def linear_columns(x: Tensor) -> Iterator[Tensor]:
    """Yield the inputs of a linear layer, any leading axes, in chunks: float64, (1, positions, n)."""
    rows = x.detach().reshape(-1, x.shape[-1])
    for part in torch.split(rows, max(1, CHUNK_BYTES // (8 * max(1, rows.shape[1])))):
        yield part.double().unsqueeze(0)

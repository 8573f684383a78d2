"""The matrix that a layer multiplies by its weights: one row per output position, as the layer runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

__all__ = ["ConvCall", "conv_columns", "linear_columns"]

CHUNK_BYTES = 128 * 2**20  # float64 columns held at a time; a single image may exceed it


@dataclass(frozen=True)
class ConvCall:
    """The geometry of one call of a convolution, per spatial axis.

    Parameters
    ----------
    kernel, stride, dilation : one number per spatial axis
    padding : zeros before and after each axis
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
        """Read the arguments of ``torch.nn.functional.conv1d`` or ``conv2d``.

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


def _per_axis(value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * axes if len(values) == 1 else values


def conv_columns(x: Tensor, call: ConvCall) -> Iterator[Tensor]:
    """Yield the columns of a batch, chunk by chunk, float64, shape (groups, positions, n).

    n = channels of a group times kernel size, in the order of the flattened weight, so that
    ``columns[g] @ W[row].ravel()`` is the output of a row of group g without its bias.

    Parameters
    ----------
    x : (batch, channels, length) or (batch, channels, height, width); the batch axis may be missing
    call : the geometry
    """
    axes = len(call.kernel)
    batched = x.detach() if x.ndim == axes + 2 else x.detach().unsqueeze(0)
    for part in torch.split(batched, _images_per_chunk(batched, call)):
        padded = F.pad(part.double(), [edge for pair in call.padding[::-1] for edge in pair])
        yield _unfold(padded, call)


def _images_per_chunk(x: Tensor, call: ConvCall) -> int:
    """Return how many images fit; the columns of one image count at most every padded pixel as a position."""
    sizes = [size + sum(pad) for size, pad in zip(x.shape[2:], call.padding, strict=True)]
    positions = 1
    for size, stride in zip(sizes, call.stride, strict=True):
        positions *= -(-size // stride)
    kernel = int(torch.tensor(call.kernel).prod())
    return int(max(1, CHUNK_BYTES // (8 * max(1, x.shape[1] * kernel * positions))))


def _unfold(padded: Tensor, call: ConvCall) -> Tensor:
    """Return (groups, batch * positions, n) of images that carry their padding."""
    flat = padded if padded.ndim == 4 else padded.unsqueeze(2)
    lift = 2 - len(call.kernel)  # a signal is an image of height one
    columns = F.unfold(
        flat, (1,) * lift + call.kernel, (1,) * lift + call.dilation, 0, (1,) * lift + call.stride
    )
    batch, width, positions = columns.shape
    grouped = columns.view(batch, call.groups, width // call.groups, positions)
    return grouped.permute(1, 0, 3, 2).reshape(call.groups, batch * positions, width // call.groups)


def linear_columns(x: Tensor) -> Iterator[Tensor]:
    """Yield the inputs of a linear layer, any leading axes, in chunks: float64, (1, positions, n)."""
    rows = x.detach().reshape(-1, x.shape[-1])
    for part in torch.split(rows, max(1, CHUNK_BYTES // (8 * rows.shape[1]))):
        yield part.double().unsqueeze(0)

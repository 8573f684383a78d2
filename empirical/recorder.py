"""Watches a network run and sums c c' over the inputs c of every weight that is tracked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pvq.empirical.im2col import ConvCall, conv_columns, linear_columns, transposed_columns
from pvq.empirical.weight_views import Block, TrackedWeight, WeightIndex

__all__ = ["Recorder", "WeightSum", "no_fused_attention"]

aten = torch.ops.aten
BLOCK = 64  # rows of a Gram matrix that one product gives


class Use(NamedTuple):
    """One product: the weight with output channels first, and the columns that it multiplies."""

    weight: Tensor
    columns: Callable[[], Iterator[Tensor]]


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every convolution and matrix product that the network comes down to.

    At this level modules, functions, padding modes, attention and einsum are all the same few operations, and
    weights are recognised by their memory: a slice or a transpose of a parameter is still that parameter.

    Parameters
    ----------
    weights : to be watched
    """

    def __init__(self, weights: Iterable[TrackedWeight]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        watched = list(weights)
        self.index = WeightIndex(watched)
        self.sums = {weight.name: WeightSum(weight) for weight in watched}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run `func`; before, take the sums if it applies a weight."""
        read = _READERS.get(func)
        if read is not None:
            for use in read(*args, **(kwargs or {})):
                self._record(use)
            return func(*args, **(kwargs or {}))
        with self:  # a composite operation is made of others
            result = func.decompose(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {})) if result is NotImplemented else result

    def _record(self, use: Use) -> None:
        for weight in self.index.of(use.weight):
            block = weight.block(use.weight)
            if block is None:
                self.sums[weight.name].used_otherwise = True
            else:
                self.sums[weight.name].add(block, use.columns())


def _conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
) -> Iterator[Use]:
    call = ConvCall.of(tuple(weight.shape[2:]), stride, padding, dilation, groups)
    if transposed:
        first = weight.transpose(0, 1) if groups == 1 else weight
        yield Use(first, lambda: transposed_columns(x, call, output_padding))
    else:
        yield Use(weight, lambda: conv_columns(x, call))


def _product(a: Tensor, b: Tensor) -> Iterator[Use]:
    """A @ b: either may hold the weights."""
    yield Use(b.t(), lambda: linear_columns(a))
    yield Use(a, lambda: linear_columns(b.t()))


def _products(a: Tensor, b: Tensor) -> Iterator[Use]:
    """A batch of products; a matrix that is the same in all of them is one weight."""
    if b.stride(0) == 0:
        yield Use(b[0].t(), lambda: linear_columns(a))
    elif a.stride(0) == 0:
        yield Use(a[0], lambda: linear_columns(b.transpose(1, 2)))
    else:
        for left, right in zip(a, b, strict=True):
            yield from _product(left, right)


def _product_with_vector(a: Tensor, b: Tensor) -> Iterator[Use]:
    yield Use(a, lambda: linear_columns(b))


def _added(_: Tensor, a: Tensor, b: Tensor, **__: Any) -> Iterator[Use]:
    return _product(a, b)


def _all_added(_: Tensor, a: Tensor, b: Tensor, **__: Any) -> Iterator[Use]:
    return _products(a, b)


def _vector_added(_: Tensor, a: Tensor, b: Tensor, **__: Any) -> Iterator[Use]:
    return _product_with_vector(a, b)


_READERS: dict[Any, Callable[..., Iterator[Use]]] = {
    aten.convolution.default: _conv,
    aten.mm.default: _product,
    aten.addmm.default: _added,
    aten.bmm.default: _products,
    aten.baddbmm.default: _all_added,
    aten.mv.default: _product_with_vector,
    aten.addmv.default: _vector_added,
}


class WeightSum:
    """Running sums of c c' of one layer, one for each block of its matrix that is used by itself.

    Parameters
    ----------
    weight : of the layer
    """

    def __init__(self, weight: TrackedWeight) -> None:
        self.weight = weight
        self.parts: dict[Block, _Sum] = {}
        self.used_otherwise = False

    def add(self, block: Block, columns: Iterable[Tensor]) -> None:
        """Add the inputs of one call."""
        part = self.parts.setdefault(block, _Sum())
        for chunk in columns:
            part.add(chunk)

    def result(self) -> tuple[Tensor, int] | None:
        """Return the mean of c c', (groups, n, n), and the number of positions.

        None if there was no call, or one with the weights as something else than rows of the layer's matrix.

        Where parts of the matrix see different inputs, each gets a group of its own. All sums are over the
        largest number of positions, so that positions times dW' H dW is the change of all outputs.
        """
        used = {block: part for block, part in self.parts.items() if part.positions}
        if not used or self.used_otherwise:
            return None
        whole = used.get(Block(0, self.weight.rows, 0, self.weight.n))
        if whole is not None and len(used) == 1:
            return _mean(whole.total, whole.positions)
        bounds = sorted({0, self.weight.rows, *(row for block in used for row in self._bounds(block))})
        size = math.gcd(*bounds)
        groups = max(1, self.weight.rows // size)
        found = [self._group(used, group * size) for group in range(groups)]
        positions = max(count for _, count in found)
        return _mean(torch.stack([total for total, _ in found]), positions)

    def _bounds(self, block: Block) -> range:
        """Return the rows at which a block, or a group in it, begins or ends."""
        last = block.first_row + block.rows
        return range(block.first_row, last + 1, max(1, block.rows // self.parts[block].groups))

    def _group(self, used: dict[Block, _Sum], row: int) -> tuple[Tensor, int]:
        """Return the sum of c c' of one row, over all of its inputs, and its positions."""
        n = self.weight.n
        whole, positions = torch.zeros(n, n, dtype=torch.float64), 0
        for block, part in used.items():
            if block.first_row <= row < block.first_row + block.rows:
                group = (row - block.first_row) * part.groups // block.rows
                inputs = slice(block.first_input, block.first_input + block.inputs)
                whole[inputs, inputs] += part.total[group]
                positions += part.positions
        return whole, positions


def _mean(total: Tensor, positions: int) -> tuple[Tensor, int]:
    return total / positions, positions


class _Sum:
    """Running sum of c c' in float64; only the lower triangle is kept up, in blocks of rows."""

    def __init__(self) -> None:
        self._total: Tensor | None = None
        self.positions = 0

    @cached_property
    def total(self) -> Tensor:
        """The sum once it is complete, (groups, n, n), symmetric."""
        assert self._total is not None
        total = self._total.cpu()
        for row in range(total.shape[1]):
            total[:, row, row + 1 :] = total[:, row + 1 :, row]
        return total

    @property
    def groups(self) -> int:
        return self.total.shape[0]

    def add(self, columns: Tensor) -> None:
        groups, positions, n = columns.shape
        if self._total is None:
            self._total = columns.new_zeros(groups, n, n)
        for start in range(0, n, BLOCK):
            stop = min(start + BLOCK, n)
            rows = columns[:, :, start:stop].transpose(1, 2)
            self._total[:, start:stop, :stop].baddbmm_(rows, columns[:, :, :stop])
        self.positions += positions


@contextmanager
def no_fused_attention() -> Iterator[None]:
    """Switch off torch's fused encoder layers, which would hide the products inside them."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)

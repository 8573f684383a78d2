"""Which rows and inputs of a layer's matrix a tensor is that a network computes with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

__all__ = ["Block", "TrackedWeight", "WeightIndex"]


class Block(NamedTuple):
    """Consecutive rows and consecutive inputs of a layer's matrix."""

    first_row: int
    rows: int
    first_input: int
    inputs: int


@dataclass(frozen=True)
class TrackedWeight:
    """A weight of the network and how it lies in its layer's matrix.

    Parameters
    ----------
    name : of the layer
    tensor : the parameter
    transposed, groups : as in `pvq.empirical.model.LayerWeights`
    call_groups : groups of the convolution, whatever the layout
    """

    name: str
    tensor: Tensor
    transposed: bool = False
    groups: int = 1
    call_groups: int = 1

    @property
    def rows(self) -> int:
        """Number of output channels."""
        return self.tensor.shape[1] * self.groups if self.transposed else self.tensor.shape[0]

    @property
    def n(self) -> int:
        """Number of weights of a row."""
        return self.tensor.numel() // max(self.rows, 1)

    @property
    def gram_bytes(self) -> int:
        """Size of the sums, n x n float64 for each group; packed projections may see three inputs."""
        return 8 * self.n**2 * (3 if self.name.endswith("in_proj_weight") else self.call_groups)

    def block(self, used: Tensor) -> Block | None:
        """Return the block that `used`, (rows, inputs, ...) of the same storage, is; None if it is no block.

        A convolution's weight of the layer's own shape is the whole matrix; so is a matrix read with its axes
        exchanged where the layer is transposed. Slices of rows and of inputs are found from their strides.
        """
        if used.shape == self._matrix_like.shape and used.stride() == self._matrix_like.stride():
            return _slice_of_rows(self, used)
        flat, matrix = _as_matrix(used), _as_matrix(self._matrix_like)
        if flat is None or matrix is None or self.groups > 1:
            return _slice_of_rows(self, used)
        return _slice_of_matrix(flat, matrix)

    @property
    def _matrix_like(self) -> Tensor:
        """The parameter with rows first where one exchange of axes brings them there."""
        return self.tensor.transpose(0, 1) if self.transposed and self.groups == 1 else self.tensor


def _slice_of_rows(weight: TrackedWeight, used: Tensor) -> Block | None:
    """Read a tensor of the parameter's own shape but for the number of rows."""
    whole = weight._matrix_like
    if used.shape[1:] != whole.shape[1:] or used.stride() != whole.stride():
        return None
    if used.shape == whole.shape:
        same = used.storage_offset() == whole.storage_offset()
        return Block(0, weight.rows, 0, weight.n) if same else None
    first, rest = divmod(_distance(used, whole), max(1, whole.stride(0)))
    fits = not rest and 0 <= first <= first + used.shape[0] <= whole.shape[0] and weight.groups == 1
    return Block(first, used.shape[0], 0, weight.n) if fits else None


def _slice_of_matrix(used: Tensor, matrix: Tensor) -> Block | None:
    rows, inputs = used.shape
    for size, own, whole in zip(used.shape, used.stride(), matrix.stride(), strict=True):
        if size > 1 and own != whole:
            return None
    offset = _distance(used, matrix)
    by_row, by_input = matrix.stride()
    if by_row >= by_input:
        first_row, rest = divmod(offset, max(1, by_row))
        first_input = rest // max(1, by_input)
    else:
        first_input, rest = divmod(offset, max(1, by_input))
        first_row = rest // max(1, by_row)
    exact = first_row * by_row + first_input * by_input == offset
    inside = 0 <= first_row <= matrix.shape[0] - rows and 0 <= first_input <= matrix.shape[1] - inputs
    return Block(first_row, rows, first_input, inputs) if exact and inside else None


def _distance(used: Tensor, whole: Tensor) -> int:
    """Return how many elements after the first of `whole` the first of `used` lies."""
    return int(used.storage_offset()) - int(whole.storage_offset())


def _as_matrix(weight: Tensor) -> Tensor | None:
    """Return the tensor as (rows, inputs) without copying; None where that cannot be."""
    try:
        return weight.view(weight.shape[0], -1)
    except RuntimeError:
        return None


class WeightIndex:
    """Finds the weights that a tensor shares its memory with."""

    def __init__(self, weights: Iterable[TrackedWeight]) -> None:
        self._by_storage: dict[int, list[TrackedWeight]] = {}
        for weight in weights:
            if weight.tensor.numel():
                self._by_storage.setdefault(_storage(weight.tensor), []).append(weight)

    def of(self, used: Tensor) -> list[TrackedWeight]:
        """Return the weights in whose memory `used` begins; several names of one tensor give several."""
        found = self._by_storage.get(_storage(used), ())
        return [weight for weight in found if _begins_in(used, weight.tensor)]


def _storage(tensor: Tensor) -> int:
    try:
        return tensor.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):  # no storage of its own: sparse, meta, wrapped
        return 0


def _begins_in(used: Tensor, weight: Tensor) -> bool:
    last = weight.storage_offset() + sum(
        (size - 1) * step for size, step in zip(weight.shape, weight.stride(), strict=True)
    )
    return used.dtype == weight.dtype and weight.storage_offset() <= used.storage_offset() <= last

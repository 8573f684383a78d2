"""What a user's function yields, read: arrays and tensors to batches of tensors with their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from pvq.arrays import I64
from pvq.empirical.inputs import Inputs, examples, tensors
from pvq.empirical.photograph import Cut
from pvq.errors import PvqError

__all__ = ["Labelled", "alike", "joined", "read_item"]

Labelled: TypeAlias = tuple[Inputs, I64 | None]


def read_item(item: Any, cut: Cut) -> Labelled:
    """Return the batch that an item of the user's iterable is, and its labels.

    Parameters
    ----------
    item : an array or tensor, a dict or tuple of them, or a pair of such and class numbers
    cut : for uint8 images, which come back as uint8 (N, size, size, 3)

    Raises
    ------
    PvqError : something else, or NaN or infinity

    >>> x, y = read_item((np.array([101, 7592, 102]), 1), Cut(8))
    >>> x, y
    (tensor([[ 101, 7592,  102]]), array([1]))
    """
    x, y = item if _is_pair(item) else (item, None)
    inputs = _inputs(x, cut)
    if examples(inputs) == 0:
        raise PvqError("it must yield batches of at least one example, got an empty one")
    labels = None if y is None else np.atleast_1d(_array(y)).astype(np.int64)
    if labels is not None and labels.shape != (examples(inputs),):
        raise PvqError(f"labels must be one per example ({examples(inputs)}), got shape {labels.shape}")
    return inputs, labels


def _is_pair(item: Any) -> bool:
    """Return whether an item is (x, y) with y a class number or a list of them, not another input."""
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        return False
    x, y = item
    if not isinstance(x, (np.ndarray, Tensor, Mapping, tuple)) or isinstance(y, Mapping):
        return False
    labels = _array(y)
    batch = isinstance(x, (Mapping, tuple)) or x.ndim > 1
    return labels.dtype.kind in "iu" and (labels.ndim == 0 or (labels.ndim == 1 and batch))


def _are_arrays(x: Any) -> bool:
    return isinstance(x, (tuple, list)) and all(isinstance(value, (np.ndarray, Tensor)) for value in x)


def _inputs(x: Any, cut: Cut) -> Inputs:
    if isinstance(x, Mapping):
        return _several({str(name): _tensor(value) for name, value in x.items()})
    if _are_arrays(x):
        return tuple(_several({str(i): _tensor(value) for i, value in enumerate(x)}).values())
    array = _array(x)
    if array.dtype == np.uint8:
        return torch.from_numpy(_images(array, cut))
    tensor = _tensor(array)
    single = tensor.ndim == (3 if tensor.is_floating_point() else 1)
    if tensor.ndim == 0 or (tensor.ndim == 1 and not single):
        raise PvqError(
            f"it must yield images, batches (N, ...) or token ids, got {array.dtype} of shape {array.shape}"
        )
    return tensor.unsqueeze(0) if single else tensor


def _several(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    if not inputs or any(x.ndim == 0 for x in inputs.values()):
        raise PvqError("a dict or tuple must hold batches (N, ...), got an empty one or a single number")
    return inputs


def _array(x: Any) -> np.ndarray[Any, Any]:
    if isinstance(x, Tensor):
        x = x.detach().cpu()
        x = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        raise PvqError(f"it must yield arrays or tensors of numbers, got {type(x).__name__}")
    return array


def _tensor(x: Any) -> Tensor:
    """Return floats as float32, whole numbers as int64 and truth values as they are."""
    array = _array(x)
    if array.dtype.kind == "b":
        return torch.from_numpy(array.copy())
    if array.dtype.kind != "f":
        return torch.from_numpy(array.astype(np.int64))
    if not np.isfinite(array).all():
        raise PvqError("inputs must be finite, got NaN or infinity")
    return torch.from_numpy(array.astype(np.float32))


def _images(array: np.ndarray[Any, Any], cut: Cut) -> np.ndarray[Any, Any]:
    from PIL import Image

    batch = array[None] if array.ndim == 3 else array
    if batch.ndim != 4 or batch.shape[3] != 3 or batch.size == 0:
        raise PvqError(f"uint8 arrays must be images (H, W, 3) or (N, H, W, 3), got shape {array.shape}")
    return np.stack([cut(Image.fromarray(np.ascontiguousarray(image))) for image in batch])


def alike(a: Labelled, b: Labelled) -> bool:
    """Return whether two batches can be one: single tensors of one type and shape, both labelled or not."""
    x, y = a[0], b[0]
    if not (isinstance(x, Tensor) and isinstance(y, Tensor)):
        return False
    return x.dtype == y.dtype and x.shape[1:] == y.shape[1:] and (a[1] is None) == (b[1] is None)


def joined(batches: Sequence[Labelled]) -> Labelled:
    """Return batches that are alike as one."""
    if len(batches) == 1:
        return batches[0]
    x = torch.cat([tensors(inputs)[""] for inputs, _ in batches])
    labels = [y for _, y in batches if y is not None]
    return x, np.concatenate(labels) if labels else None

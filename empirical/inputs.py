"""What a network is called with: a tensor, several in order, or several by name."""

from __future__ import annotations

import hashlib
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

__all__ = ["Inputs", "apply", "examples", "fingerprints", "nbytes", "shape", "take", "tensors"]

Inputs: TypeAlias = Tensor | tuple[Tensor, ...] | dict[str, Tensor]


def apply(module: nn.Module, inputs: Inputs) -> Any:
    """Return ``module(x)``, ``module(*tuple)`` or ``module(**mapping)``."""
    if isinstance(inputs, Tensor):
        return module(inputs)
    return module(**inputs) if isinstance(inputs, dict) else module(*inputs)


def tensors(inputs: Inputs) -> dict[str, Tensor]:
    """Return the tensors by name; a place in a tuple is a name, a single tensor has none.

    >>> list(tensors((torch.zeros(2), torch.ones(2))))
    ['0', '1']
    """
    if isinstance(inputs, Tensor):
        return {"": inputs}
    return dict(inputs) if isinstance(inputs, dict) else {str(i): x for i, x in enumerate(inputs)}


def examples(inputs: Inputs) -> int:
    """Return how many examples there are: the length of the first axis of the first tensor."""
    return len(next(iter(tensors(inputs).values())))


def take(inputs: Inputs, first: int, last: int) -> Inputs:
    """Return examples first..last - 1; tensors of another length than the first one are left whole.

    >>> take({"ids": torch.arange(4), "scale": torch.ones(1)}, 1, 3)
    {'ids': tensor([1, 2]), 'scale': tensor([1.])}
    """
    count = examples(inputs)
    parts = {name: x[first:last] if len(x) == count else x for name, x in tensors(inputs).items()}
    if isinstance(inputs, Tensor):
        return parts[""]
    return parts if isinstance(inputs, dict) else tuple(parts.values())


def nbytes(inputs: Inputs) -> int:
    """Return the memory that the tensors take."""
    return sum(x.nbytes for x in tensors(inputs).values())


def shape(inputs: Inputs) -> Any:
    """Return the shape of one example, by name where there are several tensors.

    >>> shape(torch.zeros(8, 3, 4, 4)), shape({"ids": torch.zeros(8, 5)})
    ([3, 4, 4], {'ids': [5]})
    """
    shapes = {name: list(x.shape[1:]) for name, x in tensors(inputs).items()}
    return shapes[""] if isinstance(inputs, Tensor) else shapes


def fingerprints(inputs: Inputs) -> list[bytes]:
    """Return the SHA-256 of each example: of names, types, shapes and bytes of its part of every tensor."""
    found = []
    for i in range(examples(inputs)):
        digest = hashlib.sha256()
        for name, x in tensors(take(inputs, i, i + 1)).items():
            digest.update(f"{name}|{x.dtype}|{tuple(x.shape)}|".encode())
            digest.update(x.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        found.append(digest.digest())
    return found

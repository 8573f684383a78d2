"""Named networks: what an adapter of the zoo is, and `load_model`, which finds one by name."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from pvq.empirical.model import Model
from pvq.errors import SpecError
from pvq.registry import Registry

__all__ = ["MODELS", "Adapter", "load_model", "nearest"]


@runtime_checkable
class Adapter(Protocol):
    """A way to get a network; a frozen dataclass whose first field is what follows the colon of its name."""

    def load(self) -> Model:
        """Return the network, or raise a `PvqError` that says in one line what is missing."""
        ...


MODELS: Registry[Adapter] = Registry("model", "pvq.empirical.zoo", Adapter)


def load_model(name: str | Model) -> Model:
    """Return the network of a name: ``resnet20-cifar10``, ``torchvision:resnet18``, ``file:a.safetensors``,
    ``onnx:a.onnx``.

    What follows the first colon goes to the adapter as it stands, so a path may hold any character. A `Model`
    passes through.

    Raises
    ------
    UnknownName : no such adapter or network, with the nearest name
    PvqError : a package or file is missing, a file is refused
    """
    if isinstance(name, Model):
        return name
    prefix, colon, rest = name.partition(":")
    if not colon:
        return MODELS.build(name).load()
    try:
        adapter: Adapter = MODELS.get(prefix)(rest)
    except TypeError as error:
        raise SpecError(f"model {prefix!r} takes nothing after a colon, got {name!r}") from error
    return adapter.load()


def nearest(name: str, known: Sequence[str]) -> str:
    """Return which few names of a long list come nearest, as the end of a message.

    >>> nearest("resnet5O", ["resnet18", "resnet50", "vgg11"])
    '; nearest of 3: resnet50, resnet18, vgg11'
    """
    return f"; nearest of {len(known)}: {', '.join(difflib.get_close_matches(name, known, n=3, cutoff=0.0))}"

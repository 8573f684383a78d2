"""What a recipe asks of an architecture: a builder that makes a fresh network."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import nn

from pvq.registry import Registry

__all__ = ["ARCHITECTURES", "Architecture"]


@runtime_checkable
class Architecture(Protocol):
    """The options of a network, before it has weights."""

    def build(self) -> nn.Module:
        """Return the network with fresh weights from torch's generator."""
        ...


ARCHITECTURES: Registry[Architecture] = Registry("architecture", "pvq.empirical.models", Architecture)

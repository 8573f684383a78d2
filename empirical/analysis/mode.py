"""Evaluation mode for a while."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn

__all__ = ["evaluation"]


@contextmanager
def evaluation(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Put networks into evaluation mode while the block runs, then each module back into its own mode."""
    before = {module: module.training for network in networks for module in network.modules()}
    for module in before:
        module.training = False
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training

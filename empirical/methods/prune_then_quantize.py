"""Prune first, then quantize."""

from __future__ import annotations

from dataclasses import dataclass

from pvq.empirical.method import TRAINING_METHODS
from pvq.empirical.prune_and_quantize import PruneAndQuantize

__all__ = ["PruneThenQuantize"]


@TRAINING_METHODS.register("prune-then-quantize")
@dataclass(frozen=True)
class PruneThenQuantize(PruneAndQuantize):
    """Prune by magnitude, then quantize what is left with learned scales; the budget pays for masks too."""

    prune_first = True

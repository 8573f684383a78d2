"""Quantize first, then prune."""

from __future__ import annotations

from dataclasses import dataclass

from pvq.empirical.method import TRAINING_METHODS
from pvq.empirical.prune_and_quantize import PruneAndQuantize

__all__ = ["QuantizeThenPrune"]


@TRAINING_METHODS.register("quantize-then-prune")
@dataclass(frozen=True)
class QuantizeThenPrune(PruneAndQuantize):
    """Quantize with learned scales, then prune by magnitude, within a budget that pays for masks too."""

    prune_first = False

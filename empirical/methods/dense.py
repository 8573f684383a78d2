"""No compression: what fine-tuning by itself does, stored in FP16."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from pvq.empirical.method import TRAINING_METHODS
from pvq.empirical.method_base import TaskTrained
from pvq.empirical.sites import fresh_sites
from pvq.errors import PvqError
from pvq.theory.budget import DENSE_BITS, Budget

__all__ = ["Dense"]


@TRAINING_METHODS.register("dense")
@dataclass(frozen=True)
class Dense(TaskTrained):
    """No compression, at 16 bits a weight: the baseline that the other methods are compared with."""

    def prepare(self, model: nn.Module, budget: Budget) -> nn.Module:
        """Return the network as it is."""
        if budget.bits != DENSE_BITS:
            raise PvqError(
                f"budget must be {DENSE_BITS:g} bits where nothing is compressed, got {budget.bits:g}"
            )
        fresh_sites(model)
        return model

    def after_step(self, model: nn.Module, progress: float) -> None:
        """Do nothing."""

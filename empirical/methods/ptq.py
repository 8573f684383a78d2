"""Post-training quantization: every weight to the nearest integer times the best scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from pvq.empirical.batch_norm import reestimate
from pvq.empirical.bias_correction import correct_biases
from pvq.empirical.method import TRAINING_METHODS, Batches
from pvq.empirical.method_base import TaskTrained
from pvq.empirical.scales import best_scales, layer_bits
from pvq.empirical.sites import Ends, fresh_sites
from pvq.empirical.weight_parts import IntegerGrid
from pvq.theory.budget import Budget

__all__ = ["PostTraining"]


@TRAINING_METHODS.register("ptq")
@dataclass(frozen=True)
class PostTraining(TaskTrained):
    """Post-training quantization with scales of least squared error, without training.

    Parameters
    ----------
    per : one scale per ``tensor``, or per output ``channel``; each the globally best one
    ends : first and last layer: the ``same`` width as the others (Kuzmin et al.), ``eight`` bits, or ``keep``
        them in FP16
    bias : batches of training images from which biases are corrected for the mean shift of each layer's
        output (M. Nagel et al., arXiv 1906.04721, section 4.2); 0 leaves them
    norms : batches of training images from which batch norms take their averages anew; 0 leaves them
    """

    per: Literal["tensor", "channel"] = "tensor"
    ends: Ends = "same"
    bias: int = 0
    norms: int = 0

    def __post_init__(self) -> None:
        for name in ("bias", "norms"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")

    def prepare(self, model: nn.Module, budget: Budget) -> nn.Module:
        """Return the network with its weights on integer grids of ``budget.bits`` bits."""
        for site, bits in layer_bits(fresh_sites(model), budget, self.ends):
            site.add(IntegerGrid(bits, best_scales(site, bits, self.per)))
        return model

    def calibrate(self, model: nn.Module, budget: Budget, batches: Batches) -> None:
        """Take the averages of batch norms anew and correct biases, where asked."""
        if self.norms:
            reestimate(model, batches(self.norms))
        if self.bias:
            correct_biases(model, list(batches(self.bias)))

    def epochs(self, asked: int) -> int:
        """Return 0: nothing is trained."""
        return 0

    def after_step(self, model: nn.Module, progress: float) -> None:
        """Do nothing."""

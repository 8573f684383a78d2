"""Quantization-aware training with learned step sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from pvq.empirical.input_grid import InputGrid, add_input_grid, calibrate_inputs, input_grids
from pvq.empirical.method import TRAINING_METHODS, Batches
from pvq.empirical.method_base import Renormalised
from pvq.empirical.scales import END_BITS, ScalePer, best_scales, layer_bits
from pvq.empirical.sites import Ends, Site, ends_of, fresh_sites
from pvq.empirical.weight_parts import SMALLEST_SCALE, IntegerGrid, integer_range
from pvq.theory.budget import Budget

__all__ = ["LearnedSteps"]


@TRAINING_METHODS.register("qat-lsq")
@dataclass(frozen=True)
class LearnedSteps(Renormalised):
    """Quantization-aware training with learned scales (LSQ), weights only unless activations are given.

    S. K. Esser et al., Learned Step Size Quantization, ICLR 2020 (arXiv 1902.08153). Defaults are those of
    A. Kuzmin et al., Pruning vs Quantization, NeurIPS 2023 (arXiv 2307.02973): all layers, weights only, one
    scale per tensor that starts at the least squared error and has an Adam of its own without weight decay,
    no scaling of its gradient, batch norms taken anew before each evaluation.

    Parameters
    ----------
    per : one scale per ``tensor`` or per output ``channel``
    activations : bits of the inputs of layers; 0 leaves them
    init : where a weight's scale starts: ``mse`` least squared error, or ``lsq`` 2 mean|w| / sqrt(Qp)
    scaled : divide the gradient of a scale by sqrt(N Qp), N weights with that scale, as LSQ does
    rate : peak learning rate of the scales
    ends : first and last layer: the ``same`` width as the others, ``eight`` bits, or ``keep`` them in FP16
    norms : batches from which batch norms take their averages before each evaluation; 0 leaves them
    """

    per: ScalePer = "tensor"
    activations: int = 0
    init: Literal["mse", "lsq"] = "mse"
    scaled: bool = False
    rate: float = 1e-5
    ends: Ends = "same"
    norms: int = 50

    def __post_init__(self) -> None:
        if self.activations and self.activations not in range(2, 17):
            raise ValueError(f"activations must be 0 or from 2 to 16 bits, got {self.activations}")
        if not 0 < self.rate < math.inf:
            raise ValueError(f"rate must be positive and finite, got {self.rate}")
        if self.norms < 0:
            raise ValueError(f"norms must not be negative, got {self.norms}")

    def prepare(self, model: nn.Module, budget: Budget) -> nn.Module:
        """Return the network with its weights, and inputs if asked, on grids with learned scales."""
        found = fresh_sites(model)
        outer = ends_of(found) if self.ends == "eight" else set()
        for site, bits in layer_bits(found, budget, self.ends):
            if self.activations:
                add_input_grid(site, END_BITS if site.name in outer else self.activations, self.scaled)
            site.add(IntegerGrid(bits, self._scale(site, bits), learned=True, gain=self._gain(site, bits)))
        return model

    def calibrate(self, model: nn.Module, budget: Budget, batches: Batches) -> None:
        """Take the scales of inputs from a batch, then the averages of batch norms anew."""
        if self.activations:
            calibrate_inputs(model, batches(1))
        self.settle(model, batches)

    def optimizer(self, model: nn.Module) -> torch.optim.Adam:
        """Return an Adam for the scales, without weight decay."""
        return torch.optim.Adam([grid.scale for grid in _grids(model)], lr=self.rate)

    def after_step(self, model: nn.Module, progress: float) -> None:
        """Keep scales positive."""
        with torch.no_grad():
            for grid in _grids(model):
                grid.scale.clamp_(min=SMALLEST_SCALE)

    def _scale(self, site: Site, bits: int) -> Tensor:
        if self.init == "mse":
            return best_scales(site, bits, self.per)
        W = site.matrix(site.weight.detach()).abs()
        root = math.sqrt(integer_range(bits)[1])
        if self.per == "tensor":
            return 2 * W.mean() / root
        return site.by_channel((2 * W.mean(dim=1) / root).clamp(min=SMALLEST_SCALE))

    def _gain(self, site: Site, bits: int) -> float:
        shared = site.size if self.per == "tensor" else site.layer.n
        return 1 / math.sqrt(shared * integer_range(bits)[1]) if self.scaled else 1.0


def _grids(model: nn.Module) -> list[IntegerGrid | InputGrid]:
    """Return everything with a learned scale, in order."""
    weights = [part for part in model.modules() if isinstance(part, IntegerGrid)]
    return [*weights, *input_grids(model)]

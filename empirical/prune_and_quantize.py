"""Pruning and quantization of the same weights, one after the other, at a total budget."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from pvq.empirical.method_base import Renormalised
from pvq.empirical.pruning import cubic_sparsity, kept_of, mask_largest
from pvq.empirical.scales import best_scales
from pvq.empirical.sites import Site, fresh_sites, sites
from pvq.empirical.weight_parts import SMALLEST_SCALE, IntegerGrid, Mask
from pvq.errors import PvqError
from pvq.theory.budget import Budget, density_at
from pvq.theory.distributions.empirical import Empirical
from pvq.theory.joint import best_split

__all__ = ["PruneAndQuantize", "split_of"]

WIDTHS = (2, 3, 4, 5, 6, 7, 8)


@dataclass(frozen=True)
class PruneAndQuantize(Renormalised):
    """What both orders share; `prune_first` says which comes first.

    Parameters
    ----------
    width : bits of a kept weight, more than the budget; 0 takes for each layer the width at which pruning and
        rounding its weights within the budget has the least squared error (`pvq.theory.joint.best_split`), of
        those above the budget: others leave nothing to prune
    switch : share of the run after which the second of the two begins
    ramp : share of the run over which the sparsity rises by the cubic schedule; 0 prunes at once
    period : steps between two changes of the masks
    rate : peak learning rate of the scales, which are trained as in ``qat-lsq``
    norms : batches from which batch norms take their averages before each evaluation; 0 leaves them
    """

    prune_first: ClassVar[bool]

    width: int = 0
    switch: float = 0.5
    ramp: float = 0.25
    period: int = 50
    rate: float = 1e-5
    norms: int = 50

    def __post_init__(self) -> None:
        if self.width and self.width not in range(2, 17):
            raise ValueError(f"width must be 0 or from 2 to 16 bits, got {self.width}")
        if not (0 <= self.switch <= 1 and 0 <= self.ramp <= 1 and self._begin + self.ramp <= 1):
            raise ValueError(f"switch and ramp must end within the run, got {self.switch} and {self.ramp}")
        if self.prune_first and self.ramp > self.switch:
            raise ValueError(f"ramp must end before switch, got ramp={self.ramp} and switch={self.switch}")
        if self.period < 1 or self.norms < 0:
            raise ValueError(f"period must be >= 1 and norms >= 0, got {self.period} and {self.norms}")
        if not 0 < self.rate < math.inf:
            raise ValueError(f"rate must be positive and finite, got {self.rate}")

    def epochs(self, asked: int) -> int:
        """Return `asked`; without an epoch, both must come at the start."""
        if asked < 1 and (self.switch or self.ramp):
            raise ValueError(f"epochs must be at least 1 unless switch=0 and ramp=0, got {asked}")
        return asked

    def prepare(self, model: nn.Module, budget: Budget) -> nn.Module:
        """Return the network with a mask and a grid on each layer, active from when their turn comes."""
        plan = [(site, split_of(site, budget, self.width)) for site in fresh_sites(model)]
        for site, (bits, density) in plan:
            mask = Mask(torch.ones_like(site.weight, dtype=torch.bool))
            mask.final = 1 - density
            grid = IntegerGrid(bits, best_scales(site, bits, "tensor"), learned=True)
            grid.active = False
            site.add(mask)
            site.add(grid)
        self._advance(model, 0.0, start=True)
        return model

    def optimizer(self, model: nn.Module) -> torch.optim.Adam:
        """Return an Adam for the scales, without weight decay."""
        return torch.optim.Adam([grid.scale for _, _, grid in _parts(model)], lr=self.rate)

    def after_step(self, model: nn.Module, progress: float) -> None:
        """Prune further, or begin to quantize, where it is time."""
        with torch.no_grad():
            for part in model.modules():
                if isinstance(part, Mask):
                    part.steps += 1
                elif isinstance(part, IntegerGrid):
                    part.scale.clamp_(min=SMALLEST_SCALE)
        self._advance(model, progress)

    @property
    def _begin(self) -> float:
        """When pruning begins."""
        return 0.0 if self.prune_first else self.switch

    def _advance(self, model: nn.Module, progress: float, start: bool = False) -> None:
        """Do what is due; the layers are looked up only then."""
        masks = [part for part in model.modules() if isinstance(part, Mask)]
        grids = [part for part in model.modules() if isinstance(part, IntegerGrid)]
        if self._prunes(masks, progress, start):
            self._prune(model, progress)
        if progress >= (self.switch if self.prune_first else 0.0) and not grids[0].active:
            _quantize(model)

    def _prunes(self, masks: list[Mask], progress: float, start: bool) -> bool:
        """Return whether the masks change now."""
        due = masks[0].steps % self.period == 0 and not start
        ended = all(mask.sparsity == mask.final for mask in masks)
        return not ended and progress >= self._begin and (due or progress >= self._begin + self.ramp)

    def _prune(self, model: nn.Module, progress: float) -> None:
        """Bring the masks to the sparsity of this moment."""
        found = [(site, mask) for site, mask, _ in _parts(model)]
        for _, mask in found:
            mask.sparsity = cubic_sparsity(progress, mask.final, self._begin, self._begin + self.ramp)
        mask_largest(found, [kept_of(site.size, mask.sparsity) for site, mask in found])


def _quantize(model: nn.Module) -> None:
    """Put what is left of the weights on their grids, with the best scales."""
    with torch.no_grad():
        for site, mask, grid in _parts(model):
            weight = torch.where(mask.kept, site.original, 0.0)
            grid.scale.copy_(best_scales(site, grid.bits, "tensor", weight))
            grid.active = True


def split_of(site: Site, budget: Budget, width: int = 0) -> tuple[int, float]:
    """Return bits of a kept weight and density that together, with the mask, cost the budget.

    The mask costs the binary entropy of the density.

    Parameters
    ----------
    site : whose own weights decide the best split
    budget : bits per weight in all
    width : of a kept weight; 0 for the best of `WIDTHS`

    Raises
    ------
    PvqError : a width that leaves nothing to prune, or none that would
    """
    if width:
        if width <= budget.bits:
            raise PvqError(f"width must be above the budget, {budget.bits:g} bits, to prune, got {width}")
        return width, density_at(budget.bits, "entropy", float(width))
    widths = [wide for wide in WIDTHS if wide > budget.bits]
    if not widths:
        raise PvqError(f"budget must be below {WIDTHS[-1]} bits unless width is given, got {budget.bits:g}")
    point = best_split(Empirical(site.layer.matrix.ravel()), budget.bits, "entropy", "int", widths)
    return point.value_bits, point.density


def _parts(model: nn.Module) -> list[tuple[Site, Mask, IntegerGrid]]:
    found = [(site, site.part(Mask), site.part(IntegerGrid)) for site in sites(model)]
    return [(site, mask, grid) for site, mask, grid in found if mask is not None and grid is not None]

"""Gradual magnitude pruning, and pruning in one shot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from pvq.empirical.method import TRAINING_METHODS
from pvq.empirical.method_base import Renormalised
from pvq.empirical.planned_sparsity import planned_sparsity
from pvq.empirical.pruning import cubic_sparsity, kept_of, mask_largest
from pvq.empirical.sites import Site, ends_of, fresh_sites, sites
from pvq.empirical.weight_parts import Mask
from pvq.errors import PvqError
from pvq.theory.budget import DENSE_BITS, Budget

__all__ = ["Magnitude", "check_pruning_budget"]


@TRAINING_METHODS.register("magnitude")
@dataclass(frozen=True)
class Magnitude(Renormalised):
    """Magnitude pruning to the density bits / 16, gradual or in one shot, with fine-tuning.

    The defaults are those of A. Kuzmin et al., Pruning vs Quantization, NeurIPS 2023 (arXiv 2307.02973): the
    cubic schedule of Zhu and Gupta over the first three quarters of the run, every 50 steps, one sparsity for
    all layers, masks that only shrink, batch norms taken anew before each evaluation.

    Parameters
    ----------
    schedule : ``cubic``, or ``one-shot`` at the start
    scope : ``uniform``, the same sparsity in each layer; ``global``, one threshold for all; ``plan``, as a
        plan of `pvq plan` has it
    plan : path of the plan
    begin, end : shares of the run between which the sparsity rises
    period : steps between two changes of the masks
    regrow : let weights come back while the sparsity rises; they are then trained on at zero
    ends : first and last layer: pruned the ``same`` way, or ``keep`` them
    norms : batches from which batch norms take their averages before each evaluation; 0 leaves them
    """

    schedule: Literal["cubic", "one-shot"] = "cubic"
    scope: Literal["uniform", "global", "plan"] = "uniform"
    plan: str = ""
    begin: float = 0.0
    end: float = 0.75
    period: int = 50
    regrow: bool = False
    ends: Literal["same", "keep"] = "same"
    norms: int = 50

    def __post_init__(self) -> None:
        if not 0 <= self.begin < self.end <= 1:
            raise ValueError(f"begin and end must fulfil 0 <= begin < end <= 1, got {self.begin}, {self.end}")
        if self.period < 1 or self.norms < 0:
            raise ValueError(f"period must be >= 1 and norms >= 0, got {self.period} and {self.norms}")
        if (self.scope == "plan") != bool(self.plan):
            raise ValueError(f"plan must be given with scope=plan, and only then, got {self.plan!r}")
        if self.regrow and self.schedule == "one-shot":
            raise ValueError("regrow must be false where schedule=one-shot: the masks are fixed")

    def epochs(self, asked: int) -> int:
        """Return `asked`; a schedule needs at least one epoch."""
        if self.schedule == "cubic" and asked < 1:
            raise ValueError(f"epochs must be at least 1 for schedule=cubic, got {asked}")
        return asked

    def prepare(self, model: nn.Module, budget: Budget) -> nn.Module:
        """Return the network with a mask on each layer, final where pruning is in one shot."""
        check_pruning_budget(budget)
        found = fresh_sites(model)
        outer = ends_of(found) if self.ends == "keep" else set()
        if self.scope == "plan":
            finals = planned_sparsity(self.plan, found, budget)
        else:
            finals = {site.name: budget.sparsity for site in found}
        chosen = [site for site in found if site.name not in outer and finals[site.name] > 0]
        if not chosen:
            raise PvqError(f"there must be a layer to prune, none of {len(found)} is left with {self}")
        for site in chosen:
            mask = Mask(torch.ones_like(site.weight, dtype=torch.bool), regrow=self.regrow)
            mask.final = finals[site.name]
            site.add(mask)
        if self.schedule == "one-shot":
            self._prune(_masked(model), progress=1.0)
        return model

    def after_step(self, model: nn.Module, progress: float) -> None:
        """Count the step, and prune further where the schedule says so."""
        masks = [part for part in model.modules() if isinstance(part, Mask)]
        for mask in masks:
            mask.steps += 1
        ended = all(mask.sparsity == mask.final for mask in masks)
        due = masks[0].steps % self.period == 0 and self.begin <= progress < self.end
        if self.schedule == "cubic" and (due or (progress >= self.end and not ended)):
            self._prune(_masked(model), progress)

    def _prune(self, found: list[tuple[Site, Mask]], progress: float) -> None:
        """Bring the masks to the sparsity of this moment."""
        for _, mask in found:
            mask.sparsity = cubic_sparsity(progress, mask.final, self.begin, self.end)
        kept = [kept_of(site.size, mask.sparsity) for site, mask in found]
        if self.scope == "global":
            size = sum(site.size for site, _ in found)
            mask_largest(found, kept_of(size, found[0][1].sparsity))
        else:
            mask_largest(found, kept)


def check_pruning_budget(budget: Budget) -> None:
    """Refuse a budget that prunes nothing.

    Raises
    ------
    PvqError : 16 bits or more
    """
    if budget.bits >= DENSE_BITS:
        raise PvqError(
            f"budget must be below {DENSE_BITS:g} bits for pruning to do anything, got {budget.bits:g}"
        )


def _masked(model: nn.Module) -> list[tuple[Site, Mask]]:
    """Return the layers with a mask, in order."""
    pairs = [(site, site.part(Mask)) for site in sites(model)]
    return [(site, mask) for site, mask in pairs if mask is not None]

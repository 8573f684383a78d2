"""Structured sparsity of n of every m weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from pvq.empirical.method import TRAINING_METHODS
from pvq.empirical.method_base import Renormalised
from pvq.empirical.pruning import keep_in_groups
from pvq.empirical.sites import ends_of, fresh_sites
from pvq.empirical.weight_parts import Mask
from pvq.errors import PvqError
from pvq.theory.budget import DENSE_BITS, Budget

__all__ = ["GroupSparsity"]


@TRAINING_METHODS.register("n-of-m")
@dataclass(frozen=True)
class GroupSparsity(Renormalised):
    """The n largest of every m consecutive weights of a row, in one shot, then fine-tuning under fixed masks.

    A. Mishra et al., Accelerating Sparse Deep Neural Networks (arXiv 2104.08378), with n = 2, m = 4. The
    last group of a row may be shorter and keeps n weights all the same.

    Parameters
    ----------
    n, m : 1 <= n < m; the budget must be 16 n / m bits
    ends : first and last layer: pruned the ``same`` way, or ``keep`` them
    norms : batches from which batch norms take their averages before each evaluation; 0 leaves them
    """

    n: int = 2
    m: int = 4
    ends: Literal["same", "keep"] = "same"
    norms: int = 50

    def __post_init__(self) -> None:
        if not 1 <= self.n < self.m:
            raise ValueError(f"n and m must fulfil 1 <= n < m, got n={self.n}, m={self.m}")
        if self.norms < 0:
            raise ValueError(f"norms must not be negative, got {self.norms}")

    def prepare(self, model: nn.Module, budget: Budget) -> nn.Module:
        """Return the network with its masks."""
        needed = DENSE_BITS * self.n / self.m
        if budget.bits != needed:
            raise PvqError(
                f"budget must be 16 n / m = {needed:g} bits for {self.n} of {self.m}, got {budget.bits:g}"
            )
        found = fresh_sites(model)
        outer = ends_of(found) if self.ends == "keep" else set()
        chosen = [site for site in found if site.name not in outer and site.layer.n > self.n]
        if not chosen:
            raise PvqError(f"there must be a layer to prune with rows longer than {self.n}, got none")
        for site in chosen:
            kept = keep_in_groups(site.matrix(site.weight.detach().abs()), self.n, self.m)
            site.add(Mask(site.restore(kept), group=(self.n, self.m)))
        return model

    def after_step(self, model: nn.Module, progress: float) -> None:
        """Do nothing: the masks are fixed."""

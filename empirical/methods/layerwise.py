"""Layer after layer compressed by a method of the solvers, with inputs as they come by then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn

from pvq.arrays import F64
from pvq.empirical.activations import LayerGram, gram_matrices
from pvq.empirical.method import TRAINING_METHODS, Batches
from pvq.empirical.method_base import Renormalised
from pvq.empirical.scales import ScalePer, best_scales, whole_bits
from pvq.empirical.sites import Site, ends_of, fresh_sites, sites
from pvq.empirical.weight_parts import IntegerGrid, Mask
from pvq.errors import PvqError
from pvq.solvers.feasible import FeasibleSet, fit_rows
from pvq.solvers.solver import SOLVERS, Limits, solve_layer
from pvq.theory.budget import DENSE_BITS, Budget

__all__ = ["Layerwise"]


@TRAINING_METHODS.register("layerwise")
@dataclass(frozen=True)
class Layerwise(Renormalised):
    """GPTQ, OBQ, OBS, SparseGPT or any other method of the solvers on each layer in turn.

    Each layer's Gram matrix comes from the inputs that it gets in the network whose earlier layers are
    compressed already, as E. Frantar, D. Alistarh, Optimal Brain Compression (arXiv 2208.11580), and GPTQ
    (arXiv 2210.17323) do it. The weights x of a row minimise (x - w)' H (x - w), w the original weights.

    Parameters
    ----------
    solver : spec of a method of the registry ``solvers`` that returns points
    camp : ``quantize`` to integers of as many bits as the budget has, or ``prune`` each row to bits / 16
    per : one scale per ``tensor`` or per output ``channel``, of least squared rounding error
    n, m : prune to n of m consecutive weights instead, at 16 n / m bits; 0 and 0 for unstructured sparsity
    batches : of training images for the Gram matrices
    inputs : from the network ``compressed`` so far, or from the ``original`` one
    ends : first and last layer: compressed the ``same`` way, or ``keep`` them
    finetune : train on, under the masks or on the grids found; else nothing is trained
    norms : batches from which batch norms take their averages afterwards; 0 leaves them
    """

    solver: str = "gptq"
    camp: Literal["quantize", "prune"] = "quantize"
    per: ScalePer = "tensor"
    n: int = 0
    m: int = 0
    batches: int = 4
    inputs: Literal["compressed", "original"] = "compressed"
    ends: Literal["same", "keep"] = "same"
    finetune: bool = False
    norms: int = 0

    def __post_init__(self) -> None:
        SOLVERS.build(self.solver)
        if self.batches < 1 or self.norms < 0:
            raise ValueError(f"batches must be >= 1 and norms >= 0, got {self.batches} and {self.norms}")
        if (self.n, self.m) != (0, 0) and not (1 <= self.n < self.m and self.camp == "prune"):
            raise ValueError(f"n and m must fulfil 1 <= n < m with camp=prune, got n={self.n}, m={self.m}")

    def epochs(self, asked: int) -> int:
        """Return `asked` with fine-tuning, else 0."""
        return asked if self.finetune else 0

    def prepare(self, model: nn.Module, budget: Budget) -> nn.Module:
        """Return the network with grids or masks that are not active yet; `calibrate` compresses it."""
        self._spec(budget)
        found = fresh_sites(model)
        outer = ends_of(found) if self.ends == "keep" else set()
        chosen = [site for site in found if site.name not in outer]
        if not chosen:
            raise PvqError(f"ends={self.ends} leaves no layer to compress, the network has {len(found)}")
        for site in chosen:
            part = self._part(site, budget)
            part.active = False
            site.add(part)
        return model

    def calibrate(self, model: nn.Module, budget: Budget, batches: Batches) -> None:
        """Compress layer after layer, then take the averages of batch norms anew where asked."""
        images = list(batches(self.batches))
        if not images:
            raise PvqError("layerwise needs at least one batch of training images, got none")
        pairs = [(site, site.part(IntegerGrid) or site.part(Mask)) for site in sites(model)]
        todo = [(site, part) for site, part in pairs if part is not None]
        grams = (
            gram_matrices(model, [site.name for site, _ in todo], images) if self.inputs == "original" else {}
        )
        for site, part in todo:
            found = grams or gram_matrices(model, [site.name], images)
            if site.name not in found:
                raise PvqError(f"{site.name} cannot be compressed: no input reaches it as rows times weights")
            self._compress(site, part, found[site.name], budget)
        self.settle(model, batches)

    def after_step(self, model: nn.Module, progress: float) -> None:
        """Do nothing: grids and masks are fixed."""

    def _spec(self, budget: Budget) -> str:
        """Return the set that rows must lie in.

        Raises
        ------
        PvqError : a budget that does not fit
        """
        if self.camp == "quantize":
            rows = ",per=row" if self.per == "channel" else ""
            return f"int[bits={whole_bits(budget)}{rows}]"
        needed = DENSE_BITS * self.n / self.m if self.m else 0.0
        if self.m and budget.bits != needed:
            raise PvqError(f"budget must be 16 n / m = {needed:g} bits for n of m, got {budget.bits:g}")
        if budget.bits >= DENSE_BITS:
            raise PvqError(f"budget must be below {DENSE_BITS:g} bits for pruning, got {budget.bits:g}")
        return f"n_of_m[n={self.n},m={self.m}]" if self.m else f"sparse[density={budget.density!r}]"

    def _part(self, site: Site, budget: Budget) -> IntegerGrid | Mask:
        if self.camp == "prune":
            kept = torch.ones_like(site.weight, dtype=torch.bool)
            return Mask(kept, group=(self.n, self.m) if self.m else None)
        bits = whole_bits(budget)
        return IntegerGrid(bits, best_scales(site, bits, self.per))

    def _compress(self, site: Site, part: IntegerGrid | Mask, gram: LayerGram, budget: Budget) -> None:
        W = site.matrix(site.original.detach()).double().cpu().numpy()
        X = torch.from_numpy(self._solve(site.name, W, gram, self._spec(budget)))
        with torch.no_grad():
            point = site.restore(X).to(site.original)
            site.original.copy_(point)
            if isinstance(part, Mask):
                part.kept.copy_(point != 0)
        part.active = True

    def _solve(self, name: str, W: F64, gram: LayerGram, spec: str) -> F64:
        """Return the compressed rows, group by group."""
        shared = self.camp == "quantize" and self.per == "tensor"
        chosen: FeasibleSet | str = fit_rows(spec, W)[0] if shared else spec
        found = []
        for H, rows in zip(gram.grams, np.split(W, len(gram.grams)), strict=True):
            for result in solve_layer(H, rows, chosen, self.solver, Limits()):
                if result.point is None:
                    reason = result.notes or "it returned no point"
                    raise PvqError(f"{name}: {self.solver} cannot compress it: {reason}")
                found.append(result.point)
        return np.stack(found)

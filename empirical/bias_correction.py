"""Biases corrected for the mean shift that rounded weights bring to a layer's output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pvq.empirical.sites import Site, sites
from pvq.empirical.weight_parts import IntegerGrid
from pvq.errors import PvqError

__all__ = ["correct_biases"]


def correct_biases(model: nn.Module, batches: Sequence[Tensor]) -> None:
    """Shift the bias of each quantized layer so that its mean output is that before rounding, in place.

    Layers come in the order of the state dict; each mean is taken with the layers before it rounded and
    corrected. A layer without a bias stays as it is: where a batch norm follows it, that can be taken anew.
    Source: M. Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019
    (arXiv 1906.04721), appendix D.

    Raises
    ------
    PvqError : no quantized layer has a bias, no batch
    """
    found = [site for site in sites(model) if site.part(IntegerGrid) and _bias(site) is not None]
    if not found:
        raise PvqError("bias correction needs a quantized layer that has a bias, the network has none")
    if not batches:
        raise PvqError("bias correction needs at least one batch of training images, got none")
    with _unrounded(model):
        wanted = _means(model, found, batches)
    with torch.no_grad():
        for site in found:
            bias = _bias(site)
            assert bias is not None, "found only with one"
            bias += wanted[site.name] - _means(model, [site], batches)[site.name]


def _bias(site: Site) -> Tensor | None:
    bias = getattr(site.owner, "bias", None)
    return bias if isinstance(bias, Tensor) and bias.shape == (site.layer.rows,) else None


@contextmanager
def _unrounded(model: nn.Module) -> Iterator[None]:
    """Let the network compute with its weights before rounding while the block runs."""
    grids = [part for part in model.modules() if isinstance(part, IntegerGrid)]
    for grid in grids:
        grid.active = False
    try:
        yield
    finally:
        for grid in grids:
            grid.active = True


def _means(model: nn.Module, found: Sequence[Site], batches: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return the mean output of each layer by channel, over all images and positions."""
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}

    def watch(site: Site) -> torch.utils.hooks.RemovableHandle:
        def add(module: nn.Module, inputs: object, output: Tensor) -> None:
            axis = -1 if isinstance(module, nn.Linear) else 1
            flat = output.movedim(axis, 0).flatten(1).double()
            sums[site.name] = sums.get(site.name, torch.zeros_like(flat[:, 0])) + flat.sum(dim=1)
            counts[site.name] = counts.get(site.name, 0) + flat.shape[1]

        return site.owner.register_forward_hook(add)

    handles = [watch(site) for site in found]
    try:
        with torch.no_grad():
            for batch in batches:
                model(batch)
    finally:
        for handle in handles:
            handle.remove()
    unused = [site.name for site in found if site.name not in sums]
    if unused:
        raise PvqError(f"{unused[0]} cannot have its bias corrected: no image passes through it")
    return {name: (total / counts[name]).float() for name, total in sums.items()}

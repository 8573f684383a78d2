"""Inputs of a layer rounded to integers times a learned scale."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from pvq.empirical.module_layers import CONVOLUTIONS
from pvq.empirical.sites import Site
from pvq.empirical.weight_parts import fake_quantize, integer_range
from pvq.errors import PvqError

__all__ = ["InputGrid", "add_input_grid", "calibrate_inputs", "input_grids"]

NAME = "input_grid"


class InputGrid(nn.Module):
    """A layer's input on a grid of integers: from 0 where no calibration image went below, else signed.

    Parameters
    ----------
    bits : of the integers
    scaled : whether the gradient of the scale is divided by sqrt(N Q), N values per image, Q the largest
        integer
    """

    def __init__(self, bits: int, scaled: bool) -> None:
        super().__init__()
        self.bits, self.scaled, self.signed, self.active = bits, scaled, True, True
        self.gain = 1.0
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """Return the rounded input, or the input itself while the grid is not active."""
        if not self.active:
            return x
        return fake_quantize(x, self.scale, *integer_range(self.bits, self.signed), self.gain)

    def fit(self, x: Tensor) -> None:
        """Set sign and scale, 2 mean|x| / sqrt(Q), from the input of a batch.

        Source: Esser et al., Learned Step Size Quantization (arXiv 1902.08153), section 2.1.

        Raises
        ------
        PvqError : an input that is zero everywhere
        """
        self.signed = bool((x < 0).any())
        top = integer_range(self.bits, self.signed)[1]
        size = float(x.abs().mean())
        if not 0 < size < math.inf:
            raise PvqError(
                f"inputs must not be all zero or infinite to get a scale, got mean magnitude {size}"
            )
        with torch.no_grad():
            self.scale.fill_(2 * size / math.sqrt(top))
        self.gain = 1 / math.sqrt(x[0].numel() * top) if self.scaled else 1.0


def add_input_grid(site: Site, bits: int, scaled: bool) -> None:
    """Round what goes into a layer from now on.

    Raises
    ------
    PvqError : no convolution or linear layer
    """
    if not isinstance(site.owner, (*CONVOLUTIONS, nn.Linear)):
        raise PvqError(f"{site.name}: inputs of a {type(site.owner).__name__} cannot be quantized")
    grid = InputGrid(bits, scaled).to(site.weight.device)
    site.owner.add_module(NAME, grid)
    site.owner.register_forward_pre_hook(_round_input)


def input_grids(model: nn.Module) -> Iterator[InputGrid]:
    """Yield the grids of a network, in order."""
    yield from (part for part in model.modules() if isinstance(part, InputGrid))


def calibrate_inputs(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Fit every grid to the first batch as it comes with no input rounded.

    Raises
    ------
    PvqError : no batch, a layer that no input reaches
    """
    grids, seen = list(input_grids(model)), set[int]()

    def fit(grid: nn.Module, inputs: Sequence[Tensor]) -> None:
        cast(InputGrid, grid).fit(inputs[0])
        seen.add(id(grid))

    handles = [grid.register_forward_pre_hook(fit) for grid in grids]
    for grid in grids:
        grid.active = False
    try:
        with torch.no_grad():
            for batch in batches:
                model(batch)
                break
    finally:
        for handle in handles:
            handle.remove()
        for grid in grids:
            grid.active = True
    if len(seen) < len(grids):
        raise PvqError(f"{len(grids) - len(seen)} of {len(grids)} layers got no input to take a scale from")


def _round_input(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    grid = cast(InputGrid, getattr(module, NAME))
    return (grid(inputs[0]), *inputs[1:])

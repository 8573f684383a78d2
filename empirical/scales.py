"""Widths and scales of the integer grids that a network's weights are put on."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from pvq.empirical.sites import Ends, Site, ends_of
from pvq.empirical.weight_parts import integer_range
from pvq.errors import PvqError
from pvq.theory.budget import Budget
from pvq.theory.optimal_scale import optimal_scale

__all__ = ["ScalePer", "best_scales", "layer_bits", "whole_bits"]

ScalePer: TypeAlias = Literal["tensor", "channel"]
END_BITS = 8


def whole_bits(budget: Budget) -> int:
    """Return the budget as the width of integers.

    Raises
    ------
    PvqError : no whole number of bits from 2 to 16

    >>> whole_bits(Budget(2.5))
    Traceback (most recent call last):
    pvq.errors.PvqError: budget must be a whole number of bits from 2 to 16 for integers, got 2.5
    """
    if budget.bits not in range(2, 17):
        raise PvqError(
            f"budget must be a whole number of bits from 2 to 16 for integers, got {budget.bits:g}"
        )
    return int(budget.bits)


def layer_bits(found: list[Site], budget: Budget, ends: Ends) -> list[tuple[Site, int]]:
    """Return the layers to quantize and their widths.

    Raises
    ------
    PvqError : no whole number of bits, no layer left to quantize
    """
    bits, outer = whole_bits(budget), ends_of(found) if ends != "same" else set()
    widths = [(site, END_BITS if site.name in outer else bits) for site in found]
    chosen = [(site, width) for site, width in widths if ends != "keep" or site.name not in outer]
    if not chosen:
        raise PvqError(f"ends={ends} leaves no layer to quantize, the network has {len(found)}")
    return chosen


def best_scales(site: Site, bits: int, per: ScalePer, weight: Tensor | None = None) -> Tensor:
    """Return the scales of least squared rounding error, in a shape that multiplies the weight.

    Each is globally optimal, see `pvq.theory.optimal_scale`. A channel that is all zero gets the scale 1.

    Parameters
    ----------
    site : of the weights
    bits : width of the integers
    per : one scale for the ``tensor``, shape (), or one for each ``channel``
    weight : tensor to be rounded where that is not the site's own
    """
    tensor = site.weight if weight is None else weight
    W = site.matrix(tensor.detach()).double().cpu().numpy()
    low, high = integer_range(bits)
    levels = np.arange(low, high + 1, dtype=np.float64)
    rows = W[None] if per == "tensor" else W
    best = [optimal_scale(row, levels) if row.any() else 1.0 for row in rows]
    scales = torch.tensor(best, dtype=tensor.dtype, device=tensor.device)
    return scales[0] if per == "tensor" else site.by_channel(scales)

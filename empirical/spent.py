"""The bits that the weights of a network take, measured from its tensors."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pvq.empirical.input_grid import input_grids
from pvq.empirical.pruning import in_groups
from pvq.empirical.sites import Site, sites
from pvq.empirical.weight_parts import IntegerGrid, Mask
from pvq.errors import PvqError
from pvq.solvers.stored_format import FORMATS, Cost, Storage, mask_cost

__all__ = ["LayerSpent", "Spent", "measure_spent", "store_halves"]

SCALE_BITS = 32


@dataclass(frozen=True)
class LayerSpent:
    """What one layer takes.

    Parameters
    ----------
    name : of the layer
    weights : how many, those at zero included
    kept : how many are not zero
    width : bits of a stored value
    cost : bits of values, scales and mask
    """

    name: str
    weights: int
    kept: int
    width: int
    cost: Cost


@dataclass(frozen=True)
class Spent:
    """What the weight matrices of a network take; biases and norms, the same for all methods, are left out.

    Parameters
    ----------
    layers : in the order of the network

    >>> Spent((LayerSpent("a", 10, 10, 4, Cost(40, 32)),)).average
    7.2
    """

    layers: tuple[LayerSpent, ...]

    @property
    def bits(self) -> int:
        """All bits together."""
        return sum(layer.cost.bits for layer in self.layers)

    @property
    def weights(self) -> int:
        """Number of weights."""
        return sum(layer.weights for layer in self.layers)

    @property
    def average(self) -> float:
        """Bits per weight."""
        return self.bits / self.weights

    @property
    def density(self) -> float:
        """Share of weights that are not zero."""
        return sum(layer.kept for layer in self.layers) / self.weights

    def describe(self) -> dict[str, Any]:
        """Return everything as a mapping that JSON can hold."""
        return {
            "bits": self.bits,
            "weights": self.weights,
            "average": self.average,
            "density": self.density,
        } | {"layers": [asdict(layer) for layer in self.layers]}


def measure_spent(model: nn.Module) -> Spent:
    """Return what the weights take.

    A weight on an integer grid takes the least width that holds the integers found; any other 16 bits where
    all of the layer's weights are numbers of FP16, else 32. Weights with a mask are stored as the kept values
    and the cheapest coding of their places, or as if there were no mask where that is less; each scale takes
    32 bits, also that of a layer's input. The places in groups of n of m cost the log2 of how many choices
    there are, where the weights found do lie so.
    """
    return Spent(tuple(_measure(site) for site in sites(model)))


def store_halves(model: nn.Module) -> None:
    """Round every weight that is on no integer grid to FP16, in place.

    Raises
    ------
    PvqError : a weight beyond the range of FP16
    """
    with torch.no_grad():
        for site in sites(model):
            grid = site.part(IntegerGrid)
            if grid is None or not grid.active:
                rounded = site.original.half().to(site.original.dtype)
                if not bool(torch.isfinite(rounded).all()):
                    raise PvqError(f"{site.name}: weights must fit in FP16, got one that does not")
                site.original.copy_(rounded)


def _measure(site: Site) -> LayerSpent:
    with torch.no_grad():
        W, grid, mask = site.weight, site.part(IntegerGrid), site.part(Mask)
        kept = int(torch.count_nonzero(W))
        gridded = grid is not None and grid.active
        width = _integer_width(W, grid.scale) if grid is not None and gridded else _float_width(W)
        scales = SCALE_BITS * (_scales(site) + (grid.scale.numel() if grid is not None and gridded else 0))
        places, coding = _places(site, W, kept, mask) if mask is not None else (0, "none")
    dense = Cost(width * site.size, scales)
    if mask is None:
        return LayerSpent(site.name, site.size, kept, width, dense)
    masked = Cost(width * kept, scales, places, coding)
    return LayerSpent(site.name, site.size, kept, width, min(masked, dense, key=lambda cost: cost.bits))


def _scales(site: Site) -> int:
    """Return how many scales the layer's input has."""
    return sum(grid.scale.numel() for grid in input_grids(site.owner))


def _places(site: Site, W: Tensor, kept: int, mask: Mask) -> tuple[int, str]:
    """Return the bits of the places of kept weights: of any mask so dense, or of one in groups."""
    free = mask_cost(kept, site.size, "cheapest")
    if mask.group is None or not in_groups(site.matrix(W) != 0, *mask.group):
        return free
    n, m = mask.group
    cost = FORMATS.build(f"n_of_m[n={n},m={m}]").cost((site.layer.rows, site.layer.n), Storage())
    return min(free, (cost.mask, f"{n} of {m}"))


def _float_width(W: Tensor) -> int:
    return 16 if torch.equal(W.half().to(W.dtype), W) else 32


def _integer_width(W: Tensor, scale: Tensor) -> int:
    """Return the bits of the largest integer, two's complement."""
    integers = torch.round(W / scale)
    return int(torch.maximum(integers, -integers - 1).max()).bit_length() + 1

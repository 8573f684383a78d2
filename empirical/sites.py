"""The places in a network where weights can be compressed: who holds each weight matrix, and how it lies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar, cast

from torch import Tensor, nn
from torch.nn.utils import parametrize

from pvq.empirical.model import LayerWeights, trouble
from pvq.empirical.module_layers import module_layers
from pvq.errors import PvqError

__all__ = ["Ends", "Site", "ends_of", "fresh_sites", "sites"]

T = TypeVar("T", bound=nn.Module)
Ends: TypeAlias = Literal["same", "eight", "keep"]


@dataclass(frozen=True, eq=False)
class Site:
    """A weight matrix of a network.

    Parameters
    ----------
    name : of the layer, without a trailing ``.weight``
    owner, attribute : the module that holds the tensor, and under which name
    layer : the weights as they were when the site was found, with their layout
    """

    name: str
    owner: nn.Module
    attribute: str
    layer: LayerWeights

    @property
    def weight(self) -> Tensor:
        """The tensor that the network computes with."""
        return cast(Tensor, getattr(self.owner, self.attribute))

    @property
    def original(self) -> Tensor:
        """The parameter that is trained: the weight before masks and grids."""
        return cast(Tensor, self._chain.original) if self._parametrized else self.weight

    @property
    def size(self) -> int:
        """Number of weights."""
        return self.layer.size

    def matrix(self, tensor: Tensor) -> Tensor:
        """Return a tensor of the weight's shape as (rows, n), one row per output channel."""
        return cast(Tensor, self.layer.as_rows(cast(Any, tensor)))

    def restore(self, matrix: Tensor) -> Tensor:
        """Return a (rows, n) matrix in the layout of the weight."""
        return cast(Tensor, self.layer.restore(cast(Any, matrix)))

    def by_channel(self, values: Tensor) -> Tensor:
        """Return one value for each output channel in a shape that multiplies the weight.

        Raises
        ------
        PvqError : a transposed convolution in groups, where no shape does
        """
        axis = 1 if self.layer.transposed else 0
        if axis and self.layer.groups > 1:
            raise PvqError(f"{self.name}: a transposed convolution in groups cannot have a scale per channel")
        shape = [1] * len(self.layer.shape)
        shape[axis] = -1
        return values.view(shape)

    def add(self, part: nn.Module) -> None:
        """Let the network compute with ``part(weight)`` from now on."""
        parametrize.register_parametrization(self.owner, self.attribute, part)

    def part(self, kind: type[T]) -> T | None:
        """Return the part of that kind that the weight goes through, None if there is none."""
        found = [part for part in self._chain if isinstance(part, kind)] if self._parametrized else []
        return found[0] if found else None

    @property
    def _parametrized(self) -> bool:
        return parametrize.is_parametrized(self.owner, self.attribute)

    @property
    def _chain(self) -> Any:
        return cast(Any, self.owner.parametrizations)[self.attribute]


def sites(model: nn.Module) -> list[Site]:
    """Return the weight matrices of a network, in the order of its state dict."""
    return [_site(model, layer) for layer in module_layers(model).values()]


def fresh_sites(model: nn.Module) -> list[Site]:
    """Return the weight matrices of a network that nothing has been done to yet.

    Raises
    ------
    PvqError : no weight matrix, tied or computed weights, weights that are NaN, infinite or all zero
    """
    found = sites(model)
    if not found:
        raise PvqError("the network has no weight matrix to compress")
    for site in found:
        reason, forbids = trouble(site.layer)
        if site.layer.tied:
            reason, forbids = f"the same tensor is {', '.join(site.layer.tied)}", True
        if site.layer.note:
            reason, forbids = f"its weights come {site.layer.note}", True
        if forbids:
            raise PvqError(f"{site.name} cannot be compressed: {reason}")
    return found


def ends_of(found: list[Site]) -> set[str]:
    """Return the names of the first and the last layer."""
    return {found[0].name, found[-1].name}


def _site(model: nn.Module, layer: LayerWeights) -> Site:
    parts: Callable[[str], nn.Module] = model.get_submodule
    head, _, tail = layer.name.rpartition(".")
    if tail.endswith("weight"):
        return Site(layer.name, parts(head), tail, layer)
    return Site(layer.name, parts(layer.name), "weight", layer)

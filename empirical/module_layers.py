"""The layers of a network at hand: names, kinds and layouts as its own modules say, not as names suggest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.utils import parametrize

from pvq.empirical.model import Kind, LayerWeights
from pvq.empirical.state_dict import numpy_of, state_remarks
from pvq.empirical.tensor_names import Described, kind_of, remarks_on
from pvq.empirical.weight_views import TrackedWeight

__all__ = ["module_layers", "module_remarks", "tracked_weights"]

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


class _Found(NamedTuple):
    """A weight, the module that owns it and its name in the state dict, which the user knows."""

    name: str
    owner: nn.Module
    tensor: Tensor
    note: str


def module_layers(module: nn.Module) -> dict[str, LayerWeights]:
    """Return the weight matrices of a network by name, in the order of its state dict.

    What `pvq.empirical.state_dict.layers_of` guesses from names and shapes is asked of the modules here:
    which convolutions are depthwise or transposed, which weights have inputs first. A tensor with several
    names comes once, under its first, and is a matrix product's where any of them is. A parametrised weight
    (``weight_norm``, ``spectral_norm``) comes as the network computes it, and its note says so.

    >>> layers = module_layers(nn.Sequential(nn.ConvTranspose2d(4, 3, 2), nn.Linear(3, 5)))
    >>> [(layer.name, layer.kind, layer.rows, layer.n) for layer in layers.values()]
    [('0', 'conv-transpose', 3, 16), ('1', 'linear', 5, 3)]
    """
    layers: dict[str, LayerWeights] = {}
    first: dict[tuple[object, ...], str] = {}
    for found in list(_weights(module)):  # all alive: memory of a computed weight let go may be used again
        layer = _layer(found)
        if layer is None:
            continue
        memory = _memory(found.tensor)
        if memory in first:
            layers[first[memory]] = layers[first[memory]].tied_to(layer)
        else:
            first[memory] = layer.name
            layers[layer.name] = layer
    return layers


def module_remarks(module: nn.Module) -> tuple[str, ...]:
    """Return why tensors of a network that look like weights are no layers, one sentence a reason.

    >>> module_remarks(nn.Sequential(nn.LSTM(4, 4)))
    ('left out: 0.weight_ih_l0, 0.weight_hh_l0 (recurrent weights)',)
    """
    state = {
        name: tensor
        for name, tensor in module.state_dict().items()
        if isinstance(tensor, Tensor) and ".parametrizations." not in name
    }
    packed = [name for name, part in module.named_modules() if hasattr(part, "_packed_params")]
    quantized = [Described(f"{name}.weight", (1, 1), "integer") for name in packed]
    return (*state_remarks(state), *remarks_on(quantized))


def tracked_weights(module: nn.Module, names: Iterable[str]) -> list[TrackedWeight]:
    """Return the named weights with their layouts, for the recorder.

    Raises
    ------
    ValueError : a name that the network does not have
    """
    known = {found.name: found for found in _weights(module)}
    parameters = dict(module.named_parameters(remove_duplicate=False))
    tracked = []
    for name in names:
        found = known.get(name)
        if found is not None:
            transposed, groups = _layout(found.owner, found.tensor)
            call_groups = int(getattr(found.owner, "groups", 1))
            tracked.append(TrackedWeight(name, found.tensor.detach(), transposed, groups, call_groups))
            continue
        tensor = parameters.get(f"{name}.weight", parameters.get(name))
        if tensor is None:
            raise ValueError(f"names must be of weights in the network, got {name!r}")
        tracked.append(TrackedWeight(name, tensor))
    return tracked


def _weights(module: nn.Module) -> Iterator[_Found]:
    """Yield every floating-point tensor called ``*weight`` with two axes or more, in state-dict order."""
    for prefix, owner in module.named_modules(remove_duplicate=False):
        if ".parametrizations" in f".{prefix}":
            continue
        for own, tensor, note in _own_weights(owner):
            full = f"{prefix}.{own}" if prefix else own
            yield _Found(full.removesuffix(".weight"), owner, tensor, note)


def _own_weights(owner: nn.Module) -> Iterator[tuple[str, Tensor, str]]:
    for name, tensor in owner.named_parameters(recurse=False, remove_duplicate=False):
        if _is_weight(name, tensor):
            yield name, tensor, ""
    if parametrize.is_parametrized(owner):
        for name, chain in owner.parametrizations.items():  # type: ignore[union-attr,operator]
            tensor = getattr(owner, name)
            if _is_weight(name, tensor):
                kinds = ", ".join(type(part).__name__.strip("_") for part in chain)
                yield name, tensor, f"as computed by {kinds}"


def _is_weight(name: str, tensor: Tensor) -> bool:
    return name.endswith("weight") and tensor.ndim >= 2 and tensor.is_floating_point()


def _layer(found: _Found) -> LayerWeights | None:
    """Return the layer, None where the owner is a normalisation, whose weights multiply nothing but scale."""
    if re.search(r"Norm(\dd)?$", type(found.owner).__name__):
        return None
    transposed, groups = _layout(found.owner, found.tensor)
    kind = _kind(found)
    return LayerWeights(
        found.name, kind, numpy_of(found.tensor), transposed=transposed, groups=groups, note=found.note
    )


def _kind(found: _Found) -> Kind:
    owner = found.owner
    if isinstance(owner, TRANSPOSED):
        return "conv-transpose"
    if isinstance(owner, CONVOLUTIONS):
        return "depthwise" if owner.groups == owner.in_channels > 1 else "conv"
    if isinstance(owner, EMBEDDINGS):
        return "embedding"
    if isinstance(owner, nn.Linear) or found.tensor.ndim == 2:
        return "linear"
    return kind_of(found.name, tuple(found.tensor.shape), first=False)


def _layout(owner: nn.Module, tensor: Tensor) -> tuple[bool, int]:
    """Return whether inputs come first, and the groups where the layout depends on them.

    Besides transposed convolutions that is a module which multiplies ``x @ weight``: the ``Conv1D`` of GPT-2,
    or any with ``in_features`` and ``out_features`` in the order of its axes.
    """
    if isinstance(owner, TRANSPOSED):
        return True, owner.groups
    if tensor.ndim != 2 or isinstance(owner, (nn.Linear, *EMBEDDINGS)):
        return False, 1
    if type(owner).__name__ == "Conv1D" and getattr(owner, "nf", None) == tensor.shape[1]:
        return True, 1
    sizes = (getattr(owner, "in_features", None), getattr(owner, "out_features", None))
    return sizes == tuple(tensor.shape) and sizes[0] != sizes[1], 1


def _memory(tensor: Tensor) -> tuple[object, ...]:
    """Return what two names of one tensor agree in."""
    return tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device

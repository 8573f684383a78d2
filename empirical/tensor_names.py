"""What names, shapes and number types alone say of the tensors of a state dict."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pvq.empirical.model import Kind, LayerWeights, Stored

__all__ = ["Described", "is_weight", "kind_of", "layer_of", "named_layers", "remarks_on"]

TRANSPOSED = re.compile(r"deconv|upconv|up_conv|conv_?transpose|transposed?_?conv|conv_?t\d?d?(\.|$)")
REAL, INTEGER, COMPLEX = "real", "integer", "complex"
PARAMETRIZED = re.compile(r"\.parametrizations\.|weight_(g|v|orig)$")


class Described(NamedTuple):
    """A tensor as far as a header tells.

    Parameters
    ----------
    name : in the state dict
    shape : of the tensor
    numbers : ``real``, ``integer`` (also quantized ones) or ``complex``
    """

    name: str
    shape: tuple[int, ...]
    numbers: str


def is_weight(tensor: Described) -> bool:
    """Return whether a tensor counts as a weight matrix.

    Its name ends in ``weight``, it has two axes or more and holds real numbers; that leaves out biases, batch
    norm, running statistics and position tables.

    >>> is_weight(Described("conv1.weight", (16, 3, 3, 3), REAL))
    True
    >>> is_weight(Described("bn.weight", (16,), REAL))
    False
    """
    return tensor.name.endswith("weight") and len(tensor.shape) >= 2 and tensor.numbers == REAL


def kind_of(name: str, shape: tuple[int, ...], first: bool) -> Kind:
    """Tell the kind from name and shape.

    A convolution over one input channel is depthwise unless it is the first one: a grey image has
    one channel. A transposed convolution shows in nothing but its name.

    >>> kind_of("decoder.upconv1", (64, 32, 2, 2), first=False)
    'conv-transpose'
    """
    if len(shape) == 2:
        return "embedding" if "embed" in name.lower() else "linear"
    if TRANSPOSED.search(name.lower()):
        return "conv-transpose"
    return "depthwise" if shape[1] == 1 and shape[0] > 1 and not first else "conv"


def layer_of(key: str, stored: Stored, first: bool) -> LayerWeights:
    """Return a tensor as a layer, its kind told from its name; the name loses a trailing ``.weight``."""
    name = key.removesuffix(".weight")
    kind = kind_of(name, tuple(stored.shape), first)
    return LayerWeights(name, kind, stored, transposed=kind == "conv-transpose")


def named_layers(tensors: Mapping[str, Stored], same_as: Mapping[str, str]) -> dict[str, LayerWeights]:
    """Return weight matrices by name, in order.

    Parameters
    ----------
    tensors : the weight matrices by their names in the state dict
    same_as : for a tensor that is another one once more, the name of that one; it becomes a further name
    """
    found: dict[str, LayerWeights] = {}
    for key, stored in tensors.items():
        if key not in same_as:
            first = not any(layer.kind == "conv" for layer in found.values())
            found[key] = layer_of(key, stored, first)
    for key, other in same_as.items():
        if other in found:
            twin = layer_of(key, tensors[key if key in tensors else other], False)
            found[other] = found[other].tied_to(twin)
    return {layer.name: layer for layer in found.values()}


def remarks_on(tensors: Iterable[Described]) -> tuple[str, ...]:
    """Return one sentence for each reason why a tensor that looks like weights is left out.

    >>> remarks_on([Described("fc.qweight", (64, 64), INTEGER)])
    ('left out: fc.qweight (integer or quantized, so compressed already)',)
    """
    reasons: dict[str, list[str]] = {}
    for tensor in tensors:
        reason = _reason(tensor)
        if reason:
            reasons.setdefault(reason, []).append(tensor.name)
    return tuple(f"left out: {_shortened(names)} ({reason})" for reason, names in reasons.items())


def _reason(tensor: Described) -> str:
    """Return why a tensor is left out, empty if it is not or is no matrix of weights."""
    last = tensor.name.rpartition(".")[2]
    if len(tensor.shape) < 2 or "weight" not in tensor.name or is_weight(tensor):
        return ""
    if PARAMETRIZED.search(tensor.name):
        return "parts from which the network computes its weights; only the network gives those"
    if "weight" in last and tensor.numbers == INTEGER:
        return "integer or quantized, so compressed already"
    if "weight" in last and tensor.numbers == COMPLEX:
        return "complex numbers"
    return "recurrent weights" if re.match(r"weight_(ih|hh|hr)", last) else ""


def _shortened(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

"""What a network costs: parameters, bits, multiply-accumulate and bit operations, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

import torch
from torch import nn

from pvq.empirical.analysis.macs import NO_WEIGHT, count_macs
from pvq.empirical.architecture import ARCHITECTURES
from pvq.empirical.model import LayerWeights
from pvq.empirical.models_zoo import MODELS, load_model
from pvq.empirical.module_layers import module_layers
from pvq.errors import SpecError, UnknownName
from pvq.registry import suggest

__all__ = ["FIELDS", "PartCost", "Scales", "Widths", "cost_rows", "network_cost", "read_shape", "resolve"]

Scales = Literal["none", "layer", "row"]
FLOAT, SCALED_BELOW = 32.0, 16  # bits of what is not quantized; widths below the second need a scale
FIELDS = (
    "layer",
    "kind",
    "shape",
    "parameters",
    "weight_bits",
    "activation_bits",
    "macs",
    "bops",
    "storage_bits",
)


@dataclass(frozen=True)
class Widths:
    """Bits by layer: a default, and exceptions by pattern of the name, of which the last that fits counts.

    >>> Widths.read("4,conv1=8,fc=8").of("conv1")
    8.0
    """

    default: float = FLOAT
    exceptions: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        for bits in (self.default, *(bits for _, bits in self.exceptions)):
            if not 0 < bits <= 64:
                raise SpecError(f"bits must lie in (0, 64], got {bits}")

    @staticmethod
    def read(text: str) -> Widths:
        """Return the widths written ``4`` or ``4,conv1=8,layer1.*=6``.

        Raises
        ------
        SpecError : no number, more than one default, a width outside (0, 64]
        """
        defaults: list[float] = []
        exceptions: list[tuple[str, float]] = []
        for part in text.split(","):
            pattern, equals, bits = part.rpartition("=")
            try:
                width = float(bits)
            except ValueError as error:
                raise SpecError(f"bits must read 4 or 4,conv1=8,layer1.*=6, got {text!r}") from error
            if equals:
                exceptions.append((pattern.strip(), width))
            else:
                defaults.append(width)
        if len(defaults) > 1:
            raise SpecError(f"bits must have one width without a layer's name, got {text!r}")
        return Widths(defaults[0] if defaults else FLOAT, tuple(exceptions))

    def of(self, layer: str) -> float:
        """Return the bits of a layer."""
        found = [bits for pattern, bits in self.exceptions if fnmatchcase(layer, pattern)]
        return found[-1] if found else self.default

    def unused(self, layers: list[str]) -> list[str]:
        """Return the patterns that fit no layer."""
        return [p for p, _ in self.exceptions if not any(fnmatchcase(layer, p) for layer in layers)]


@dataclass(frozen=True)
class PartCost:
    """The cost of one layer, or of what belongs to none.

    Parameters
    ----------
    layer : its name; in parentheses what is no layer
    kind, shape : of its weights
    parameters : how many numbers are stored, scales aside
    weight_bits, activation_bits : of one weight and of one input; None where there is none
    macs : multiply-accumulate operations for one input of the network
    scale_bits : of all of its scales together
    """

    layer: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    weight_bits: float | None
    activation_bits: float | None
    macs: int = 0
    scale_bits: int = 0

    @property
    def bops(self) -> float:
        """Bit operations: MACs times bits of the one factor times bits of the other.

        Source: Makenali et al., Integrating Pruning with Quantization for Efficient DNN Compression, eq. 6.
        """
        one = self.activation_bits if self.weight_bits is None else self.weight_bits
        return self.macs * (one or 0) * (self.activation_bits or 0)

    @property
    def storage_bits(self) -> float:
        """Bits of the stored numbers, scales included."""
        return self.parameters * (self.weight_bits or 0) + self.scale_bits


def network_cost(
    module: nn.Module,
    shape: tuple[int, ...],
    weight_bits: Widths | None = None,
    activation_bits: Widths | None = None,
    scales: Scales = "none",
    buffers: bool = False,
) -> list[PartCost]:
    """Return the costs of the layers, then of what is no layer: what they add up to is the network's.

    Parameters
    ----------
    module : the network
    shape : of one input, without the batch
    weight_bits, activation_bits : of the weights and of the inputs of each layer, 32 if None
    scales : float32 scales of layers with fewer than 16 bits: none, one a layer, one for each output (row)
    buffers : count the running means and variances of batch norms as stored

    Weights of layers are those of matrix products and convolutions, and embeddings. ``(other parameters)``
    are biases and norms, at 32 bits; ``(products of activations)`` are those of attention.

    Raises
    ------
    PvqError : a shape that the network cannot run on
    SpecError : a pattern that fits no layer
    """
    if scales not in get_args(Scales):
        raise ValueError(f"scales must be one of {', '.join(get_args(Scales))}, got {scales!r}")
    weight_bits, activation_bits = weight_bits or Widths(), activation_bits or Widths()
    layers = module_layers(module)
    for widths in (weight_bits, activation_bits):
        if unused := widths.unused(list(layers)):
            raise SpecError(f"no layer fits {', '.join(unused)}; layers: {', '.join(layers)}")
    macs = count_macs(module, list(layers), shape)
    parts = [
        PartCost(
            name,
            layer.kind,
            layer.shape,
            layer.size,
            weight_bits.of(name),
            activation_bits.of(name),
            macs[name],
            _scale_bits(layer, scales, weight_bits.of(name)),
        )
        for name, layer in layers.items()
    ]
    rest = sum(p.numel() for p in module.parameters()) - sum(part.parameters for part in parts)
    return [*parts, *_others(rest, _buffers(module) if buffers else 0, macs, activation_bits)]


def cost_rows(parts: list[PartCost]) -> list[dict[str, Any]]:
    """Return one row a part with the keys `FIELDS`, and a last one, ``total``, with the sums."""
    rows = [{field: getattr(part, field) for field in FIELDS} for part in parts]
    total: dict[str, Any] = dict.fromkeys(FIELDS) | {"layer": "total"}
    for field in ("parameters", "macs", "bops", "storage_bits"):
        total[field] = sum(row[field] for row in rows)
    total["parameters"] -= sum(row["parameters"] for row in rows if row["kind"] == "buffer")
    return [*rows, total]


def read_shape(text: str) -> tuple[int, ...]:
    """Return the shape written ``3x32x32``.

    Raises
    ------
    SpecError : something else than positive whole numbers

    >>> read_shape("3x32x32")
    (3, 32, 32)
    """
    parts = text.lower().split("x")
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise SpecError(f"a shape must read 3x32x32, got {text!r}")
    return tuple(int(part) for part in parts)


def _scale_bits(layer: LayerWeights, scales: Scales, bits: float) -> int:
    if scales == "none" or bits >= SCALED_BELOW:
        return 0
    return int(FLOAT) * (1 if scales == "layer" else layer.rows)


def _others(rest: int, buffers: int, macs: dict[str, int], widths: Widths) -> Iterator[PartCost]:
    """Yield the parts that are no layer."""
    if macs.get(NO_WEIGHT):
        yield PartCost("(products of activations)", "product", (), 0, None, widths.default, macs[NO_WEIGHT])
    if rest > 0:
        yield PartCost("(other parameters)", "parameter", (), rest, FLOAT, None)
    if buffers:
        yield PartCost("(buffers)", "buffer", (), buffers, FLOAT, None)


def _buffers(module: nn.Module) -> int:
    """Count the numbers in floating-point buffers; a counter of batches is none."""
    return sum(math.prod(b.shape) for b in module.buffers() if b.is_floating_point())


def resolve(name: str) -> tuple[nn.Module, tuple[int, ...] | None]:
    """Return the network of an architecture's spec or of a model's name, and the shape of its input if known.

    An architecture has no weights to speak of: its memory is not filled.

    Raises
    ------
    UnknownName : neither
    PvqError : a model that is not here, or of which only the weights are known
    """
    prefix = name.partition(":")[0]
    kind = prefix.partition("[")[0].strip()
    kinds = {*ARCHITECTURES.classes(), *MODELS.classes()}
    if kind not in kinds:
        raise UnknownName(f"unknown architecture or model {name!r}{suggest(kind, kinds)}")
    if kind in ARCHITECTURES.classes():
        with torch.device("meta"):
            net = ARCHITECTURES.build(name).build()
        return net.to_empty(device="cpu"), None
    model = load_model(name)
    how = model.preprocessing
    return model.module(), (len(how.mean), how.size, how.size) if how else None

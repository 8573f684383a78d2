"""A plan carried out: the network with the stored weights, and what is measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pvq.arrays import F64
from pvq.empirical.compression_plan import Plan, PlannedLayer
from pvq.empirical.compression_run import StoredRun, read_stored_run, same_weights
from pvq.empirical.model import LayerWeights, Model
from pvq.errors import PvqError
from pvq.solvers.formats.float import as_float
from pvq.solvers.stored_format import FORMATS, mask_cost

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Measured", "apply_plan", "find_tensors", "measure", "planned_weights", "run_weights"]


@dataclass(frozen=True)
class Measured:
    """What is found in the tensors of a network.

    Parameters
    ----------
    name : of the layer
    bits : that its weights take: integers in the least width that holds them (signs in one bit), or nonzero
        weights in 16 bits and a mask, or all in 16 or 32 bits; with scales
    error : sum of (x - w)^2
    """

    name: str
    bits: int
    error: float


def apply_plan(model: Model, plan: Plan, run: Path | None = None) -> nn.Module:
    """Return the network with the weights that the plan stores, in evaluation mode.

    Parameters
    ----------
    model : the network that the plan was made for
    plan : of `read_plan`
    run : folder of the bound run, where it is not where the plan says

    Raises
    ------
    PvqError : another network, weights only, a layer that the network lacks or has in another shape
    """
    import torch

    weights = planned_weights(model, plan, run)
    module = model.module()
    with torch.no_grad():
        for name, tensor in find_tensors(module, list(weights), model.name).items():
            tensor.copy_(torch.from_numpy(weights[name]))
    return module


def find_tensors(module: nn.Module, names: Sequence[str], model: str) -> dict[str, Tensor]:
    """Return the tensors of a network that hold the weights of layers; what is copied into them counts.

    Parameters
    ----------
    names : of the layers
    model : of the network, for the message

    Raises
    ------
    PvqError : a layer that the network lacks
    """
    state = module.state_dict()
    found = {name: state.get(f"{name}.weight", state.get(name)) for name in names}
    for name, tensor in found.items():
        if tensor is None:
            raise PvqError(f"the network of {model} has no tensor {name}.weight")
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def planned_weights(model: Model, plan: Plan, run: Path | None = None) -> dict[str, F64]:
    """Return the stored weights of each planned layer, in the shape of its tensor."""
    if not same_weights(model, plan.model, plan.sha256):
        raise PvqError(
            f"the plan is for weights of {plan.model} with SHA-256 {plan.sha256[:12]}..., "
            f"those of {model.name} have {model.source.sha256[:12]}..."
        )
    if plan.errors == "sampled run":
        raise PvqError("the plan comes from a run that solved only some rows; there are no weights to apply")
    stored = None if plan.errors == "weights" else read_stored_run(run or Path(plan.run), model)
    layers = model.weights()
    return {entry.name: _tensor(layers, entry, stored) for entry in plan.layers}


def measure(model: Model, plan: Plan, module: nn.Module) -> list[Measured]:
    """Return what the planned layers of a network take and how far their weights are from the model's."""
    from pvq.empirical.module_layers import module_layers

    found = module_layers(module)
    layers = model.weights()
    return [
        Measured(
            entry.name,
            _bits(found[entry.name].matrix, entry, plan),
            float(np.square(found[entry.name].matrix - layers[entry.name].matrix).sum()),
        )
        for entry in plan.layers
    ]


def _tensor(layers: dict[str, LayerWeights], entry: PlannedLayer, run: StoredRun | None) -> F64:
    layer = layers.get(entry.name)
    if layer is None or (layer.rows, layer.n) != entry.shape:
        shape = None if layer is None else (layer.rows, layer.n)
        raise PvqError(f"{entry.name}: the plan has shape {entry.shape}, the network {shape}")
    matrix = _from_weights(layer.matrix, entry) if run is None else _from_run(layer.matrix, entry, run)
    return layer.restore(matrix)


def _from_weights(W: F64, entry: PlannedLayer) -> F64:
    return FORMATS.build(entry.format).nearest(W, np.array(entry.scales))


def _from_run(W: F64, entry: PlannedLayer, run: StoredRun) -> F64:
    if entry.camp == "keep":
        return _from_weights(W, entry)
    return run_weights(run, entry.name, float(entry.format.partition("bits=")[2].rstrip("]")), entry.camp)


def run_weights(run: StoredRun, layer: str, width: float, camp: str) -> F64:
    """Return the best weights that a run found for a layer, (rows, n); kept weights of the pruned in FP16.

    Raises
    ------
    PvqError : no such row, points missing or damaged
    """
    numbers = [number for number in run.of(layer) if run.rows[number]["bits"] == width]
    if not numbers:
        raise PvqError(f"{run.folder} has no row of {layer} at {width:g} bits")
    points = [np.asarray(point.x) for point in run.points(numbers[0], camp)]
    return np.stack([as_float(x, 16) for x in points] if camp == "prune" else points)


def _bits(X: F64, entry: PlannedLayer, plan: Plan) -> int:
    """Return the bits that the weights need, whatever the plan says of them."""
    n = X.size
    if entry.camp == "quantize":
        scales = np.array(entry.scales)
        integers = np.rint(X / (scales[:, None] if scales.size > 1 else scales))
        width = int(np.maximum(integers, -integers - 1).max()).bit_length() + 1
        if (np.abs(integers) == 1).all():
            width = 1
        return width * n + entry.cost.scales
    if entry.camp == "prune":
        kept = int(np.count_nonzero(X))
        return 16 * kept + _mask_bits(X, kept, entry, plan)
    return n * (16 if np.array_equal(as_float(X, 16), X) else 32)


def _mask_bits(X: F64, kept: int, entry: PlannedLayer, plan: Plan) -> int:
    """Return the bits of the mask of X: of any mask so dense, or of one with the format's structure."""
    bits = mask_cost(kept, X.size, plan.storage.mask)[0]
    stored = FORMATS.build(entry.format)
    if np.array_equal(stored.nearest(X, np.empty(0)), X):
        bits = min(bits, stored.cost(entry.shape, plan.storage).mask)
    return bits

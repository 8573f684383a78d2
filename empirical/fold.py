"""Batch norm folded into the layer before it: the weights that an inference engine would compress."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrize

from pvq.empirical.model import Model
from pvq.empirical.module_layers import CONVOLUTIONS, TRANSPOSED, module_layers
from pvq.errors import PvqError

__all__ = ["fold_batch_norm"]

PLAIN = (*CONVOLUTIONS, *TRANSPOSED, nn.Linear)
LINEAR_IN_WEIGHTS = ("Conv2dSame", "Conv2dStaticSamePadding")  # pad by themselves, then convolve


class _Pair(NamedTuple):
    """A layer and the batch norm that takes its output and nothing else's."""

    layer: str
    norm: str


def fold_batch_norm(model: Model) -> Model:
    """Return the network with every batch norm that directly follows a layer folded into that layer.

    In evaluation mode a batch norm is ``gamma (x - mean) / sqrt(var + eps) + beta`` for each channel, so the
    layer's row of weights takes the factor and its bias the rest; outputs stay the same up to rounding. Which
    layer a batch norm follows is read from the traced graph (`torch.fx`); where the network does not trace,
    from the order inside each `nn.Sequential`. A batch norm that follows something else, or a layer that is
    used twice, stays; the remarks of the result say what was folded and what stayed. The input of a linear
    layer is taken to be (batch, features).

    Raises
    ------
    PvqError : only the weights are known; a network that does not trace and has a batch norm outside of every
        `nn.Sequential`
    """
    if model.build is None:
        raise PvqError(f"weights only: {model.name} has no network that tells what a batch norm follows")
    net = copy.deepcopy(model.module())
    modules = dict(net.named_modules())
    norms = [name for name, part in modules.items() if _is_norm(part)]
    folded = []
    for pair in _pairs(net, norms, model.name):
        if _can_fold(net, pair):
            _fold(modules[pair.layer], modules[pair.norm])
            net.set_submodule(pair.norm, _rest(modules[pair.norm]))
            folded.append(pair.norm)
    remarks = (*model.remarks, *_remarks(norms, folded))
    metadata = {**model.metadata, "remarks": remarks, "batch_norm_folded": folded}
    return replace(model, layers=module_layers(net), build=lambda: net, metadata=metadata)


def _is_norm(part: nn.Module) -> bool:
    return isinstance(part, _BatchNorm) or type(part).__name__ == "FrozenBatchNorm2d"


def _remarks(norms: list[str], folded: list[str]) -> Iterator[str]:
    if not norms:
        yield "no batch norm to fold"
        return
    yield f"{len(folded)} of {len(norms)} batch norms folded into the layers before them"
    left = [name for name in norms if name not in folded]
    if left:
        shown = ", ".join(left[:3]) + (f" and {len(left) - 3} more" if len(left) > 3 else "")
        yield f"batch norms that follow no layer, or one that cannot take them, stay: {shown}"


class _Tracer(fx.Tracer):
    """Keeps layers and batch norms whole, also those of other libraries."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether calls of the module are not looked into."""
        return isinstance(m, PLAIN) or _is_norm(m) or super().is_leaf_module(m, module_qualified_name)


def _pairs(net: nn.Module, norms: list[str], name: str) -> list[_Pair]:
    """Return each batch norm that follows a module, with that module."""
    if not norms:
        return []
    try:
        graph = _Tracer().trace(net)
    except Exception as error:  # tracing runs the network's own code on stand-ins
        pairs = list(_sequential_pairs(net))
        outside = set(norms) - {norm for _, norm in pairs}
        if outside:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise PvqError(
                f"batch norm of {name} cannot be folded: the network does not trace ({reason}), and "
                f"{sorted(outside)[0]} follows no layer in an nn.Sequential"
            ) from error
        return pairs
    return list(_traced_pairs(graph))


def _traced_pairs(graph: fx.Graph) -> Iterator[_Pair]:
    """Yield pairs of which both are called once and the layer's output goes nowhere else."""
    calls = [node for node in graph.nodes if node.op == "call_module"]
    times = Counter(str(node.target) for node in calls)
    for node in calls:
        before = node.args[0] if node.args else None
        if isinstance(before, fx.Node) and before.op == "call_module" and len(before.users) == 1:
            pair = _Pair(str(before.target), str(node.target))
            if times[pair.layer] == times[pair.norm] == 1:
                yield pair


def _sequential_pairs(net: nn.Module) -> Iterator[_Pair]:
    for prefix, part in net.named_modules():
        if type(part) is nn.Sequential:
            names = [f"{prefix}.{child}" if prefix else child for child, _ in part.named_children()]
            children = list(part.children())
            for first, second, norm in zip(names, names[1:], children[1:], strict=False):
                if _is_norm(norm):
                    yield _Pair(first, second)


def _can_fold(net: nn.Module, pair: _Pair) -> bool:
    layer, norm = net.get_submodule(pair.layer), net.get_submodule(pair.norm)
    if not _is_norm(norm) or norm.running_var is None or parametrize.is_parametrized(layer):
        return False
    if not isinstance(layer, PLAIN) or not (
        _plain_forward(layer) or type(layer).__name__ in LINEAR_IN_WEIGHTS
    ):
        return False
    if not (_plain_forward(norm) or _has_activation(norm) or type(norm).__name__ == "FrozenBatchNorm2d"):
        return False
    owners = Counter(id(tensor) for _, tensor in net.named_parameters(remove_duplicate=False))
    return all(owners[id(tensor)] == 1 for tensor in layer.parameters(recurse=False))


def _plain_forward(part: nn.Module) -> bool:
    """Return whether a module computes what its class in torch.nn does."""
    own: Any = next(kind for kind in type(part).__mro__ if kind.__module__.startswith("torch.nn"))
    return bool(type(part).forward is own.forward)


def _has_activation(norm: nn.Module) -> bool:
    """Return whether it is timm's batch norm with dropout and activation."""
    return isinstance(getattr(norm, "act", None), nn.Module) and isinstance(
        getattr(norm, "drop", None), nn.Module
    )


def _rest(norm: nn.Module) -> nn.Module:
    """Return what remains of a batch norm once it is folded."""
    if _has_activation(norm):
        return nn.Sequential(norm.drop, norm.act).eval()  # type: ignore[arg-type]
    return nn.Identity()


def _fold(layer: Any, norm: Any) -> None:
    """Change weights and bias in place; computed in float64."""
    factor, shift = _affine(norm)
    weight = layer.weight.detach()
    if isinstance(layer, TRANSPOSED):
        split = weight.double().unflatten(0, (layer.groups, -1))  # groups, inputs, outputs of a group, kernel
        by_output = factor.view(layer.groups, 1, -1, *[1] * (weight.ndim - 2))
        scaled = (split * by_output).flatten(0, 1)
    else:
        scaled = weight.double() * factor.view(-1, *[1] * (weight.ndim - 1))
    bias = torch.zeros_like(shift) if layer.bias is None else layer.bias.detach().double()
    layer.weight = nn.Parameter(scaled.to(weight.dtype), requires_grad=False)
    layer.bias = nn.Parameter((bias * factor + shift).to(weight.dtype), requires_grad=False)


def _affine(norm: Any) -> tuple[Tensor, Tensor]:
    """Return factor and shift for each channel, float64."""
    factor = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        factor = factor * norm.weight.detach().double()
    shift = -norm.running_mean.double() * factor
    return factor, shift if norm.bias is None else shift + norm.bias.detach().double()

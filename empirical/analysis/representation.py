"""How far the layers' outputs of one network are from another's: signal-to-noise ratio and CKA."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pvq.empirical.analysis.cka import FeatureCka, GramCka
from pvq.empirical.analysis.mode import evaluation
from pvq.errors import PvqError
from pvq.theory.snr import snr_db

__all__ = ["FIELDS", "MEMORY_BYTES", "representation_rows"]

FIELDS = ("layer", "network", "examples", "features", "snr_db", "cka", "cka_debiased", "note")
MEMORY_BYTES = 2**30
LEAST = 4  # examples for an unbiased estimate
BLOCK = 4096  # features at a time, so that their float64 copies stay small
Outputs = dict[str, Tensor]


def representation_rows(
    networks: Mapping[str, nn.Module],
    layers: Sequence[str],
    batches: Sequence[Tensor],
    memory_bytes: int = MEMORY_BYTES,
) -> list[dict[str, Any]]:
    """Return how the outputs of each layer differ between the first network and each of the others.

    One row a layer and network, in this order: ``layer, network, examples, features, snr_db, cka,
    cka_debiased, note``. ``snr_db`` is 10 log10(sum x^2 / sum (x - y)^2) over all outputs x of the first
    network, y of the other; it is infinite where they agree. ``cka`` is the linear CKA with all outputs of an
    example as its features, ``cka_debiased`` the same from unbiased estimates, NaN for fewer than four
    examples. Where an output is the same for all examples, or not finite, the value is NaN and ``note`` says
    why.

    Parameters
    ----------
    networks : at least two, by name, the reference first: the original, the compressed, the fine-tuned
    layers : names of modules that all of them have, each called once a run
    batches : inputs, the same for all
    memory_bytes : layers are taken together as far as their outputs or sums fit, which takes more passes

    The networks run in evaluation mode and are left in the mode that they were in.

    Raises
    ------
    PvqError : a network without one of the layers, a layer not called once a run, outputs of other shapes
    ValueError : fewer than two networks, no layer, no batch, fewer than two examples
    """
    examples = sum(len(batch) for batch in batches)
    if len(networks) < 2 or not layers or examples < 2:
        raise ValueError(
            "there must be two networks, a layer and two examples, "
            f"got {len(networks)}, {len(layers)} and {examples}"
        )
    with evaluation(networks.values()), torch.no_grad():
        sizes = _sizes(networks, layers, batches[0][:1])
        plans = [_Plan(name, sizes[name], examples) for name in layers]
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for part in _passes(plans, memory_bytes // max(1, len(networks) - 1)):
            found |= _one_pass(networks, part, batches)
    others = list(networks)[1:]
    return [found[layer, other] for layer in layers for other in others]


@dataclass(frozen=True)
class _Plan:
    """Which of the two sums of CKA is the smaller for a layer, and what it takes."""

    layer: str
    features: int
    examples: int

    @property
    def stores(self) -> bool:
        """Keep all outputs for n x n sums, rather than features x features sums and no outputs."""
        return self.examples < self.features

    @property
    def bytes(self) -> int:
        if self.stores:
            return 8 * (2 * self.examples**2 + 2 * self.examples * self.features)
        return 8 * 3 * self.features**2


@dataclass
class _Comparison:
    """One layer of the reference and of another network, batch by batch."""

    plan: _Plan
    signal: float = 0.0
    noise: float = 0.0
    note: str = ""
    stored: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    sums: FeatureCka = field(default_factory=FeatureCka)

    def add(self, x: Tensor, y: Tensor) -> None:
        x, y = x.flatten(1), y.flatten(1)
        if not (bool(x.isfinite().all()) and bool(y.isfinite().all())):
            self.note = "outputs are NaN or infinite"
        if self.note:
            self.stored.clear()
            return
        self.signal += float(x.double().square().sum())
        self.noise += float((x.double() - y.double()).square().sum())
        if self.plan.stores:
            self.stored.append((x, y))
        else:
            self.sums.update(x.numpy(), y.numpy())

    def row(self, network: str) -> dict[str, Any]:
        snr, cka, debiased = math.nan, math.nan, math.nan
        plan = self.plan
        if not self.note:
            snr = snr_db(self.signal, self.noise) if self.signal else math.nan
            sums = self._whole()
            try:
                cka = sums.value()
                debiased = sums.debiased() if plan.examples >= LEAST else math.nan
            except ValueError:
                self.note = "outputs are the same for all examples"
        values = (plan.layer, network, plan.examples, plan.features, snr, cka, debiased, self.note)
        return dict(zip(FIELDS, values, strict=True))

    def _whole(self) -> FeatureCka | GramCka:
        """Return the sums over everything that was added."""
        if not self.plan.stores:
            return self.sums
        gram = GramCka()
        x, y = (torch.cat(parts) for parts in zip(*self.stored, strict=True))
        for at in range(0, self.plan.features, BLOCK):
            gram.update(x[:, at : at + BLOCK].numpy(), y[:, at : at + BLOCK].numpy())
        return gram


def _one_pass(
    networks: Mapping[str, nn.Module], plans: Sequence[_Plan], batches: Sequence[Tensor]
) -> dict[tuple[str, str], dict[str, Any]]:
    (first, reference), *others = networks.items()
    names = [plan.layer for plan in plans]
    held = {(plan.layer, name): _Comparison(plan) for plan in plans for name, _ in others}
    for batch in batches:
        ours = _outputs(first, reference, names, batch)
        for name, network in others:
            theirs = _outputs(name, network, names, batch)
            for layer in names:
                held[layer, name].add(ours[layer], theirs[layer])
    return {(layer, name): comparison.row(name) for (layer, name), comparison in held.items()}


def _passes(plans: Sequence[_Plan], limit: int) -> Iterator[list[_Plan]]:
    part: list[_Plan] = []
    for plan in plans:
        if part and sum(p.bytes for p in part) + plan.bytes > limit:
            yield part
            part = []
        part.append(plan)
    yield part


def _sizes(networks: Mapping[str, nn.Module], layers: Sequence[str], one: Tensor) -> dict[str, int]:
    """Return the features of each layer, which all networks must share."""
    sizes: dict[str, int] = {}
    for name, network in networks.items():
        for layer, output in _outputs(name, network, layers, one).items():
            if sizes.setdefault(layer, output[0].numel()) != output[0].numel():
                raise PvqError(
                    f"{layer} must have as many outputs in all networks, "
                    f"got {sizes[layer]} and {output[0].numel()} in {name}"
                )
    return sizes


def _outputs(name: str, network: nn.Module, layers: Sequence[str], batch: Tensor) -> Outputs:
    """Return what each layer puts out for a batch, in float32 on the CPU."""
    modules = dict(network.named_modules())
    missing = [layer for layer in layers if layer not in modules]
    if missing:
        raise PvqError(f"network {name} has no module {', '.join(missing)}")
    caught: dict[str, list[Any]] = {layer: [] for layer in layers}
    hooks = [modules[layer].register_forward_hook(_catch(caught[layer])) for layer in layers]
    try:
        device = next((p.device for p in network.parameters()), batch.device)
        network(batch.to(device))
    finally:
        for hook in hooks:
            hook.remove()
    for layer, outputs in caught.items():
        if len(outputs) != 1 or not isinstance(outputs[0], Tensor) or len(outputs[0]) != len(batch):
            raise PvqError(
                f"{layer} of {name} must give one tensor with one entry an example each run, "
                f"got {len(outputs)} call(s)"
            )
    return {layer: outputs[0] for layer, outputs in caught.items()}


def _catch(into: list[Any]) -> Callable[[nn.Module, Any, Any], None]:
    def hook(_: nn.Module, __: Any, output: Any) -> None:
        is_tensor = isinstance(output, Tensor)
        into.append(output.detach().float().cpu().clone() if is_tensor else output)

    return hook

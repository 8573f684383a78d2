"""Multiply-accumulate operations of a network, counted by watching it run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils._python_dispatch import TorchDispatchMode

from pvq.empirical.analysis.mode import evaluation
from pvq.empirical.module_layers import tracked_weights
from pvq.empirical.recorder import no_fused_attention
from pvq.empirical.weight_views import WeightIndex
from pvq.errors import PvqError

__all__ = ["NO_WEIGHT", "count_macs"]

aten = torch.ops.aten
NO_WEIGHT = ""  # the name under which products of activations are counted


def count_macs(module: nn.Module, names: list[str], shape: tuple[int, ...]) -> dict[str, int]:
    """Return the multiply-accumulate operations (MACs) of each layer for one input; 0 where it is not used.

    A convolution takes (outputs) (inputs of a group) (kernel positions) MACs, padding included; a product of
    an (m, k) and a (k, n) matrix m k n. Products without a weight, such as queries times keys, are counted
    under ``""``. Biases, norms and pooling are not MACs and are not counted. The network runs once, on zeros,
    in evaluation mode, and is left in its mode.

    Parameters
    ----------
    names : of layers, as in `pvq.empirical.module_layers`
    shape : of one input, without the batch

    Raises
    ------
    PvqError : a shape that the network cannot run on

    >>> count_macs(nn.Sequential(nn.Conv2d(4, 6, 3, groups=2)), ["0"], (4, 5, 5))
    {'0': 972}
    """
    parameter = next(module.parameters(), torch.zeros(0))
    try:
        with evaluation([module]), no_fused_attention(), torch.no_grad(), parametrize.cached():
            counter = _Counter(WeightIndex(tracked_weights(module, names)))
            with counter:
                module(torch.zeros(1, *shape, dtype=parameter.dtype, device=parameter.device))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise PvqError(f"the network does not run on an input of shape {shape}: {first}") from error
    used = [NO_WEIGHT] if counter.macs[NO_WEIGHT] else []
    return {name: counter.macs[name] for name in [*names, *used]}


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every product that the network comes down to; a weight is recognised by its memory."""

    def __init__(self, index: WeightIndex) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.index = index
        self.macs: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run `func`; count it if it is a product."""
        count = _COUNTS.get(func)
        if count is not None:
            out = func(*args, **(kwargs or {}))
            self._add(*count(out, *args))
            return out
        with self:  # a composite operation is made of others
            result = func.decompose(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {})) if result is NotImplemented else result

    def _add(self, macs: int, *factors: Tensor) -> None:
        found = next((weight for factor in factors for weight in self.index.of(factor)), None)
        self.macs[found.name if found else NO_WEIGHT] += macs


def _conv(out: Tensor, x: Tensor, weight: Tensor, *rest: Any) -> tuple[int, Tensor]:
    """The weight is (out, in / groups, ...), transposed (in, out / groups, ...)."""
    places = x if rest[4] else out
    return places.numel() * math.prod(weight.shape[1:]), weight


def _product(out: Tensor, a: Tensor, b: Tensor) -> tuple[int, Tensor, Tensor]:
    return out.numel() * a.shape[-1], b, a


def _added(out: Tensor, _: Tensor, a: Tensor, b: Tensor) -> tuple[int, Tensor, Tensor]:
    return _product(out, a, b)


def _attention(_: Any, q: Tensor, k: Tensor, v: Tensor, *__: Any) -> tuple[int]:
    """Queries times keys, then the result times values."""
    return (q.numel() * k.shape[-2] + q[..., 0].numel() * k.shape[-2] * v.shape[-1],)


_COUNTS: dict[Any, Callable[..., tuple[Any, ...]]] = {
    aten.convolution.default: _conv,
    aten.mm.default: _product,
    aten.bmm.default: _product,
    aten.mv.default: _product,
    aten.addmm.default: _added,
    aten.baddbmm.default: _added,
    aten.addmv.default: _added,
    aten._scaled_dot_product_flash_attention_for_cpu.default: _attention,
    aten._scaled_dot_product_flash_attention.default: _attention,
    aten._scaled_dot_product_efficient_attention.default: _attention,
}

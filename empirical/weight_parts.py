"""What a weight goes through before the network computes with it: a grid of integers, a mask."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["SMALLEST_SCALE", "IntegerGrid", "Mask", "fake_quantize", "integer_range"]

SMALLEST_SCALE = 1e-8  # a learned scale does not get below, so that it stays positive


def integer_range(bits: int, signed: bool = True) -> tuple[int, int]:
    """Return the least and the largest integer: -2^(b-1) and 2^(b-1) - 1, or 0 and 2^b - 1.

    >>> integer_range(4), integer_range(4, signed=False)
    ((-8, 7), (0, 15))
    """
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


class _FakeQuantize(torch.autograd.Function):
    """Rounding with the gradients of LSQ; see `fake_quantize`."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, s: Tensor, low: int, high: int, gain: float) -> Tensor:
        ctx.save_for_backward(v, s)
        ctx.settings = low, high, gain
        return torch.clamp(torch.round(v / s), low, high) * s

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (v, s), (low, high, gain), (g,) = ctx.saved_tensors, ctx.settings, upstream
        ratio = v / s
        inside = (ratio >= low) & (ratio <= high)
        by_scale = None
        if ctx.needs_input_grad[1]:
            slope = torch.clamp(torch.round(ratio), low, high) - torch.where(inside, ratio, 0.0)
            by_scale = (gain * g * slope).sum_to_size(s.shape)
        return g * inside, by_scale, None, None, None


def fake_quantize(v: Tensor, s: Tensor, low: int, high: int, gain: float = 1.0) -> Tensor:
    """Return s clip(round(v / s), low, high), with the gradients of the straight-through definition.

    d/dv is 1 inside the range and 0 outside; d/ds is -v/s + round(v/s) inside, `low` or `high` outside,
    times `gain`. Source: S. K. Esser et al., Learned Step Size Quantization, ICLR 2020 (arXiv 1902.08153),
    equations 1 to 3.

    Parameters
    ----------
    v : values
    s : positive scales, of a shape that broadcasts to that of v
    low, high : least and largest integer
    gain : factor of the gradient of s, 1 / sqrt(N high) in LSQ

    >>> fake_quantize(torch.tensor([0.3, -9.0]), torch.tensor(0.5), -8, 7)
    tensor([ 0.5000, -4.0000])
    """
    result: Tensor = _FakeQuantize.apply(v, s, low, high, gain)  # type: ignore[no-untyped-call]
    return result


class IntegerGrid(nn.Module):
    """A weight rounded to integers times a scale.

    Parameters
    ----------
    bits : of the integers, two's complement
    scale : () or one for each channel, in a shape that multiplies the weight
    learned : whether the scale is trained
    gain : of the scale's gradient
    """

    scale: Tensor

    def __init__(self, bits: int, scale: Tensor, learned: bool = False, gain: float = 1.0) -> None:
        super().__init__()
        self.bits, self.gain, self.active = bits, gain, True
        if learned:
            self.scale = nn.Parameter(scale.clone())
        else:
            self.register_buffer("scale", scale.clone())

    def get_extra_state(self) -> Tensor:
        """Return whether it is active, for the checkpoint."""
        return torch.tensor(self.active)

    def set_extra_state(self, state: Tensor) -> None:
        """Set whether it is active."""
        self.active = bool(state)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the stored weight, or the weight itself while the grid is not active."""
        if not self.active:
            return weight
        return fake_quantize(weight, self.scale, *integer_range(self.bits), self.gain)


class Mask(nn.Module):
    """A weight with some of its values at zero.

    Parameters
    ----------
    kept : bool, of the weight's shape
    group : (n, m) where at most n of m consecutive weights of a row are kept, None without such a structure
    regrow : let the gradient reach the weights at zero as well, so that they can come back

    Attributes
    ----------
    steps : of the optimizer since the mask was made
    sparsity, final : that was asked for last, and at the end
    """

    kept: Tensor

    def __init__(self, kept: Tensor, group: tuple[int, int] | None = None, regrow: bool = False) -> None:
        super().__init__()
        self.register_buffer("kept", kept.clone())
        self.group, self.regrow = group, regrow
        self.steps, self.sparsity, self.final, self.active = 0, 0.0, 0.0, True

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight where it is kept, else 0; the weight itself while the mask is not active."""
        if not self.active:
            return weight
        masked = torch.where(self.kept, weight, 0.0)
        return weight + (masked - weight).detach() if self.regrow else masked

    def get_extra_state(self) -> Tensor:
        """Return steps, sparsity and whether it is active, for the checkpoint."""
        return torch.tensor([self.steps, self.sparsity, self.active], dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """Set steps, sparsity and whether it is active."""
        steps, self.sparsity, active = (float(value) for value in state)
        self.steps, self.active = int(steps), bool(active)

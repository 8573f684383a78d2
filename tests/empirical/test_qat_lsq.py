"""Learned step sizes: gradients against autograd, where scales start, what is trained."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tiny_network import tiny_net
from torch import Tensor, nn

from pvq.empirical.input_grid import InputGrid, input_grids
from pvq.empirical.methods.qat_lsq import LearnedSteps
from pvq.empirical.sites import sites
from pvq.empirical.spent import measure_spent
from pvq.empirical.weight_parts import IntegerGrid, fake_quantize
from pvq.errors import PvqError
from pvq.theory.budget import Budget

X = torch.randn(16, 2, 8, 8, generator=torch.Generator().manual_seed(1))


def straight_through(v: Tensor, s: Tensor, low: int, high: int, gain: float) -> Tensor:
    """The definition: rounding counts as the identity, and s has its gradient times `gain`."""
    s = s * gain + (s - s * gain).detach()
    clipped = torch.clamp(v / s, low, high)
    return (clipped + (torch.round(clipped) - clipped).detach()) * s


@pytest.mark.parametrize("gain", [1.0, 0.037])
@pytest.mark.parametrize("shape", [(), (6, 1, 1)])
@pytest.mark.parametrize(("low", "high"), [(-8, 7), (-2, 1), (0, 3)])
def test_gradients_are_those_of_the_straight_through_definition(
    low: int, high: int, shape: tuple[int, ...], gain: float
) -> None:
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(6, 5, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    s = (torch.rand(shape, generator=generator, dtype=torch.float64) * 0.4 + 0.1).requires_grad_()
    upstream = torch.randn(v.shape, generator=generator, dtype=torch.float64)
    ours, theirs = (function(v, s, low, high, gain) for function in (fake_quantize, straight_through))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    found, wanted = (torch.autograd.grad(y, (v, s), upstream) for y in (ours, theirs))
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    assert float(((v < low * s) | (v > high * s)).double().mean()) > 0.01  # clipping takes part


def test_the_scales_gradient_is_lsqs_formula() -> None:
    v, s = torch.tensor([0.30, -0.85, 9.0, -9.0]), torch.tensor(0.5, requires_grad=True)
    torch.autograd.backward(fake_quantize(v, s, -4, 3).sum())
    by_hand = (1 - 0.6) + (-2 + 1.7) + 3 - 4
    assert s.grad is not None
    assert float(s.grad) == pytest.approx(by_hand, abs=1e-6)


def prepared(bits: int = 4, **options: Any) -> nn.Module:
    method = LearnedSteps(**options)
    net = method.prepare(tiny_net(), Budget(bits))
    method.calibrate(net, Budget(bits), lambda n: iter([X]))
    return net


def grids(net: nn.Module) -> list[IntegerGrid]:
    return [part for part in net.modules() if isinstance(part, IntegerGrid)]


def test_where_scales_start() -> None:
    weights = [site.weight.detach() for site in sites(tiny_net())]
    for grid, w in zip(grids(prepared(init="lsq")), weights, strict=True):
        assert float(grid.scale.detach()) == pytest.approx(2 * float(w.abs().mean()) / math.sqrt(7), rel=1e-6)
    for grid, w in zip(grids(prepared(init="lsq", per="channel")), weights, strict=True):
        wanted = 2 * w.flatten(1).abs().mean(dim=1) / math.sqrt(7)
        torch.testing.assert_close(grid.scale.flatten(), wanted)


def test_the_gradient_is_scaled_by_the_number_of_weights() -> None:
    found = [grid.gain for grid in grids(prepared(scaled=True))]
    assert found == pytest.approx([1 / math.sqrt(size * 7) for size in (72, 36, 24, 18)])
    found = [grid.gain for grid in grids(prepared(scaled=True, per="channel"))]
    assert found == pytest.approx([1 / math.sqrt(size * 7) for size in (18, 9, 4, 6)])
    assert {grid.gain for grid in grids(prepared())} == {1.0}


def test_scales_have_an_optimizer_of_their_own() -> None:
    net = prepared(activations=4, rate=1e-3)
    optimizer = LearnedSteps(rate=1e-3).optimizer(net)
    (group,) = optimizer.param_groups
    assert {id(p) for p in group["params"]} == {
        id(p) for n, p in net.named_parameters() if n.endswith("scale")
    }
    assert len(group["params"]) == 8
    assert (group["weight_decay"], group["lr"]) == (0, 1e-3)


def test_inputs_are_rounded() -> None:
    net = prepared(activations=3)
    found = list(input_grids(net))
    assert [grid.signed for grid in found] == [True, False, True, False]  # after a ReLU nothing is negative
    seen: list[Tensor] = []
    head = net.get_submodule("head")
    head.register_forward_hook(lambda module, inputs, output: seen.append(output))
    net(X)
    assert isinstance(head, nn.Linear)
    assert isinstance(head.input_grid, InputGrid)
    values = torch.linalg.lstsq(head.weight.detach(), (seen[0] - head.bias).detach().T).solution
    steps = values / head.input_grid.scale.detach()
    assert steps.shape == (6, 16)
    assert sum(layer.cost.scales for layer in measure_spent(net).layers) == 32 * 8


def test_rounded_inputs_change_the_output_by_a_little() -> None:
    plain, coarse, fine = prepared(8)(X), prepared(8, activations=2)(X), prepared(8, activations=8)(X)
    assert (coarse - plain).abs().max() > 5 * (fine - plain).abs().max() > 0


def test_training_moves_scales_and_weights() -> None:
    net, method = prepared(3, activations=4, rate=1e-2), LearnedSteps(activations=4, rate=1e-2)
    optimizer = method.optimizer(net)
    before = {name: value.detach().clone() for name, value in net.named_parameters()}
    others = [p for n, p in net.named_parameters() if not n.endswith("scale")]
    sgd = torch.optim.SGD(others, lr=0.1)
    torch.autograd.backward(method.loss(net, X, torch.arange(16) % 3))
    for step in (optimizer, sgd):
        step.step()
    method.after_step(net, 1.0)
    still = [name for name, value in net.named_parameters() if torch.equal(value, before[name])]
    assert still == []


def test_scales_stay_positive() -> None:
    net, method = prepared(), LearnedSteps()
    with torch.no_grad():
        for grid in grids(net):
            grid.scale.fill_(-1.0)
    method.after_step(net, 0.5)
    assert all(float(grid.scale.detach()) > 0 for grid in grids(net))
    assert torch.isfinite(net(X)).all()


def test_refusals() -> None:
    for options, message in (
        ({"activations": 1}, "activations must be 0 or from 2 to 16 bits, got 1"),
        ({"rate": 0.0}, "rate must be positive and finite, got 0"),
        ({"norms": -1}, "norms must not be negative, got -1"),
    ):
        with pytest.raises(ValueError, match=message):
            LearnedSteps(**options)  # type: ignore[arg-type]
    with pytest.raises(PvqError, match="inputs of a Embedding cannot be quantized"):
        LearnedSteps(activations=4).prepare(nn.Sequential(nn.Embedding(4, 4)), Budget(4))
    method = LearnedSteps(activations=4)
    net = method.prepare(tiny_net(), Budget(4))
    with pytest.raises(PvqError, match="inputs must not be all zero or infinite"):
        method.calibrate(net, Budget(4), lambda n: iter([torch.zeros(2, 2, 8, 8)]))
    with pytest.raises(PvqError, match="4 of 4 layers got no input"):
        method.calibrate(net, Budget(4), lambda n: iter([]))

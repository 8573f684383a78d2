"""The solvers on a whole network, layer by layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tiny_network import tiny_net
from torch import Tensor, nn

from pvq.empirical.activations import gram_matrices
from pvq.empirical.methods.layerwise import Layerwise
from pvq.empirical.methods.magnitude import Magnitude
from pvq.empirical.methods.ptq import PostTraining
from pvq.empirical.pruning import in_groups
from pvq.empirical.sites import sites
from pvq.empirical.spent import measure_spent, store_halves
from pvq.empirical.weight_parts import IntegerGrid
from pvq.errors import PvqError
from pvq.solvers.solver import solve_layer
from pvq.theory.budget import Budget

X = torch.randn(64, 2, 8, 8, generator=torch.Generator().manual_seed(1))
BATCHES = X.split(16)


def compressed(bits: float, **options: Any) -> nn.Module:
    method = Layerwise(**options)
    net = method.prepare(tiny_net(), Budget(bits))
    method.calibrate(net, Budget(bits), lambda n: iter(BATCHES[:n]))
    return net


def error(net: nn.Module) -> float:
    with torch.no_grad():
        return float((net(X) - tiny_net()(X)).square().sum())


def weights(net: nn.Module) -> dict[str, Tensor]:
    return {site.name: site.weight.detach() for site in sites(net)}


@pytest.mark.parametrize("solver", ["gptq", "obq"])
@pytest.mark.parametrize("per", ["tensor", "channel"])
def test_quantized_by_the_solvers_the_output_is_nearer(solver: str, per: str) -> None:
    net = compressed(3, solver=solver, per=per)
    rounded = PostTraining(per).prepare(tiny_net(), Budget(3))  # type: ignore[arg-type]
    if per == "tensor":
        assert error(net) < error(rounded)
    for site in sites(net):
        grid = site.part(IntegerGrid)
        assert grid is not None
        integers = site.weight / grid.scale
        assert float((integers - torch.round(integers)).detach().abs().max()) < 1e-5
        assert -4 <= float(integers.detach().min().round()) <= float(integers.detach().max().round()) <= 3


def test_nearest_is_post_training_quantization() -> None:
    ours, theirs = (
        weights(compressed(3, solver="nearest")),
        weights(PostTraining().prepare(tiny_net(), Budget(3))),
    )
    for name, w in ours.items():
        torch.testing.assert_close(w, theirs[name], rtol=0, atol=1e-7)


@pytest.mark.parametrize("solver", ["obs", "sparsegpt"])
def test_pruned_by_the_solvers_the_output_is_nearer(solver: str) -> None:
    net = compressed(8, solver=solver, camp="prune")
    assert error(net) < error(Magnitude(schedule="one-shot").prepare(tiny_net(), Budget(8)))
    store_halves(net)
    assert [layer.kept for layer in measure_spent(net).layers] == [4 * 9, 4 * 4, 6 * 2, 3 * 3]


def test_n_of_m() -> None:
    net = compressed(8, solver="obs", camp="prune", n=2, m=4)
    assert all(in_groups(site.matrix(site.weight) != 0, 2, 4) for site in sites(net))


@pytest.mark.parametrize("inputs", ["compressed", "original"])
def test_each_layer_sees_the_inputs_it_is_said_to(inputs: str) -> None:
    net = compressed(2, inputs=inputs)
    for name in ("first", "point", "head"):
        upstream = tiny_net()
        if inputs == "compressed":
            state = upstream.state_dict()
            for other, w in weights(net).items():
                if other == name:
                    break
                state[f"{other}.weight"].copy_(w)
        grams = gram_matrices(upstream, [name], BATCHES)[name].grams
        site = next(site for site in sites(tiny_net()) if site.name == name)
        found = np.stack([r.point for r in solve_layer(grams[0], site.layer.matrix, "int[bits=2]", "gptq")])  # type: ignore[arg-type]
        ours = site.matrix(weights(net)[name]).double().numpy()
        np.testing.assert_allclose(ours, found, rtol=1e-5, atol=1e-6)


def test_corrected_inputs_matter() -> None:
    a, b = weights(compressed(2)), weights(compressed(2, inputs="original"))
    assert torch.equal(a["first"], b["first"])
    assert any(not torch.equal(a[name], b[name]) for name in a)


def test_ends_can_be_kept() -> None:
    net = compressed(3, ends="keep")
    assert torch.equal(weights(net)["first"], weights(tiny_net())["first"])
    assert [layer.width <= 3 for layer in measure_spent(net).layers] == [False, True, True, False]


def test_nothing_is_trained_unless_asked() -> None:
    assert Layerwise().epochs(5) == 0
    assert Layerwise(finetune=True).epochs(5) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "gptk"}, "unknown method 'gptk'; did you mean gptq"),
        ({"batches": 0}, "batches must be >= 1"), ({"n": 2}, "n and m must fulfil"),
        ({"n": 2, "m": 4}, "with camp=prune"),
    ],
)  # fmt: skip
def test_options_must_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Layerwise(**options)


@pytest.mark.parametrize(
    ("bits", "options", "message"),
    [
        (2.5, {}, "whole number of bits"), (4, {"solver": "obs"}, "first: obs cannot compress it"),
        (16, {"camp": "prune", "solver": "obs"}, "below 16 bits for pruning"),
        (4, {"camp": "prune", "solver": "obs", "n": 2, "m": 4}, "must be 16 n / m = 8 bits"),
        (4, {"camp": "prune"}, "first: gptq cannot compress it"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_line(bits: float, options: dict[str, Any], message: str) -> None:
    with pytest.raises(PvqError, match=message) as caught:
        compressed(bits, **options)
    assert "\n" not in str(caught.value)


def test_a_layer_that_no_input_reaches_is_refused() -> None:
    net = nn.Sequential(nn.Linear(4, 4))
    net.register_module("unused", nn.Linear(4, 4))
    net.forward = lambda x: net[0](x)  # type: ignore[method-assign]
    method = Layerwise()
    method.prepare(net, Budget(4))
    with pytest.raises(PvqError, match="unused cannot be compressed: no input reaches it"):
        method.calibrate(net, Budget(4), lambda n: iter([torch.randn(8, 4)]))
    with pytest.raises(PvqError, match="at least one batch"):
        method.calibrate(net, Budget(4), lambda n: iter([]))

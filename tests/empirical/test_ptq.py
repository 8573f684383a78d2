"""Post-training quantization: scales, bits, batch norms and biases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_network import NAMES, tiny_net
from torch import nn

from pvq.empirical.batch_norm import reestimate
from pvq.empirical.methods.ptq import PostTraining
from pvq.empirical.sites import fresh_sites, sites
from pvq.empirical.spent import measure_spent
from pvq.errors import PvqError
from pvq.theory.budget import Budget

X = torch.randn(48, 2, 8, 8, generator=torch.Generator().manual_seed(1)) + 0.5


@pytest.mark.parametrize("per", ["tensor", "channel"])
def test_no_other_scale_rounds_better(per: str) -> None:
    plain = {site.name: site.layer.matrix for site in sites(tiny_net())}
    net = PostTraining(per).prepare(tiny_net(), Budget(3))  # type: ignore[arg-type]
    for site in sites(net):
        W, X = plain[site.name], site.matrix(site.weight.detach()).numpy()
        for w, x in [(W, X)] if per == "tensor" else zip(W, X, strict=True):
            tries = np.linspace(0.01, 1, 400)[:, None, None] * np.abs(w).max()
            errors = ((tries * np.clip(np.rint(w / tries), -4, 3) - w) ** 2).sum(axis=(1, 2))
            assert ((x - w) ** 2).sum() <= errors.min() + 1e-6


def test_spent_counts_integers_and_scales() -> None:
    spent = PostTraining("channel").spent(PostTraining("channel").prepare(tiny_net(), Budget(4)))
    assert [layer.name for layer in spent.layers] == NAMES
    for layer, rows in zip(spent.layers, (4, 4, 6, 3), strict=True):
        assert layer.width <= 4
        assert (layer.cost.payload, layer.cost.scales) == (layer.width * layer.weights, 32 * rows)
    assert spent.bits == sum(layer.cost.bits for layer in spent.layers)


def test_the_width_is_measured_not_assumed() -> None:
    net = nn.Sequential(nn.Linear(4, 2, bias=False))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, -1.0, 0.0, 1.0], [0.0, 1.0, -1.0, 0.0]]))  # type: ignore[operator]
    spent = measure_spent(PostTraining().prepare(net, Budget(8)))
    (layer,) = spent.layers
    assert layer.cost.payload == layer.width * 8
    integers = torch.round(net[0].weight / sites(net)[0].owner.parametrizations.weight[0].scale)  # type: ignore[index,union-attr,operator]
    assert -(2 ** (layer.width - 1)) <= int(integers.min())
    assert int(integers.max()) <= 2 ** (layer.width - 1) - 1


@pytest.mark.parametrize(("ends", "widths"), [("same", [3, 3, 3, 3]), ("eight", [8, 3, 3, 8])])
def test_first_and_last_layer(ends: str, widths: list[int]) -> None:
    spent = measure_spent(PostTraining(ends=ends).prepare(tiny_net(), Budget(3)))  # type: ignore[arg-type]
    assert [layer.width for layer in spent.layers] == widths


def test_kept_ends_stay_in_floating_point() -> None:
    net = PostTraining(ends="keep").prepare(tiny_net(), Budget(3))
    assert [layer.width for layer in measure_spent(net).layers] == [32, 3, 3, 32]


@pytest.mark.parametrize("bits", [1, 2.5, 17])
def test_widths_must_be_whole(bits: float) -> None:
    with pytest.raises(PvqError, match=f"budget must be a whole number of bits from 2 to 16 .* got {bits:g}"):
        PostTraining().prepare(tiny_net(), Budget(bits))


def normed() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)
    ).eval()


def test_batch_norms_take_the_mean_over_the_batches() -> None:
    net = normed()
    parts = X.split(16)
    reestimate(net, parts)
    outputs = [net[0](part).detach() for part in parts]
    norm = net[1]
    assert isinstance(norm, nn.BatchNorm2d)
    mean = torch.stack([y.mean(dim=(0, 2, 3)) for y in outputs]).mean(dim=0)
    variance = torch.stack([y.var(dim=(0, 2, 3)) for y in outputs]).mean(dim=0)
    torch.testing.assert_close(norm.running_mean, mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(norm.running_var, variance, rtol=1e-5, atol=1e-6)
    assert (norm.momentum, norm.training, net.training) == (0.1, False, False)
    with pytest.raises(PvqError, match="at least one batch"):
        reestimate(net, [])


def test_biases_bring_the_mean_outputs_back() -> None:
    plain, method = normed(), PostTraining(bias=3)
    rounded = method.prepare(normed(), Budget(2))
    before = (rounded(X) - plain(X)).mean(dim=0).abs()
    method.calibrate(rounded, Budget(2), lambda n: iter(X.split(16)[:n]))
    after = (rounded(X) - plain(X)).mean(dim=0).abs()
    assert before.max() > 0.01
    assert after.max() < 1e-5


def test_bias_correction_without_a_bias_is_refused() -> None:
    net = nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), nn.Flatten())
    method = PostTraining(bias=1)
    with pytest.raises(PvqError, match="needs a quantized layer that has a bias"):
        method.calibrate(method.prepare(net, Budget(4)), Budget(4), lambda n: iter([X]))


def test_networks_that_cannot_be_compressed_are_refused() -> None:
    tied = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    tied[1].weight = tied[0].weight
    broken, zero = nn.Sequential(nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2))
    with torch.no_grad():
        broken[0].weight[0, 0] = float("nan")  # type: ignore[operator,index]
        zero[0].weight.zero_()  # type: ignore[operator]
    computed = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)))
    cases = [
        (tied, "the same tensor is 1"), (broken, "1 of 4 weights are NaN"), (zero, "all weights are zero"),
        (computed, "as computed by"), (nn.Sequential(nn.ReLU()), "no weight matrix"),
    ]  # fmt: skip
    for net, message in cases:
        with pytest.raises(PvqError, match=message):
            fresh_sites(net)


def test_negative_batches_are_refused() -> None:
    with pytest.raises(ValueError, match="norms must not be negative, got -1"):
        PostTraining(norms=-1)

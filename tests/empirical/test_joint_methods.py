"""Pruning and quantization one after the other: the split of the budget, the order, the bits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_network import tiny_net
from torch import nn

from pvq.empirical.methods.prune_then_quantize import PruneThenQuantize
from pvq.empirical.methods.quantize_then_prune import QuantizeThenPrune
from pvq.empirical.prune_and_quantize import PruneAndQuantize, split_of
from pvq.empirical.sites import fresh_sites, sites
from pvq.empirical.spent import measure_spent
from pvq.empirical.weight_parts import IntegerGrid, Mask
from pvq.errors import PvqError
from pvq.theory.budget import Budget, mask_bits
from pvq.theory.distributions.empirical import Empirical
from pvq.theory.joint import joint_point

BOTH = (PruneThenQuantize, QuantizeThenPrune)


def wide_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(40, 50), nn.ReLU(), nn.Linear(50, 40)).eval()


@pytest.mark.parametrize("width", [0, 6])
def test_the_split_costs_the_budget(width: int) -> None:
    for site in fresh_sites(wide_net()):
        bits, density = split_of(site, Budget(3), width)
        assert density * bits + mask_bits(density, "entropy") == pytest.approx(3, abs=1e-9)
        assert bits == (width or bits) > 3


def test_no_other_width_above_the_budget_is_better() -> None:
    (site, *_) = fresh_sites(wide_net())
    law = Empirical(site.layer.matrix.ravel())
    bits, density = split_of(site, Budget(3))
    best = joint_point(law, density, bits, "entropy", "int").snr_db
    for other in (4, 5, 6, 7, 8):
        _, share = split_of(site, Budget(3), other)
        assert joint_point(law, share, other, "entropy", "int").snr_db <= best + 1e-9


def active(net: nn.Module) -> tuple[float, bool]:
    """Return the density of the masks and whether the grids are on."""
    masks = [part for part in net.modules() if isinstance(part, Mask)]
    grids = {part.active for part in net.modules() if isinstance(part, IntegerGrid)}
    assert len(grids) == 1
    total = sum(mask.kept.numel() for mask in masks)
    return sum(int(mask.kept.sum()) for mask in masks) / total, grids.pop()


def test_prune_first_then_quantize() -> None:
    method = PruneThenQuantize(width=6, switch=0.5, ramp=0.25, period=1)
    net = method.prepare(wide_net(), Budget(3))
    seen = [active(net)]
    for step in range(8):
        method.after_step(net, (step + 1) / 8)
        seen.append(active(net))
    densities, grids = zip(*seen, strict=True)
    assert grids == (False,) * 4 + (True,) * 5
    final = split_of(fresh_sites(wide_net())[0], Budget(3), 6)[1]
    assert densities[0] == 1
    assert 1 > densities[1] > final + 0.01
    assert densities[2:] == pytest.approx([final] * 7, abs=1e-3)


def test_quantize_first_then_prune() -> None:
    method = QuantizeThenPrune(width=6, switch=0.5, ramp=0.25, period=1)
    net = method.prepare(wide_net(), Budget(3))
    seen = [active(net)]
    for step in range(8):
        method.after_step(net, (step + 1) / 8)
        seen.append(active(net))
    densities, grids = zip(*seen, strict=True)
    assert set(grids) == {True}
    assert densities[:5] == (1,) * 5
    assert densities[6:] == pytest.approx([densities[8]] * 3)
    assert densities[8] < densities[5] < 1


def test_scales_are_those_of_the_weights_that_are_left() -> None:
    first = PruneThenQuantize(width=6, switch=0, ramp=0).prepare(wide_net(), Budget(3))
    second = QuantizeThenPrune(width=6, switch=0, ramp=0).prepare(wide_net(), Budget(3))
    for site in sites(first):
        original = site.original.detach()
        mask, grid = site.part(Mask), site.part(IntegerGrid)
        assert mask is not None
        assert grid is not None
        error = float((site.weight.detach() - original)[mask.kept].square().sum())
        for factor in (0.9, 1.1):
            with torch.no_grad():
                grid.scale.mul_(factor)
                worse = float((site.weight.detach() - original)[mask.kept].square().sum())
                grid.scale.div_(factor)
            assert worse > error
    assert all(part.active for part in second.modules() if isinstance(part, IntegerGrid))


@pytest.mark.parametrize("kind", BOTH)
def test_all_at_the_start_spends_the_budget(kind: type[PruneAndQuantize]) -> None:
    net = kind(width=6, switch=0, ramp=0).prepare(wide_net(), Budget(3))
    spent = measure_spent(net)
    assert {layer.width for layer in spent.layers} <= {5, 6}
    for layer in spent.layers:
        assert layer.cost.mask > 0
        assert layer.cost.scales == 32
    assert 2.5 < spent.average < 3.05


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (PruneThenQuantize, {"width": 1}, "width must be 0 or from 2 to 16"),
        (PruneThenQuantize, {"switch": 0.1}, "ramp must end before switch"),
        (QuantizeThenPrune, {"switch": 0.9}, "switch and ramp must end within the run"),
        (QuantizeThenPrune, {"period": 0}, "period must be >= 1"),
        (QuantizeThenPrune, {"rate": float("nan")}, "rate must be positive"),
    ],
)
def test_options_must_fit(kind: type[PruneAndQuantize], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**options)


@pytest.mark.parametrize("kind", BOTH)
def test_what_would_do_nothing_is_refused(kind: type[PruneAndQuantize]) -> None:
    with pytest.raises(PvqError, match="width must be above the budget, 4 bits, to prune, got 4"):
        kind(width=4).prepare(tiny_net(), Budget(4))
    with pytest.raises(PvqError, match="budget must be below 8 bits unless width is given, got 12"):
        kind().prepare(tiny_net(), Budget(12))
    with pytest.raises(ValueError, match="epochs must be at least 1 unless switch=0 and ramp=0, got 0"):
        kind().epochs(0)
    assert kind(switch=0, ramp=0).epochs(0) == 0

"""Magnitude pruning and n of m: schedules, masks, bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_network import NAMES, as_model, tiny_net
from torch import nn

from pvq.empirical.methods.magnitude import Magnitude
from pvq.empirical.methods.n_of_m import GroupSparsity
from pvq.empirical.pruning import cubic_sparsity, in_groups, keep_in_groups, largest
from pvq.empirical.sites import sites
from pvq.empirical.spent import measure_spent, store_halves
from pvq.empirical.weight_parts import Mask
from pvq.errors import PvqError
from pvq.solvers.stored_format import FORMATS, Storage, mask_cost
from pvq.theory.budget import Budget

SIZES = [72, 36, 24, 18]


def masks(net: nn.Module) -> list[Mask]:
    return [part for part in net.modules() if isinstance(part, Mask)]


def counts(net: nn.Module) -> list[int]:
    return [int(mask.kept.sum()) for mask in masks(net)]


def test_the_schedule_is_zhu_and_guptas_formula() -> None:
    t0, n, dt, s_i, s_f, total = 100, 30, 20, 0.1, 0.9, 1000
    for step in range(n + 1):
        t = t0 + step * dt
        wanted = s_f + (s_i - s_f) * (1 - (t - t0) / (n * dt)) ** 3
        found = cubic_sparsity(t / total, s_f, t0 / total, (t0 + n * dt) / total, s_i)
        assert found == pytest.approx(wanted, abs=1e-12)
    assert cubic_sparsity(0.05, 0.9, 0.1, 0.7, 0.1) == 0.1
    assert cubic_sparsity(0.99, 0.9, 0.1, 0.7, 0.1) == 0.9


def run(method: Magnitude, bits: float, steps: int = 40) -> tuple[nn.Module, list[list[int]]]:
    """Go through a run whose steps shake the weights; return the network and the counts after each step."""
    net = method.prepare(tiny_net(), Budget(bits))
    generator = torch.Generator().manual_seed(0)
    history = [counts(net)]
    for step in range(steps):
        with torch.no_grad():
            for site in sites(net):
                site.original.add_(0.1 * torch.randn(site.weight.shape, generator=generator))
        method.after_step(net, (step + 1) / steps)
        history.append(counts(net))
    return net, history


@pytest.mark.parametrize("begin", [0.0, 0.25])
def test_masks_follow_the_schedule_at_their_period(begin: float) -> None:
    _, history = run(Magnitude(period=4, begin=begin, end=0.8), 4)
    for step in range(1, 41):
        p = (step // 4) * 4 / 40 if step < 32 else 1.0
        sparsity = cubic_sparsity(p, 0.75, begin, 0.8) if p >= begin else 0.0
        assert history[step] == [round((1 - sparsity) * size) for size in SIZES], step
    assert history[0] == SIZES


def test_a_period_longer_than_the_run_still_prunes() -> None:
    _, history = run(Magnitude(period=1000), 4)
    assert history[29] == SIZES
    assert history[30] == history[40] == [18, 9, 6, 4]


@pytest.mark.parametrize("regrow", [False, True])
def test_weights_come_back_only_where_they_may(regrow: bool) -> None:
    method = Magnitude(period=2, regrow=regrow)
    net, generator = method.prepare(tiny_net(), Budget(4)), torch.Generator().manual_seed(0)
    gone, back = [torch.zeros_like(mask.kept) for mask in masks(net)], 0
    for step in range(40):
        with torch.no_grad():
            for site in sites(net):
                site.original.add_(0.2 * torch.randn(site.weight.shape, generator=generator))
        method.after_step(net, (step + 1) / 40)
        back += sum(int((mask.kept & was).sum()) for mask, was in zip(masks(net), gone, strict=True))
        gone = [was | ~mask.kept for mask, was in zip(masks(net), gone, strict=True)]
    assert counts(net) == [18, 9, 6, 4]
    assert (back > 0) == regrow


@pytest.mark.parametrize("regrow", [False, True])
def test_gradients_reach_weights_at_zero_only_where_they_may_come_back(regrow: bool) -> None:
    weight = torch.randn(4, 4, requires_grad=True)
    mask = Mask(weight.detach() > 0, regrow=regrow)
    torch.autograd.backward(mask(weight).sum())
    assert weight.grad is not None
    assert torch.equal(weight.grad != 0, torch.ones_like(mask.kept) if regrow else mask.kept)
    assert torch.equal(mask(weight) != 0, mask.kept)


def test_one_shot_keeps_the_largest_and_stays() -> None:
    plain = {site.name: site.weight.detach() for site in sites(tiny_net())}
    net, history = run(Magnitude(schedule="one-shot"), 4)
    assert history == [[18, 9, 6, 4]] * 41
    fresh = Magnitude(schedule="one-shot").prepare(tiny_net(), Budget(4))
    for site, mask in zip(sites(fresh), masks(fresh), strict=True):
        size = plain[site.name].abs()
        assert size[mask.kept].min() >= size[~mask.kept].max()
    assert masks(net)[0].steps == 40


def test_a_global_threshold_is_the_same_in_all_layers() -> None:
    net = Magnitude(schedule="one-shot", scope="global").prepare(tiny_net(), Budget(4))
    kept = [site.original[mask.kept].abs() for site, mask in zip(sites(net), masks(net), strict=True)]
    gone = [site.original[~mask.kept].abs() for site, mask in zip(sites(net), masks(net), strict=True)]
    assert sum(counts(net)) == round(0.25 * sum(SIZES))
    assert counts(net) != [18, 9, 6, 4]
    assert torch.cat(kept).min() >= torch.cat(gone).max()


def test_ends_can_be_kept() -> None:
    net = Magnitude(schedule="one-shot", ends="keep").prepare(tiny_net(), Budget(4))
    assert [site.part(Mask) is None for site in sites(net)] == [True, False, False, True]


def test_spent_counts_kept_weights_and_the_cheapest_mask() -> None:
    net = Magnitude(schedule="one-shot").prepare(tiny_net(), Budget(4))
    assert {layer.width for layer in measure_spent(net).layers} == {32}
    store_halves(net)
    spent = measure_spent(net)
    for layer, size in zip(spent.layers, SIZES, strict=True):
        kept = round(size / 4)
        assert (layer.kept, layer.width, layer.cost.payload) == (kept, 16, 16 * kept)
        assert (layer.cost.mask, layer.cost.coding) == mask_cost(kept, size, "cheapest")
    assert 4 < spent.average < 5


def test_a_mask_that_keeps_all_costs_nothing() -> None:
    net = Magnitude().prepare(tiny_net(), Budget(4))
    store_halves(net)
    assert measure_spent(net).average == 16


def test_weights_beyond_fp16_are_refused() -> None:
    net = tiny_net()
    with torch.no_grad():
        net.get_submodule("head").weight[0, 0] = 1e6  # type: ignore[index,operator]
    with pytest.raises(PvqError, match="head: weights must fit in FP16"):
        store_halves(net)


def plan(folder: Path, formats: list[str], **changes: Any) -> str:
    """Write a plan with these formats for the tiny network."""
    from pvq.empirical.compression_file import write_plan
    from pvq.empirical.compression_plan import Interval, Plan, PlannedLayer, Totals

    layers = []
    for layer, spec in zip(as_model(tiny_net()).weights().values(), formats, strict=True):
        stored, shape = FORMATS.build(spec), (layer.rows, layer.n)
        scales = tuple(np.float32(0.5).item() for _ in stored.scales(layer.matrix, Storage()))
        cost, one = stored.cost(shape, Storage()), Interval(1.0, 1.0)
        layers.append(PlannedLayer(layer.name, stored.camp, spec, shape, cost, one, one, scales))
    bits = sum(layer.cost.bits for layer in layers)
    totals = Totals(150, bits, bits, 1.0, None, False)
    write_plan(
        Plan("tiny", "", "absolute", "weights", Storage(), totals, tuple(layers)), folder / "plan.yaml"
    )
    return str(folder / "plan.yaml")


def test_a_plan_decides_layer_by_layer(tmp_path: Path) -> None:
    path = plan(tmp_path, ["sparse[bits=8]", "float[bits=16]", "sparse[bits=4]", "sparse[bits=2]"])
    method = Magnitude(schedule="one-shot", scope="plan", plan=path)
    net = method.prepare(tiny_net(), Budget(12))
    store_halves(net)
    assert [layer.kept for layer in measure_spent(net).layers] == [36, 36, 6, 2]
    with pytest.raises(PvqError, match=r"budget must pay for the plan, \d+\.\d+ bits per weight, got 4"):
        method.prepare(tiny_net(), Budget(4))
    other = nn.Sequential(nn.Linear(4, 4))
    with pytest.raises(PvqError, match=r"must plan 0 with shape \(4, 4\), it has no such layer"):
        method.prepare(other, Budget(12))


def test_a_plan_that_quantizes_is_refused(tmp_path: Path) -> None:
    path = plan(tmp_path, ["sparse[bits=8]", "int[bits=4]", "sparse[bits=4]", "sparse[bits=2]"])
    with pytest.raises(PvqError, match=r"stores depthwise as int\[bits=4\]; pruning by a plan needs sparse"):
        Magnitude(scope="plan", plan=path).prepare(tiny_net(), Budget(12))


def test_n_of_m_keeps_the_largest_of_each_group() -> None:
    net = GroupSparsity().prepare(tiny_net(), Budget(8))
    for site, mask in zip(sites(net), masks(net), strict=True):
        rows, kept = site.matrix(site.original.detach().abs()), site.matrix(mask.kept)
        for row, stays in zip(rows.tolist(), kept.tolist(), strict=True):
            for start in range(0, len(row), 4):
                size, chosen = row[start : start + 4], stays[start : start + 4]
                best = sorted(size)[-2:]
                assert sorted(s for s, c in zip(size, chosen, strict=True) if c) == best[-sum(chosen) :]
                assert sum(chosen) == min(2, len(size))


def test_n_of_m_pays_for_places_in_groups() -> None:
    net = GroupSparsity().prepare(tiny_net(), Budget(8))
    store_halves(net)
    for layer, name, shape in zip(
        measure_spent(net).layers, NAMES, ((4, 18), (4, 9), (6, 4), (3, 6)), strict=True
    ):
        cost = FORMATS.build("n_of_m[n=2,m=4]").cost(shape, Storage())
        assert layer.name == name
        assert layer.cost.mask <= cost.mask
        assert layer.cost.payload == cost.payload
    first = masks(net)[0]
    first.kept[:] = True  # no longer 2 of 4: the group's price must not be charged
    assert not in_groups(sites(net)[0].matrix(sites(net)[0].weight) != 0, 2, 4)
    assert measure_spent(net).layers[0].cost.payload == 16 * 72


def test_groups_and_ties() -> None:
    assert largest(torch.zeros(4), 2).tolist() == [True, True, False, False]
    assert keep_in_groups(torch.zeros(1, 5), 1, 2).tolist() == [[True, False, True, False, True]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"begin": 0.8}, "begin and end must fulfil"), ({"end": 1.5}, "begin and end must fulfil"),
        ({"period": 0}, "period must be >= 1"), ({"norms": -1}, "norms >= 0"),
        ({"scope": "plan"}, "plan must be given with scope=plan"), ({"plan": "x"}, "only then"),
        ({"schedule": "one-shot", "regrow": True}, "regrow must be false"),
    ],
)  # fmt: skip
def test_options_must_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Magnitude(**options)


def test_budgets_and_runs_that_prune_nothing_are_refused() -> None:
    with pytest.raises(PvqError, match="budget must be below 16 bits for pruning to do anything, got 16"):
        Magnitude().prepare(tiny_net(), Budget(16))
    with pytest.raises(ValueError, match="epochs must be at least 1 for schedule=cubic, got 0"):
        Magnitude().epochs(0)
    with pytest.raises(PvqError, match="there must be a layer to prune"):
        Magnitude(ends="keep").prepare(nn.Sequential(nn.Linear(4, 4)), Budget(4))
    with pytest.raises(PvqError, match="budget must be 16 n / m = 8 bits for 2 of 4, got 4"):
        GroupSparsity().prepare(tiny_net(), Budget(4))
    with pytest.raises(PvqError, match="rows longer than 2"):
        GroupSparsity().prepare(nn.Sequential(nn.Linear(2, 4)), Budget(8))

"""What layers put out, compared between networks: values by hand, passes, odd cases, refusals."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from tiny_network import NAMES, tiny_net
from torch import nn

from pvq.empirical.analysis.cka import GramCka, linear_cka
from pvq.empirical.analysis.representation import FIELDS, representation_rows
from pvq.errors import PvqError

torch.manual_seed(0)
BATCHES = list(torch.randn(20, 2, 8, 8).split(6))


def rounded(net: nn.Module, steps: float = 4) -> nn.Module:
    """Return the network with its weights on a grid."""
    other = copy.deepcopy(net)
    for parameter in other.parameters():
        parameter.data = (parameter.data * steps).round() / steps
    return other


def outputs(net: nn.Module, layer: str) -> torch.Tensor:
    """Return the outputs of a layer of `tiny_net`, which is a chain."""
    x = torch.cat(BATCHES)
    for name, module in net.named_children():
        x = module(x)
        if name == layer:
            return x.detach().flatten(1).double()
    raise AssertionError(layer)


def test_rows_have_the_values_of_the_definition() -> None:
    """The layers have 64, 64, 96 and 3 features for 20 examples, so both sums of CKA occur."""
    net = tiny_net()
    coarse = rounded(net)
    rows = representation_rows({"original": net, "rounded": coarse}, NAMES, BATCHES)
    assert [row["layer"] for row in rows] == NAMES
    assert [row["features"] for row in rows] == [64, 64, 96, 3]
    for row in rows:
        x, y = outputs(net, row["layer"]), outputs(coarse, row["layer"])
        assert row["snr_db"] == pytest.approx(
            10 * math.log10(x.square().sum() / (x - y).square().sum()), abs=1e-5
        )
        assert row["cka"] == pytest.approx(linear_cka(x.numpy(), y.numpy()), abs=1e-6)
        sums = GramCka()
        sums.update(x.numpy(), y.numpy())
        assert row["cka_debiased"] == pytest.approx(sums.debiased(), abs=1e-5)
        assert list(row) == list(FIELDS)
        assert (row["network"], row["examples"], row["note"]) == ("rounded", 20, "")


def test_more_features_than_a_block_holds() -> None:
    net, other = (nn.Sequential(nn.Conv2d(2, 5, 1)) for _ in range(2))
    x = torch.randn(3, 2, 32, 32)
    (row,) = representation_rows({"a": net, "b": other}, ["0"], [x])
    assert row["features"] == 5120
    with torch.no_grad():
        a, b = (network(x).flatten(1).double().numpy() for network in (net, other))
    assert row["cka"] == pytest.approx(linear_cka(a, b), abs=1e-6)


def test_several_networks_and_little_memory_give_the_same() -> None:
    net = tiny_net()
    networks = {"original": net, "fine": rounded(net, 64), "coarse": rounded(net, 2)}
    rows = representation_rows(networks, NAMES, BATCHES)
    assert representation_rows(networks, NAMES, BATCHES, memory_bytes=1) == rows
    assert [row["network"] for row in rows] == ["fine", "coarse"] * 4
    assert all(fine["snr_db"] > coarse["snr_db"] for fine, coarse in zip(rows[::2], rows[1::2], strict=True))


def test_the_network_itself_has_no_noise() -> None:
    net = tiny_net()
    for row in representation_rows({"a": net, "b": copy.deepcopy(net)}, NAMES, BATCHES):
        assert row["snr_db"] == math.inf
        assert row["cka"] == pytest.approx(1, abs=1e-9)


def test_a_rotated_representation_has_noise_but_is_alike() -> None:
    """New outputs that are a rotation of the old ones: what only CKA can see."""
    net = tiny_net()
    other = copy.deepcopy(net)
    rotation, _ = torch.linalg.qr(torch.randn(3, 3))
    head = other.get_submodule("head")
    assert isinstance(head, nn.Linear)
    head.weight.data, head.bias.data = rotation @ head.weight.data, rotation @ head.bias.data
    (row,) = representation_rows({"a": net, "b": other}, ["head"], BATCHES)
    assert row["snr_db"] < 10
    assert row["cka"] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("layer", ["first", "head"])
@pytest.mark.parametrize(
    ("value", "note", "snr"),
    [(0.0, "outputs are the same for all examples", 0.0), (math.nan, "outputs are NaN or infinite", None)],
)
def test_dead_and_broken_layers_are_named(layer: str, value: float, note: str, snr: float | None) -> None:
    net = tiny_net()
    dead = copy.deepcopy(net)
    for parameter in dead.get_submodule(layer).parameters():
        parameter.data.fill_(value)
    (row,) = representation_rows({"a": net, "b": dead}, [layer], BATCHES)
    assert row["note"] == note
    assert math.isnan(row["cka"])
    assert math.isnan(row["snr_db"]) if snr is None else row["snr_db"] == pytest.approx(snr)


def test_modes_and_hooks_are_left_as_they_were() -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Flatten()).train()
    net[1].eval()
    (row,) = representation_rows({"a": net, "b": copy.deepcopy(net)}, ["2"], BATCHES)
    assert row["snr_db"] == math.inf  # no dropout while comparing
    assert [part.training for part in net] == [True, False, True, True]
    assert not any(part._forward_hooks for part in net)


def test_an_operation_in_place_does_not_reach_what_was_caught() -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(inplace=True))
    shifted = copy.deepcopy(net)
    assert isinstance(shifted[0], nn.Conv2d)
    assert shifted[0].bias is not None
    shifted[0].bias.data -= 100
    (row,) = representation_rows({"a": net, "b": shifted}, ["0"], BATCHES)
    assert row["cka"] == pytest.approx(1, abs=1e-4)


class Twice(nn.Module):
    """Calls one layer two times."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(2, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layer(self.layer(x))
        return y


@pytest.mark.parametrize(
    ("networks", "layers", "error", "message"),
    [
        ({"a": tiny_net()}, NAMES, ValueError, "two networks, a layer and two examples, got 1, 4 and 20"),
        ({"a": tiny_net(), "b": tiny_net()}, [], ValueError, "got 2, 0 and 20"),
        ({"a": tiny_net(), "b": Twice()}, ["head"], PvqError, "network b has no module head"),
        ({"a": Twice(), "b": Twice()}, ["layer"], PvqError, r"layer of a must give one tensor .* 2 call"),
        (
            {"a": nn.Sequential(nn.Conv2d(2, 3, 1)), "b": nn.Sequential(nn.Conv2d(2, 4, 1))},
            ["0"],
            PvqError,
            "0 must have as many outputs in all networks, got 192 and 256 in b",
        ),
    ],
)
def test_refusals(networks: Any, layers: list[str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        representation_rows(networks, layers, BATCHES)

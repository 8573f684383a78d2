"""Layers of a network at hand: its modules say what they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pvq.empirical.module_layers import module_layers, module_remarks, tracked_weights
from pvq.empirical.state_dict import layers_of


class Conv1D(nn.Module):
    """The layer of GPT-2: weights (in, out)."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf = nf
        self.weight = nn.Parameter(torch.randn(nx, nf))


class Zoo(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.grey = nn.Conv2d(1, 4, 3)
        self.one_input = nn.Conv2d(1, 4, 3)
        self.deep = nn.Conv2d(4, 8, 3, groups=4)
        self.grouped = nn.Conv2d(4, 8, 3, groups=2)
        self.up = nn.ConvTranspose2d(4, 6, 2, groups=2)
        self.norm = nn.LayerNorm([4, 5])
        self.attention = nn.MultiheadAttention(4, 2, kdim=3, vdim=5)
        self.words = nn.Embedding(9, 4)
        self.c_fc = Conv1D(6, 4)
        self.c_proj = Conv1D(4, 4)
        self.fc = nn.Linear(4, 3)


def test_kinds_and_layouts_are_those_of_the_modules() -> None:
    layers = module_layers(Zoo())
    assert {name: (layer.kind, layer.rows, layer.n) for name, layer in layers.items()} == {
        "grey": ("conv", 4, 9),
        "one_input": ("conv", 4, 9),
        "deep": ("depthwise", 8, 9),
        "grouped": ("conv", 8, 18),
        "up": ("conv-transpose", 6, 8),
        "attention.q_proj_weight": ("linear", 4, 4),
        "attention.k_proj_weight": ("linear", 4, 3),
        "attention.v_proj_weight": ("linear", 4, 5),
        "attention.out_proj": ("linear", 4, 4),
        "words": ("embedding", 9, 4),
        "c_fc": ("linear", 6, 4),
        "c_proj": ("linear", 4, 4),
        "fc": ("linear", 3, 4),
    }
    assert layers["c_proj"].transposed


def test_names_and_order_are_those_of_the_state_dict() -> None:
    net = Zoo()
    from_state = [name for name in layers_of(net.state_dict()) if name != "norm"]
    assert list(module_layers(net)) == from_state


class Tied(nn.Module):
    """A module and a parameter under two names each, and an embedding that is the output layer as well."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(9, 4)
        self.one = self.two = nn.Linear(4, 4)
        self.three = nn.Linear(4, 4)
        self.three.weight = self.one.weight
        self.head = nn.Linear(4, 9)
        self.head.weight = self.words.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.three(self.two(self.one(self.words(x)))))


def test_tied_weights_come_once_under_their_first_name() -> None:
    net = Tied()
    layers = module_layers(net)
    assert {name: (layer.kind, layer.tied, layer.note) for name, layer in layers.items()} == {
        "words": ("linear", ("head",), "also an embedding"),
        "one": ("linear", ("two", "three"), ""),
    }
    assert (layers["words"].rows, layers["words"].n) == (9, 4)
    assert set(layers_of(net.state_dict())) == set(layers)


def test_tied_weights_gather_all_their_calls() -> None:
    from pvq.empirical.activations import gram_matrices

    net = Tied().double().eval()
    x = torch.tensor([[1, 2, 3]])
    grams = gram_matrices(net, list(module_layers(net)), [x])
    first = net.words(x)[0]
    inputs = torch.cat([first, net.one(first), net.one(net.one(first))]).detach().numpy()
    assert (grams["one"].positions, grams["words"].positions) == (9, 3)
    np.testing.assert_allclose(grams["one"].grams[0], inputs.T @ inputs / 9, rtol=1e-12)
    both = gram_matrices(net, ["words", "head"], [x])
    np.testing.assert_array_equal(both["words"].grams, both["head"].grams)


def test_equal_slices_of_a_bigger_parameter_are_no_ties() -> None:
    net = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
    pool = torch.randn(4, 2)
    net["a"].weight, net["b"].weight = nn.Parameter(pool[:2]), nn.Parameter(pool[2:])
    assert [layer.tied for layer in module_layers(net).values()] == [(), ()]


def test_what_is_no_layer_is_said() -> None:
    net = nn.ModuleDict({"rnn": nn.GRU(3, 2), "fft": nn.Linear(2, 2, dtype=torch.complex64)})
    net["codes"] = nn.Module()
    net["codes"].register_buffer("qweight", torch.ones(2, 2, dtype=torch.int8))
    net["norm"] = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    assert list(module_layers(net)) == ["norm"]
    assert set(module_remarks(net)) == {
        "left out: rnn.weight_ih_l0, rnn.weight_hh_l0 (recurrent weights)",
        "left out: fft.weight (complex numbers)",
        "left out: codes.qweight (integer or quantized, so compressed already)",
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_quantized_module_is_said_to_be_left_out() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    quantized = torch.ao.quantization.quantize_dynamic(nn.Sequential(net), {nn.Linear}, dtype=torch.qint8)
    assert module_layers(quantized) == {}
    assert any("compressed already" in remark for remark in module_remarks(quantized))


def test_an_empty_network_has_no_layers() -> None:
    assert module_layers(nn.Identity()) == {}
    assert module_remarks(nn.Identity()) == ()


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="weights in the network, got 'nope'"):
        tracked_weights(nn.Linear(2, 2), ["nope"])


class Negated(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return -weight


def test_computed_weights_of_equal_shape_are_not_tied() -> None:
    # each is computed when asked for; memory that one leaves must not make it look like the next
    parts = [nn.Linear(64, 64, dtype=torch.bfloat16) for _ in range(40)]
    for part in parts:
        nn.utils.parametrize.register_parametrization(part, "weight", Negated())
    layers = module_layers(nn.Sequential(*parts))
    assert len(layers) == 40
    assert not any(layer.tied for layer in layers.values())

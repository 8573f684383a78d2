"""Gram matrices of attention: packed and separate projections, fused layers, vision transformers."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest
import torch
from gram_law import draw, energy
from torch import Tensor, nn

from pvq.empirical.activations import gram_matrices
from pvq.empirical.module_layers import module_layers


def attention(**options: Any) -> nn.MultiheadAttention:
    torch.manual_seed(0)
    return nn.MultiheadAttention(8, 2, batch_first=True, **options).double().eval()


class Attend(nn.Module):
    """Attention with a fixed choice of query, key and value from one input."""

    def __init__(self, net: nn.MultiheadAttention, pick: Callable[[Tensor], tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.net, self.pick = net, pick

    def forward(self, x: Tensor) -> Tensor:
        return self.net(*self.pick(x))[0]


PICKS: dict[str, tuple[dict[str, Any], Callable[[Tensor], tuple[Tensor, ...]]]] = {
    "self": ({}, lambda x: (x, x, x)),
    "cross": ({}, lambda x: (x, x[:, :3], x[:, :3])),
    "three": ({}, lambda x: (x, x[:, :3] + 1, x[:, :3] * 2)),
    "other widths": ({"kdim": 5, "vdim": 3}, lambda x: (x, x[..., :5], x[..., 5:])),
    "no bias": ({"bias": False}, lambda x: (x, x, x)),
}


@pytest.mark.parametrize("name", PICKS)
def test_projections_of_attention(name: str) -> None:
    options, pick = PICKS[name]
    net, x = attention(**options), draw(3, 5, 8)
    inputs = dict(zip("qkv", pick(x), strict=True))
    separate = net.in_proj_weight is None
    names = [f"net.{part}_proj_weight" for part in "qkv"] if separate else ["net.in_proj_weight"]
    grams = gram_matrices(Attend(net, pick), [*names, "net.out_proj"], [x])
    weights = [getattr(net, f"{part}_proj_weight") for part in "qkv"] if separate else list(
        net.in_proj_weight.chunk(3)
    )  # fmt: skip
    with torch.no_grad():
        measured = [float((inputs[p] @ w.T).square().sum()) for p, w in zip("qkv", weights, strict=True)]
    rows = [getattr(net, n.removeprefix("net.")).detach().numpy() for n in names]
    found = [energy(grams[n], row) for n, row in zip(names, rows, strict=True)]
    assert found == pytest.approx(measured if separate else [sum(measured)], rel=1e-10)
    out = Attend(net, pick)(x) - (0 if net.out_proj.bias is None else net.out_proj.bias)
    assert energy(grams["net.out_proj"], net.out_proj.weight.detach().numpy()) == pytest.approx(
        float(out.detach().square().sum()), rel=1e-10
    )


def check_linear_layers(net: nn.Module, x: Tensor) -> list[str]:
    """Every Linear of a network: the energy of its outputs, seen by hooks; return the names."""
    outputs: dict[str, float] = {}
    linear = {name: part for name, part in net.named_modules() if type(part) is nn.Linear}
    for name, part in linear.items():
        bias = 0 if part.bias is None else part.bias
        part.register_forward_hook(
            lambda _m, _i, out, name=name, bias=bias: outputs.update(
                {name: float((out - bias).detach().double().square().sum())}
            )
        )
    grams = gram_matrices(net, list(linear), [x])
    assert set(grams) == set(outputs)
    for name, part in linear.items():
        rows = part.weight.detach().double().numpy()
        assert energy(grams[name], rows) == pytest.approx(outputs[name], rel=1e-4), name
    return list(linear)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("norm_first", [True, False])
def test_an_encoder_layer_in_evaluation_mode(batch_first: bool, norm_first: bool) -> None:
    """Its fused path would hide the products; the setting is as before afterwards."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=batch_first, norm_first=norm_first)
    net = nn.TransformerEncoder(layer, 2).eval()
    x = torch.randn(3, 5, 8)
    names = ["layers.1.self_attn.in_proj_weight", "layers.0.self_attn.out_proj", "layers.1.linear2"]
    grams = gram_matrices(net, names, [x])
    assert set(grams) == set(names)
    assert all(gram.positions == 15 for gram in grams.values())
    assert grams["layers.1.self_attn.in_proj_weight"].grams.shape == (1, 8, 8)
    assert torch.backends.mha.get_fastpath_enabled()
    check_linear_layers(net, x)  # hooks switch the fused path off by themselves


def test_a_vision_transformer_of_torchvision() -> None:
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    from pvq.empirical.zoo.torchvision import import_torchvision

    torch.manual_seed(0)
    vit = import_torchvision().models.VisionTransformer(
        image_size=16, patch_size=8, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=12, num_classes=3
    )
    net = vit.eval()
    nn.init.normal_(net.heads.head.weight)
    x = torch.randn(2, 3, 16, 16)
    names = list(module_layers(net))
    assert len(names) == 1 + 2 * 4 + 1  # patches; in_proj, out_proj and two of each block; head
    assert set(gram_matrices(net, names, [x])) == set(names)
    assert len(check_linear_layers(net, x)) == 2 * 2 + 1  # out_proj is a subclass that is never called


def test_a_vision_transformer_of_timm() -> None:
    for package in ("torchvision", "timm"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    from pvq.empirical.zoo.timm import _import_timm

    torch.manual_seed(0)
    net = _import_timm().models.VisionTransformer(
        img_size=16, patch_size=8, embed_dim=8, depth=2, num_heads=2, num_classes=3
    )
    x = torch.randn(2, 3, 16, 16)
    names = list(module_layers(net.eval()))
    assert set(gram_matrices(net, names, [x])) == set(names)
    assert len(check_linear_layers(net, x)) == 2 * 4 + 1

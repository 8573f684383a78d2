"""Gram matrices of every kind of layer, against what the layer puts out: rows, inputs and positions agree."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from gram_law import draw, energy
from torch import Tensor, nn

from pvq.empirical import im2col
from pvq.empirical.activations import gram_matrices
from pvq.empirical.module_layers import module_layers


def check_change(net: nn.Module, name: str, batches: list[Tensor]) -> None:
    """Change the weights of a net that is one layer; its outputs change by what the Gram matrix says."""
    net = net.double().eval()
    layer = module_layers(net)[name]
    gram = gram_matrices(net, [name], batches)[name]
    changed = copy.deepcopy(net)
    parameters = dict(changed.named_parameters())
    weight = parameters.get(f"{name}.weight", parameters.get(name))
    assert weight is not None
    change = draw(*weight.shape)
    with torch.no_grad():
        weight += change
        measured = sum(float((changed(x) - net(x)).square().sum()) for x in batches)
    assert energy(gram, layer.as_rows(change.numpy())) == pytest.approx(measured, rel=1e-10)


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "transposed": (lambda: nn.ConvTranspose2d(4, 3, 3), (2, 4, 5, 6)),
    "transposed, all options": (
        lambda: nn.ConvTranspose2d(
            4, 6, (3, 2), stride=(3, 2), padding=(2, 1), output_padding=(1, 0), groups=2, dilation=(2, 1)),
        (2, 4, 5, 6),
    ),
    "transposed, padding wider than the kernel": (
        lambda: nn.ConvTranspose2d(2, 3, 2, stride=2, padding=2), (2, 2, 5, 6)),
    "transposed, depthwise": (
        lambda: nn.ConvTranspose2d(4, 4, 4, stride=2, padding=1, groups=4), (2, 4, 5, 6)),
    "transposed signal": (
        lambda: nn.ConvTranspose1d(4, 3, 5, stride=3, padding=1, output_padding=2), (2, 4, 7)),
    "volume": (lambda: nn.Conv3d(4, 6, (2, 3, 1), stride=(1, 2, 1), padding=1, groups=2), (2, 4, 4, 5, 3)),
    "transposed volume": (lambda: nn.ConvTranspose3d(2, 3, 2, stride=2), (2, 2, 3, 2, 3)),
    "replicate": (lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="replicate"), (2, 4, 5, 6)),
    "same, circular": (lambda: nn.Conv1d(4, 6, 4, padding="same", padding_mode="circular"), (2, 4, 9)),
    "one image without batch axis": (lambda: nn.Conv2d(4, 6, 3), (4, 5, 6)),
    "one vector": (lambda: nn.Linear(4, 6), (4,)),
    "one vector, no bias": (lambda: nn.Linear(4, 6, bias=False), (4,)),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    check_change(nn.Sequential(make()), "0", [draw(*shape), draw(*shape)])


@pytest.mark.parametrize("name", ["transposed, all options", "volume"])
def test_parts_of_an_image_add_up(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    net, batches = nn.Sequential(make()).double().eval(), [draw(*shape)]
    whole = gram_matrices(net, ["0"], batches)["0"]
    monkeypatch.setattr(im2col, "CHUNK_BYTES", 1)
    parts = gram_matrices(net, ["0"], batches)["0"]
    assert parts.positions == whole.positions
    np.testing.assert_allclose(parts.grams, whole.grams, rtol=1e-12)


def test_channels_last_is_the_same_layer() -> None:
    net = nn.Sequential(nn.Conv2d(4, 6, 3)).to(memory_format=torch.channels_last)
    check_change(net, "0", [draw(2, 4, 5, 6)])


class Conv1D(nn.Module):
    """The layer of GPT-2: weights (in, out)."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf, self.nx = nf, nx
        self.weight = nn.Parameter(torch.randn(nx, nf))
        self.bias = nn.Parameter(torch.zeros(nf))

    def forward(self, x: Tensor) -> Tensor:
        flat = torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight)
        return flat.view(*x.shape[:-1], self.nf)


class InputsFirst(nn.Module):
    def __init__(self, product: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.in_features, self.out_features = 4, 6
        self.weight = nn.Parameter(torch.randn(4, 6))
        self.product = product

    def forward(self, x: Tensor) -> Tensor:
        return self.product(x, self.weight)


class OutputsFirst(nn.Module):
    def __init__(self, use: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 4))
        self.use = use

    def forward(self, x: Tensor) -> Tensor:
        return self.use(x, self.weight)


USES: dict[str, nn.Module] = {
    "Conv1D of GPT-2": Conv1D(6, 4),
    "square Conv1D of GPT-2": Conv1D(4, 4),
    "x @ W": InputsFirst(lambda x, w: x @ w),
    "x @ W, not to be folded": InputsFirst(lambda x, w: x.transpose(0, 1) @ w),
    "einsum, inputs first": InputsFirst(lambda x, w: torch.einsum("bsi,io->bso", x, w)),
    "einsum": OutputsFirst(lambda x, w: torch.einsum("bsi,oi->bso", x, w)),
    "W @ x'": OutputsFirst(lambda x, w: w @ x.transpose(1, 2)),
    "vectors": OutputsFirst(lambda x, w: torch.stack([w @ row for row in x[0]])),
    "rows 1 to 5 only": OutputsFirst(lambda x, w: nn.functional.linear(x, w[1:5])),
    "inputs 1 to 3 only": OutputsFirst(lambda x, w: nn.functional.linear(x[..., 1:3], w[:, 1:3])),
    "two parts, two inputs": OutputsFirst(
        lambda x, w: torch.cat(
            [nn.functional.linear(x, w[:2]).flatten(), nn.functional.linear(2 * x[:, 1:], w[2:]).flatten()]
        )
    ),
    "1x1 convolution of a matrix": OutputsFirst(
        lambda x, w: nn.functional.conv1d(x.transpose(1, 2), w[:, :, None])
    ),
    "one at a time": OutputsFirst(lambda x, w: torch.baddbmm(x[:, :1, :1], x, w.t().expand(2, 4, 6))),
}


@pytest.mark.parametrize("name", USES)
def test_ways_to_use_a_matrix(name: str) -> None:
    check_change(nn.Sequential(USES[name]), "0", [draw(2, 5, 4)])


def test_weights_used_in_two_ways_have_no_gram_matrix() -> None:
    both = OutputsFirst(lambda x, w: nn.functional.linear(nn.functional.linear(x, w), w.t()))
    assert gram_matrices(nn.Sequential(both), ["0"], [torch.rand(3, 4)]) == {}
    heads = nn.Sequential(OutputsFirst(lambda x, w: torch.einsum("bsi,oi->bso", x, w * 2)))
    assert gram_matrices(heads, ["0"], [torch.rand(2, 3, 4)]) == {}  # a copy is not the weights


@pytest.mark.parametrize(
    "wrap", [nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm]
)
def test_a_parametrised_weight_is_the_one_that_is_used(wrap: Callable[[nn.Module], nn.Module]) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(wrap(nn.Conv2d(3, 4, 3))).double().eval()
    (layer,) = module_layers(net).values()
    assert (layer.name, layer.kind) == ("0", "conv")
    assert layer.note.startswith("as computed by ")
    np.testing.assert_array_equal(layer.tensor, net[0].weight.detach().numpy())
    x = draw(2, 3, 6, 6)
    gram = gram_matrices(net, ["0"], [x])["0"]
    out = (net(x) - net[0].bias[:, None, None]).detach()
    assert energy(gram, layer.matrix) == pytest.approx(float(out.square().sum()), rel=1e-10)


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace.*:DeprecationWarning")
def test_scripted_networks_and_inference_tensors_are_seen_as_well() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(2, 3, 3, padding="same"), nn.Linear(5, 4)).eval()
    x = torch.randn(2, 2, 5, 5)
    expected = gram_matrices(plain, ["0", "1"], [x])
    with torch.inference_mode():
        inference = nn.Sequential(nn.Conv2d(2, 3, 3, padding="same"), nn.Linear(5, 4)).eval()
        inference.load_state_dict(plain.state_dict())
        same = x.clone()
    with torch.no_grad():
        traced = torch.jit.trace(plain, x)
    for net, seen in ((inference, same), (traced, x)):
        found = gram_matrices(net, ["0", "1"], [seen])
        for name, gram in expected.items():
            np.testing.assert_allclose(found[name].grams, gram.grams, rtol=1e-6)

"""Batch norm folded: the same outputs, and a clear word where it cannot be told what a batch norm follows."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pvq.__main__ import run
from pvq.empirical.fold import fold_batch_norm
from pvq.empirical.model import Model, Source
from pvq.empirical.models_zoo import load_model
from pvq.empirical.module_layers import module_layers
from pvq.errors import PvqError


def as_model(net: nn.Module) -> Model:
    return Model("net", Source("memory"), module_layers(net), lambda: net)


def random_norms(net: nn.Module) -> nn.Module:
    """Give every batch norm statistics that change what passes."""
    for part in net.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is not None:
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2.0)
            if part.affine:
                part.weight.data.normal_()
                part.bias.data.normal_()
    return net.double().eval()


def norms(net: nn.Module) -> int:
    return sum(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in net.modules())


class Residual(nn.Module):
    """Batch norms after a convolution, after a sum, after a convolution whose output is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.bn_a = nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3)
        self.bn_sum = nn.BatchNorm2d(3)
        self.b, self.bn_b = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.unused = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.bn_a(self.a(x))
        y = self.b(self.bn_sum(x))
        return y + self.bn_b(y)


class Twice(nn.Module):
    """One convolution before two batch norms."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.one, self.two = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.conv(self.one(self.conv(x))))


class Scaled(nn.Conv2d):
    """A convolution that is not linear in its weights."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return nn.functional.conv2d(input, self.weight.sign(), self.bias)


class BatchNormAct(nn.BatchNorm2d):
    """Like timm's."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.drop, self.act = nn.Identity(), nn.ReLU()

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return self.act(self.drop(super().forward(input)))


NETS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "convolution": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), 1),
    "groups, no bias": (
        lambda: nn.Sequential(nn.Conv2d(3, 6, 3, groups=3, bias=False), nn.BatchNorm2d(6), nn.ReLU()), 1),
    "not affine": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False)), 1),
    "transposed": (lambda: nn.Sequential(nn.ConvTranspose2d(3, 4, 3, stride=2), nn.BatchNorm2d(4)), 1),
    "transposed, groups": (
        lambda: nn.Sequential(nn.ConvTranspose2d(3, 6, 3, groups=3), nn.BatchNorm2d(6)), 1),
    "linear": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(108, 5), nn.BatchNorm1d(5)), 1),
    "batch norm first": (lambda: nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)), 0),
    "own statistics": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)), 0),
    "two in a row": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4)), 1),
    "residual": (Residual, 1),
    "one layer twice": (Twice, 0),
    "not linear in its weights": (lambda: nn.Sequential(Scaled(3, 4, 3), nn.BatchNorm2d(4)), 0),
    "with activation": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), BatchNormAct(4)), 1),
    "weight norm": (
        lambda: nn.Sequential(
            nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4)), 0),
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_outputs_stay_the_same(name: str) -> None:
    torch.manual_seed(0)
    make, count = NETS[name]
    net = random_norms(make())
    before = norms(net)
    folded = fold_batch_norm(as_model(net))
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(folded.module()(x), net(x), rtol=1e-12, atol=1e-12)
    assert norms(net) == before  # the original is as it was
    assert len(folded.metadata["batch_norm_folded"]) == count
    assert f"{count} of {before} batch norms folded" in folded.remarks[0]
    assert len(folded.remarks) == (1 if count == before else 2)


def test_weights_are_those_of_the_folded_network() -> None:
    net = random_norms(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    folded = fold_batch_norm(as_model(net))
    norm = net[1]
    factor = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().numpy()
    expected = net[0].weight.detach().numpy() * factor[:, None, None, None]
    np.testing.assert_allclose(folded.weights()["0"].tensor, expected, rtol=1e-13)


class Branching(nn.Module):
    """Does not trace: it looks at its input."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) if bool(x.sum() > 0) else self.body(-x)


def test_a_network_that_does_not_trace_is_folded_inside_its_sequences() -> None:
    net = random_norms(Branching(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1)))
    folded = fold_batch_norm(as_model(net))
    assert folded.metadata["batch_norm_folded"] == ["body.1"]
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(folded.module()(x), net(x), rtol=1e-12, atol=1e-12)


def test_where_it_cannot_be_told_it_is_refused() -> None:
    net = Branching(nn.Conv2d(3, 4, 3))
    net.norm = nn.BatchNorm2d(4)
    with pytest.raises(
        PvqError, match=r"does not trace \(.*norm follows no layer in an nn.Sequential"
    ) as told:
        fold_batch_norm(as_model(net.eval()))
    assert "\n" not in str(told.value)
    with pytest.raises(PvqError, match="weights only: a has no network that tells what a batch norm follows"):
        fold_batch_norm(Model("a", Source("memory"), {}))


def test_a_network_without_batch_norm_passes_with_a_remark() -> None:
    folded = fold_batch_norm(as_model(nn.Sequential(nn.Linear(3, 2))))
    assert folded.remarks == ("no batch norm to fold",)


def test_the_bundled_network_folds_whole(capsys: pytest.CaptureFixture[str]) -> None:
    model = load_model("resnet20-cifar10")
    folded = fold_batch_norm(model)
    assert len(folded.metadata["batch_norm_folded"]) == 19
    assert set(folded.weights()) == set(model.weights())
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(folded.module()(x), model.module()(x), rtol=1e-4, atol=1e-4)
    assert run(["layers", "resnet20-cifar10", "--bits", "4", "--fold-bn", "--json"]) == 0
    printed = capsys.readouterr()
    assert "19 of 19 batch norms folded" in printed.err
    assert run(["layers", "resnet20-cifar10", "--bits", "4", "--json"]) == 0
    assert capsys.readouterr().out != printed.out


@pytest.mark.parametrize("name", ["mobilenet_v2", "timm:repvgg_a0"])
def test_networks_of_the_libraries_fold(name: str) -> None:
    for package in ("torchvision", "timm"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    from pvq.empirical.zoo.timm import _import_timm
    from pvq.empirical.zoo.torchvision import import_torchvision

    torch.manual_seed(0)
    make = _import_timm().create_model if name.startswith("timm:") else import_torchvision().models.get_model
    net = random_norms(make(name.removeprefix("timm:")))
    folded = fold_batch_norm(as_model(net))
    x = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    with torch.inference_mode():
        torch.testing.assert_close(folded.module()(x), net(x), rtol=1e-8, atol=1e-8)
    if name != "timm:repvgg_a0":  # which has batch norms on its shortcuts
        assert len(folded.metadata["batch_norm_folded"]) == norms(net)

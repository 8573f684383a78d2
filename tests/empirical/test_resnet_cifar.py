"""The CIFAR ResNets: sizes of the paper, names, shortcuts, refusals."""

from __future__ import annotations

import pytest
import torch

from pvq.empirical.architecture import ARCHITECTURES
from pvq.empirical.models.resnet_cifar import BasicBlock, resnet_cifar
from pvq.errors import SpecError


@pytest.mark.parametrize(
    ("depth", "count", "published"),
    [
        (20, 269_722, 0.27),
        (32, 464_154, 0.46),
        (44, 658_586, 0.66),
        (56, 853_018, 0.85),
        (110, 1_727_962, 1.7),
    ],
)
def test_parameters_are_those_of_the_paper(depth: int, count: int, published: float) -> None:
    """`published` in millions: He et al. 2016, table 6; `count` adds convolutions, norms, classifier."""
    blocks = (depth - 2) // 6
    stage = [2 * 9 * c * c * blocks for c in (16, 32, 64)]
    convolutions = (
        9 * 3 * 16 + sum(stage) - 9 * 16 * 32 - 9 * 32 * 64
    )  # the first of a stage has half the inputs
    norms = 2 * 16 + 2 * 2 * blocks * (16 + 32 + 64)
    found = sum(p.numel() for p in resnet_cifar(depth).parameters())
    assert found == count == convolutions + norms + 64 * 10 + 10
    assert found / 1e6 == pytest.approx(published, abs=0.03)


def test_modules_carry_the_usual_names() -> None:
    weights = {name for name, p in resnet_cifar(20).named_parameters() if p.ndim > 1}
    blocks = {f"layer{s}.{b}.conv{c}.weight" for s in (1, 2, 3) for b in (0, 1, 2) for c in (1, 2)}
    assert weights == blocks | {"conv1.weight", "fc.weight"}
    assert {"bn1.weight", "layer3.2.bn2.running_var", "fc.bias"} <= set(resnet_cifar(20).state_dict())


@pytest.mark.parametrize("width", [1, 4])
def test_logits_have_one_row_per_image(width: int) -> None:
    assert resnet_cifar(8, 7, width).eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


def test_a_shortcut_subsamples_and_fills_with_zeros_on_both_sides() -> None:
    x = torch.randn(2, 4, 6, 6)
    y = BasicBlock(4, 8, 2).shortcut(x)
    torch.testing.assert_close(y[:, 2:6], x[:, :, ::2, ::2], rtol=0, atol=0)
    assert y.shape == (2, 8, 3, 3)
    assert not y[:, :2].any()
    assert not y[:, 6:].any()
    assert BasicBlock(4, 4, 1).shortcut(x) is x


def test_shortcuts_of_option_b_project_where_the_shape_changes() -> None:
    net = ARCHITECTURES.build("resnet-cifar[depth=8,shortcut=B]").build()
    projections = {name: tuple(p.shape) for name, p in net.named_parameters() if "downsample.0" in name}
    assert projections == {
        "layer2.0.downsample.0.weight": (32, 16, 1, 1),
        "layer3.0.downsample.0.weight": (64, 32, 1, 1),
    }
    block = BasicBlock(4, 8, 2, projection=True).eval()
    x = torch.randn(2, 4, 6, 6)
    assert block.downsample is not None
    torch.testing.assert_close(block.shortcut(x), block.downsample(x), rtol=0, atol=0)
    assert net.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    projects = [BasicBlock(4, c, s, True).downsample is not None for c, s in ((4, 1), (4, 2), (8, 1))]
    assert projects == [False, True, True]


def test_channels_of_a_pruned_network() -> None:
    net = ARCHITECTURES.build("resnet-cifar[depth=8,shortcut=B,channels=12;23;9]").build()
    assert net.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert [net.get_parameter(f"layer{i}.0.conv2.weight").shape[0] for i in (1, 2, 3)] == [12, 23, 9]


def test_weights_follow_torchs_seed() -> None:
    def fresh(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return resnet_cifar(8).conv1.weight

    assert torch.equal(fresh(1), fresh(1))
    assert not torch.equal(fresh(1), fresh(2))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("resnet-cifar[depth=21]", r"depth must be 6k \+ 2 with k >= 1, got 21"),
        ("resnet-cifar[depth=2]", "depth must be"),
        ("resnet-cifar[num_classes=1]", "num_classes must be at least 2, got 1"),
        ("resnet-cifar[width=0]", "width must be at least 1, got 0"),
        ("resnet-cifar[shortcut=C]", "must be one of A, B"),
        ("resnet-cifar[channels=12;23]", "channels must be three positive numbers"),
        ("resnet-cifar[channels=12;23;9]", "channels must not fall where shortcut is A"),
        ("resnet-cifar[deep=20]", "no option 'deep'; did you mean depth"),
    ],
)
def test_refusals(spec: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        ARCHITECTURES.build(spec)

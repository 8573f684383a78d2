"""VGG: counts of the papers that use it, torchvision's names and outputs, refusals."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pvq.empirical.architecture import ARCHITECTURES
from pvq.empirical.zoo.torchvision import import_torchvision
from pvq.errors import SpecError

LARGE = "hidden=4096;4096,pool=7"


def empty(spec: str) -> nn.Module:
    """Return a network whose weights take no memory."""
    with torch.device("meta"):
        return ARCHITECTURES.build(spec).build()


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        # a study of VGG-11 with batch norm on CIFAR-10: before, and after 20 % structured pruning
        ("vgg", 9_756_426),
        ("vgg[channels=57;96;153;140;256;230;153;512]", 2_785_206),
        # a study of torchvision's VGG-11 on 100 classes of ImageNet
        (f"vgg[num_classes=100,batch_norm=false,{LARGE}]", 129_176_036),
        # torchvision's own documentation
        (f"vgg[num_classes=1000,batch_norm=false,{LARGE}]", 132_863_336),
        (f"vgg[depth=16,num_classes=1000,batch_norm=false,{LARGE}]", 138_357_544),
        (f"vgg[depth=19,num_classes=1000,batch_norm=true,{LARGE}]", 143_678_248),
    ],
)
def test_parameters_are_those_published(spec: str, count: int) -> None:
    assert sum(p.numel() for p in empty(spec).parameters()) == count


@pytest.mark.parametrize(("depth", "batch_norm"), [(11, False), (13, True)])
def test_outputs_are_torchvisions_for_the_same_weights(depth: int, batch_norm: bool) -> None:
    build = getattr(import_torchvision().models, f"vgg{depth}{'_bn' if batch_norm else ''}")
    with torch.device("meta"):
        theirs = build(num_classes=5)
    theirs.classifier = nn.Sequential(  # a smaller head, so that the test is quick
        nn.Linear(512 * 49, 8),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(8, 8),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(8, 5),
    )
    theirs = theirs.to_empty(device="cpu")
    torch.manual_seed(0)
    ours = ARCHITECTURES.build(
        f"vgg[depth={depth},num_classes=5,batch_norm={batch_norm},hidden=8;8,pool=7]"
    ).build()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = torch.randn(2, 3, 40, 40)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=0, atol=0)


def test_logits_have_one_row_per_image() -> None:
    net = ARCHITECTURES.build("vgg[num_classes=7,channels=4;4;4;4;4;4;4;4,hidden=5]").build()
    assert net.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("vgg[depth=12]", "depth must be one of 11, 13, 16, 19, got 12"),
        ("vgg[channels=64;64]", "channels must be 8 positive numbers"),
        ("vgg[hidden=0]", "hidden must be positive"),
        ("vgg[num_classes=1]", "num_classes must be at least 2"),
        ("vgg[pool=0]", "pool at least 1"),
        ("vgg[dropout=1]", r"dropout must lie in \[0, 1\), got 1"),
    ],
)
def test_refusals(spec: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        ARCHITECTURES.build(spec)

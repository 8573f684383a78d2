"""The ResNets for ImageNet: sizes, and torchvision's outputs for the same weights."""

from __future__ import annotations

import pytest
import torch

from pvq.empirical.architecture import ARCHITECTURES
from pvq.empirical.zoo.torchvision import import_torchvision
from pvq.errors import SpecError


@pytest.mark.parametrize(
    ("depth", "count"),
    [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032), (101, 44_549_160), (152, 60_192_808)],
)
def test_parameters_are_those_that_torchvision_documents(depth: int, count: int) -> None:
    with torch.device("meta"):
        net = ARCHITECTURES.build(f"resnet[depth={depth}]").build()
    assert sum(p.numel() for p in net.parameters()) == count


@pytest.mark.parametrize("depth", [18, 50])
def test_outputs_are_torchvisions_for_the_same_weights(depth: int) -> None:
    with torch.device("meta"):
        theirs = getattr(import_torchvision().models, f"resnet{depth}")(num_classes=5)
    torch.manual_seed(0)
    ours = ARCHITECTURES.build(f"resnet[depth={depth},num_classes=5]").build()
    theirs = theirs.to_empty(device="cpu")
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = torch.randn(2, 3, 40, 40)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


@pytest.mark.parametrize(
    ("spec", "message"),
    [("resnet[depth=20]", "depth must be one of 18, 34, 50"), ("resnet[num_classes=1]", "at least 2, got 1")],
)
def test_refusals(spec: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        ARCHITECTURES.build(spec)

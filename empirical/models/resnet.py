"""The residual networks for ImageNet of He et al. 2016, modules named as in torchvision's state dict."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from pvq.empirical.architecture import ARCHITECTURES

__all__ = ["ResNet", "ResNetOptions"]

# Table 1 of the paper: blocks of the four stages; from 50 layers on a block is a bottleneck.
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
BOTTLENECK_FROM = 50


class _Block(nn.Module):
    """A chain of convolutions, each with its batch norm, and a shortcut: identity, or projection.

    Parameters
    ----------
    channels : before, between and after the convolutions
    kernels : of the convolutions
    strided : which of them has the stride
    """

    def __init__(
        self, channels: tuple[int, ...], kernels: tuple[int, ...], strided: int, stride: int
    ) -> None:
        super().__init__()
        self.depth = len(kernels)
        for i, kernel in enumerate(kernels):
            step = stride if i == strided else 1
            conv = nn.Conv2d(channels[i], channels[i + 1], kernel, step, kernel // 2, bias=False)
            self.add_module(f"conv{i + 1}", conv)
            self.add_module(f"bn{i + 1}", nn.BatchNorm2d(channels[i + 1]))
        self.downsample: nn.Module | None = None
        if stride != 1 or channels[0] != channels[-1]:
            project = nn.Conv2d(channels[0], channels[-1], 1, stride, bias=False)
            self.downsample = nn.Sequential(project, nn.BatchNorm2d(channels[-1]))

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(F(x) + shortcut(x))."""
        y = x
        for i in range(1, self.depth + 1):
            y = self.get_submodule(f"bn{i}")(self.get_submodule(f"conv{i}")(y))
            y = F.relu(y) if i < self.depth else y
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


def _block(before: int, width: int, stride: int, bottleneck: bool) -> _Block:
    """Return a block; the stride of a bottleneck is in its 3 x 3 convolution, as in torchvision."""
    if bottleneck:
        return _Block((before, width, width, 4 * width), (1, 3, 1), 1, stride)
    return _Block((before, width, width), (3, 3), 0, stride)


class ResNet(nn.Module):
    """The network: ``conv1, bn1, layer1.0.conv1, ..., fc``; input (N, 3, h, w), output (N, classes).

    Parameters
    ----------
    depth : 18, 34, 50, 101 or 152
    num_classes : outputs
    """

    def __init__(self, depth: int, num_classes: int = 1000) -> None:
        super().__init__()
        bottleneck = depth >= BOTTLENECK_FROM
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        before = 64
        for stage, count in enumerate(BLOCKS[depth]):
            width, blocks = 64 * 2**stage, []
            for i in range(count):
                blocks.append(_block(before, width, 2 if stage and i == 0 else 1, bottleneck))
                before = width * (4 if bottleneck else 1)
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(before, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of shape (N, classes)."""
        y = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        for stage in range(1, 5):
            y = self.get_submodule(f"layer{stage}")(y)
        logits: Tensor = self.fc(y.mean(dim=(2, 3)))
        return logits


@ARCHITECTURES.register("resnet")
@dataclass(frozen=True)
class ResNetOptions:
    """ResNet-18, 34, 50, 101 or 152 for ImageNet, as torchvision has them.

    Parameters
    ----------
    depth : 18, 34, 50, 101 or 152
    num_classes : outputs
    """

    depth: int = 18
    num_classes: int = 1000

    def __post_init__(self) -> None:
        if self.depth not in BLOCKS:
            raise ValueError(f"depth must be one of {', '.join(map(str, BLOCKS))}, got {self.depth}")
        if self.num_classes < 2:
            raise ValueError(f"num_classes must be at least 2, got {self.num_classes}")

    def build(self) -> ResNet:
        """Return the network with fresh weights."""
        return ResNet(self.depth, self.num_classes)

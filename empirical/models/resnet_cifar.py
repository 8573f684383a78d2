"""The residual networks for 32 x 32 images of He et al. 2016, with either shortcut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from pvq.empirical.architecture import ARCHITECTURES

__all__ = ["BasicBlock", "ResNetCifar", "ResNetCifarOptions", "resnet_cifar"]


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut.

    Where the shape changes, the shortcut is option A of the paper, which has no weights: subsample, then fill
    new channels with zeros; or option B, ``downsample``: a 1 x 1 convolution and a batch norm.

    Parameters
    ----------
    channels_in, channels_out : channels before and after
    stride : of the first convolution and of the shortcut
    projection : option B
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, projection: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.stride = stride
        self.extra = channels_out - channels_in
        self.downsample: nn.Module | None = None
        if projection and (stride != 1 or self.extra != 0):
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(F(x) + shortcut(x)), shape (N, channels_out, H / stride, W / stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.shortcut(x))

    def shortcut(self, x: Tensor) -> Tensor:
        """Return the projection of x, or every stride-th pixel amid zeros for the new channels."""
        if self.downsample is not None:
            projected: Tensor = self.downsample(x)
            return projected
        if self.stride == 1 and self.extra == 0:
            return x
        before = self.extra // 2
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.extra - before))


class ResNetCifar(nn.Module):
    """A CIFAR ResNet of depth 6k + 2: three stages of k blocks, in the paper with 16, 32 and 64 channels.

    Modules: ``conv1, bn1, layer1.0.conv1, ..., layer3.{k-1}.bn2, fc``.
    Input (N, 3, 32, 32), output (N, classes).
    Source: He, Zhang, Ren, Sun, Deep Residual Learning for Image Recognition, CVPR 2016, section 4.2.

    Parameters
    ----------
    depth : 6k + 2 with k >= 1
    num_classes : outputs
    channels : of the three stages
    projection : shortcuts of option B
    """

    def __init__(
        self,
        depth: int,
        num_classes: int = 10,
        channels: tuple[int, int, int] = (16, 32, 64),
        projection: bool = False,
    ) -> None:
        super().__init__()
        blocks, (one, two, three) = (depth - 2) // 6, channels
        self.conv1 = nn.Conv2d(3, one, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(one)
        self.layer1 = _stage(one, one, blocks, 1, projection)
        self.layer2 = _stage(one, two, blocks, 2, projection)
        self.layer3 = _stage(two, three, blocks, 2, projection)
        self.fc = nn.Linear(three, num_classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of shape (N, classes)."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.fc(x.mean(dim=(2, 3)))
        return logits


def _stage(channels_in: int, channels_out: int, blocks: int, stride: int, projection: bool) -> nn.Sequential:
    first = BasicBlock(channels_in, channels_out, stride, projection)
    return nn.Sequential(first, *(BasicBlock(channels_out, channels_out, 1) for _ in range(blocks - 1)))


@ARCHITECTURES.register("resnet-cifar")
@dataclass(frozen=True)
class ResNetCifarOptions:
    """CIFAR ResNet of He et al. 2016, depth 20, 32, 44, 56, 110 or any other 6k + 2.

    Parameters
    ----------
    depth : 6k + 2 with k >= 1
    num_classes : outputs
    width : channels of the first stage, 16 in the paper; each later one has twice as many
    shortcut : A has no weights, B projects by 1 x 1 convolutions
    channels : of the three stages, such as 12;23;45 of a network whose filters were pruned; replaces `width`
    """

    depth: int = 20
    num_classes: int = 10
    width: int = 16
    shortcut: Literal["A", "B"] = "A"
    channels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.depth < 8 or self.depth % 6 != 2:
            raise ValueError(f"depth must be 6k + 2 with k >= 1, got {self.depth}")
        if self.num_classes < 2:
            raise ValueError(f"num_classes must be at least 2, got {self.num_classes}")
        if self.width < 1:
            raise ValueError(f"width must be at least 1, got {self.width}")
        if self.channels and (len(self.channels) != 3 or min(self.channels) < 1):
            raise ValueError(f"channels must be three positive numbers, got {self.channels}")
        if self.shortcut == "A" and list(self.channels) != sorted(self.channels):
            raise ValueError(f"channels must not fall where shortcut is A, got {self.channels}")

    def build(self) -> ResNetCifar:
        """Return the network with fresh weights."""
        one, two, three = self.channels or (self.width, 2 * self.width, 4 * self.width)
        return ResNetCifar(self.depth, self.num_classes, (one, two, three), self.shortcut == "B")


def resnet_cifar(depth: int, num_classes: int = 10, width: int = 16) -> ResNetCifar:
    """Return a CIFAR ResNet with fresh weights.

    Raises
    ------
    ValueError : a depth that is not 6k + 2, fewer than two classes

    >>> sum(p.numel() for p in resnet_cifar(20).parameters())
    269722
    """
    return ResNetCifarOptions(depth, num_classes, width).build()

"""VGG (Simonyan & Zisserman, ICLR 2015), modules named as in torchvision, sizes as its users vary them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from pvq.empirical.architecture import ARCHITECTURES

__all__ = ["VGG", "VGGOptions"]

# Table 1 of the paper: 3 x 3 convolutions before each of the five poolings, and their channels.
REPEATS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
CHANNELS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """Convolutions with biases in five stages, then fully connected layers.

    Modules: ``features.0, ..., classifier.0, classifier.3, ...`` as in torchvision's state dict.

    Parameters
    ----------
    repeats : convolutions of each stage
    channels : of each convolution
    hidden : widths of the fully connected layers before the last
    num_classes : outputs
    batch_norm : after every convolution
    pool : side of the map that enters the fully connected layers
    dropout : before each fully connected layer but the first
    """

    def __init__(
        self,
        repeats: tuple[int, ...],
        channels: tuple[int, ...],
        hidden: tuple[int, ...],
        num_classes: int,
        batch_norm: bool,
        pool: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.features = _features(repeats, channels, batch_norm)
        self.avgpool = nn.AdaptiveAvgPool2d(pool)
        self.classifier = _classifier((channels[-1] * pool**2, *hidden, num_classes), dropout)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias) if module.bias is not None else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (batch, classes), of images (batch, 3, h, w) of 32 pixels or more."""
        logits: Tensor = self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))
        return logits


def _features(repeats: tuple[int, ...], channels: tuple[int, ...], batch_norm: bool) -> nn.Sequential:
    parts: list[nn.Module] = []
    before, left = 3, iter(channels)
    for count in repeats:
        for after in (next(left) for _ in range(count)):
            parts.append(nn.Conv2d(before, after, 3, padding=1))
            parts += [nn.BatchNorm2d(after)] if batch_norm else []
            parts.append(nn.ReLU(inplace=True))
            before = after
        parts.append(nn.MaxPool2d(2))
    return nn.Sequential(*parts)


def _classifier(sizes: tuple[int, ...], dropout: float) -> nn.Sequential:
    parts: list[nn.Module] = []
    for before, after in pairwise(sizes[:-1]):
        parts += [nn.Linear(before, after), nn.ReLU(inplace=True), nn.Dropout(dropout)]
    return nn.Sequential(*parts, nn.Linear(sizes[-2], sizes[-1]))


@ARCHITECTURES.register("vgg")
@dataclass(frozen=True)
class VGGOptions:
    """VGG-11, 13, 16 or 19; by default for CIFAR-10, with batch norm and two hidden layers of 512.

    torchvision's network is ``vgg[depth=11,num_classes=1000,batch_norm=false,hidden=4096;4096,pool=7]``.

    Parameters
    ----------
    depth : 11, 13, 16 or 19
    num_classes : outputs
    batch_norm : after every convolution
    hidden : widths of the fully connected layers before the last, such as 512;512
    channels : of each convolution, such as those that pruning of filters left; the paper's if empty
    pool : side of the map that enters the fully connected layers, 7 for images of 224 pixels
    dropout : before each fully connected layer but the first, in [0, 1)
    """

    depth: int = 11
    num_classes: int = 10
    batch_norm: bool = True
    hidden: tuple[int, ...] = (512, 512)
    channels: tuple[int, ...] = ()
    pool: int = 1
    dropout: float = 0.5

    def __post_init__(self) -> None:
        if self.depth not in REPEATS:
            raise ValueError(f"depth must be one of {', '.join(map(str, REPEATS))}, got {self.depth}")
        count = sum(REPEATS[self.depth])
        if self.channels and (len(self.channels) != count or min(self.channels) < 1):
            raise ValueError(f"channels must be {count} positive numbers, got {self.channels}")
        if self.hidden and min(self.hidden) < 1:
            raise ValueError(f"hidden must be positive numbers, got {self.hidden}")
        if self.num_classes < 2 or self.pool < 1:
            raise ValueError(
                f"num_classes must be at least 2 and pool at least 1, got {self.num_classes} and {self.pool}"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {self.dropout}")

    def build(self) -> VGG:
        """Return the network with fresh weights."""
        repeats = REPEATS[self.depth]
        paper = tuple(c for c, count in zip(CHANNELS, repeats, strict=True) for _ in range(count))
        return VGG(
            repeats,
            self.channels or paper,
            self.hidden,
            self.num_classes,
            self.batch_norm,
            self.pool,
            self.dropout,
        )

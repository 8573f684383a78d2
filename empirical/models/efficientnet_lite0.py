"""EfficientNet-Lite0 (EfficientNet-B0 with ReLU6, no squeeze-and-excitation), TensorFlow's `same` padding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from pvq.empirical.architecture import ARCHITECTURES

__all__ = ["EfficientNetLite0", "EfficientNetLite0Options"]

# Tan & Le, ICML 2019, Table 1: expansion, channels, repeats, stride of the first, kernel.
STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


class SameConv2d(nn.Conv2d):
    """Convolution that pads as TensorFlow's `same`: ceil(size / stride) outputs, the odd pixel last."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that nn.Conv2d gives it
        """Return the convolution of the padded input."""
        pads: list[int] = []
        for size, kernel, stride in zip(
            input.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True
        ):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return F.conv2d(F.pad(input, pads), self.weight, self.bias, self.stride, 0, 1, self.groups)


def _conv(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return SameConv2d(c_in, c_out, kernel, stride, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class Block(nn.Module):
    """Inverted residual: expand, depthwise, project."""

    def __init__(self, c_in: int, c_out: int, stride: int, expansion: int, kernel: int) -> None:
        super().__init__()
        hidden = c_in * expansion
        self.expands = expansion != 1
        if self.expands:
            self._expand_conv, self._bn0 = _conv(c_in, hidden, 1), _norm(hidden)
        self._depthwise_conv, self._bn1 = _conv(hidden, hidden, kernel, stride, hidden), _norm(hidden)
        self._project_conv, self._bn2 = _conv(hidden, c_out, 1), _norm(c_out)
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, (batch, c_out, ceil(h / stride), ceil(w / stride))."""
        wide = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        filtered = F.relu6(self._bn1(self._depthwise_conv(wide)))
        y: Tensor = self._bn2(self._project_conv(filtered))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """The network: 4.7 million weights, modules named as in the published PyTorch state dict."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = _conv(3, 32, 3, 2), _norm(32)
        blocks: list[nn.Module] = []
        channels = 32
        for expansion, c_out, repeats, stride, kernel in STAGES:
            for i in range(repeats):
                blocks.append(Block(channels, c_out, stride if i == 0 else 1, expansion, kernel))
                channels = c_out
        self._blocks = nn.Sequential(*blocks)
        self._conv_head, self._bn1 = _conv(channels, 1280, 1), _norm(1280)
        self._fc = nn.Linear(1280, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (batch, classes), of images (batch, 3, h, w)."""
        y = F.relu6(self._bn0(self._conv_stem(x)))
        y = F.relu6(self._bn1(self._conv_head(self._blocks(y))))
        logits: Tensor = self._fc(torch.flatten(F.adaptive_avg_pool2d(y, 1), 1))
        return logits


@ARCHITECTURES.register("efficientnet-lite0")
@dataclass(frozen=True)
class EfficientNetLite0Options:
    """EfficientNet-Lite0, for images of 32 pixels or more.

    Parameters
    ----------
    num_classes : outputs
    """

    num_classes: int = 1000

    def build(self) -> EfficientNetLite0:
        """Return the network with fresh weights."""
        return EfficientNetLite0(self.num_classes)

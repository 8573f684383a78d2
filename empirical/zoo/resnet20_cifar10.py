"""The bundled network: ResNet-20 on CIFAR-10, trained by this project."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvq.empirical.model import Model, Preprocessing, Source, file_sha256
from pvq.empirical.models_zoo import MODELS
from pvq.empirical.state_dict import layers_of, load_state_dict
from pvq.errors import MissingExtra

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ResNet20Cifar10"]

WEIGHTS = Path(__file__).parents[1] / "bundled" / "resnet20_cifar10.safetensors"


@MODELS.register("resnet20-cifar10")
@dataclass(frozen=True)
class ResNet20Cifar10:
    """ResNet-20 on CIFAR-10, trained by this project and bundled with it."""

    def load(self) -> Model:
        """Return the network; its metadata are those written into the file when it was trained."""
        from pvq import __version__

        about = _metadata(WEIGHTS)
        state = load_state_dict(WEIGHTS)
        source = Source("pvq", __version__, WEIGHTS.name, file_sha256(WEIGHTS), "MIT")
        preprocessing = Preprocessing(32, tuple(about["mean"]), tuple(about["std"]))

        def build() -> nn.Module:
            from pvq.empirical.architecture import ARCHITECTURES

            net = ARCHITECTURES.build(str(about["architecture"])).build()
            net.load_state_dict(state, strict=True)
            return net

        return Model("resnet20-cifar10", source, layers_of(state), build, preprocessing, about)


def _metadata(path: Path) -> dict[str, Any]:
    """Return what training wrote into the header: architecture, mean, std, accuracy, seed, recipe."""
    try:
        from safetensors import safe_open
    except ImportError as error:
        raise MissingExtra("safetensors", "torch") from error
    with safe_open(str(path), framework="numpy") as file:
        about: dict[str, Any] = json.loads(file.metadata()["pvq"])
    return about

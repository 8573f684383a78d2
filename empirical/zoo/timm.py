"""Networks of timm (PyTorch image models)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pvq.empirical.model import Model, Preprocessing, Source
from pvq.empirical.models_zoo import MODELS, nearest
from pvq.empirical.zoo.torchvision import import_torchvision
from pvq.errors import PvqError, UnknownName

__all__ = ["Timm"]


@MODELS.register("timm")
@dataclass(frozen=True)
class Timm:
    """A network of timm with its pretrained weights: timm:NAME (cached or downloaded).

    Parameters
    ----------
    name : as in ``timm.list_models(pretrained=True)``, with or without the tag after the dot
    """

    name: str

    def load(self) -> Model:
        """Return the network with its pretrained weights."""
        timm = _import_timm()
        known = timm.list_models()
        if self.name.partition(".")[0] not in known:
            raise UnknownName(f"unknown timm model {self.name!r}{nearest(self.name, known)}")
        net = _download(timm, self.name)
        from pvq.empirical.module_layers import module_layers, module_remarks

        config = dict(net.pretrained_cfg)
        source = Source("timm", timm.__version__, str(config.get("hf_hub_id") or config.get("url") or ""))
        preprocessing = _preprocessing(timm.data.resolve_model_data_config(net))
        return Model(
            f"timm:{self.name}",
            source,
            module_layers(net),
            lambda: net,
            preprocessing,
            {"config": config, "remarks": module_remarks(net)},
        )


def _import_timm() -> Any:
    import_torchvision()
    try:
        import timm
    except ImportError as error:
        raise PvqError("timm is not installed; run: pip install timm") from error
    return timm


def _download(timm: Any, name: str) -> Any:
    """Return the network; timm's ways to fail are as many as its sources of weights."""
    try:
        return timm.create_model(name, pretrained=True)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise PvqError(
            f"the weights of timm:{name} are not in the cache and cannot be downloaded: {reason}"
        ) from error


def _preprocessing(config: dict[str, Any]) -> Preprocessing | None:
    """Return what timm's evaluation transform does; None where it pads, or cuts no square."""
    _, height, width = config["input_size"]
    mode = config.get("crop_mode") or "center"
    if height != width or mode == "border":
        return None
    resize = math.floor(height / config["crop_pct"])
    mean, std = tuple(config["mean"]), tuple(config["std"])
    return Preprocessing(height, mean, std, resize, config["interpolation"], squash=mode == "squash")

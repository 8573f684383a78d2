"""Networks of torchvision's model zoo."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

from pvq.empirical.model import Model, Preprocessing, Source
from pvq.empirical.models_zoo import MODELS, nearest
from pvq.errors import PvqError, UnknownName

__all__ = ["Torchvision", "import_torchvision"]


@MODELS.register("torchvision")
@dataclass(frozen=True)
class Torchvision:
    """A network of torchvision with its default weights: torchvision:NAME (cached or downloaded).

    Parameters
    ----------
    name : as in ``torchvision.models.list_models()``
    """

    name: str

    def load(self) -> Model:
        """Return the network with its default weights."""
        models = import_torchvision().models
        if self.name not in models.list_models():
            raise UnknownName(
                f"unknown torchvision model {self.name!r}{nearest(self.name, models.list_models())}"
            )
        weights = models.get_model_weights(self.name).DEFAULT
        net = _download(models, self.name, weights)
        from pvq.empirical.module_layers import module_layers, module_remarks

        url = str(weights.url)
        source = Source("torchvision", import_torchvision().__version__, url.rpartition("/")[2])
        metadata = {"weights": str(weights), "url": url, "metrics": weights.meta.get("_metrics", {})}
        metadata["remarks"] = module_remarks(net)
        return Model(
            f"torchvision:{self.name}",
            source,
            module_layers(net),
            lambda: net,
            _preprocessing(weights),
            metadata,
        )


def import_torchvision() -> ModuleType:
    """Return torchvision, imported.

    Its wheel beside a CPU build of torch has no compiled operators; then the schemas that its import looks up
    are declared first. Nothing here calls them.

    Raises
    ------
    PvqError : not installed, or broken
    """
    try:
        import torchvision
    except ImportError as error:
        raise PvqError("torchvision is not installed; run: pip install torchvision") from error
    except RuntimeError:
        torchvision = _import_without_operators()
    module: ModuleType = torchvision
    return module


def _import_without_operators() -> ModuleType:
    import importlib
    import sys

    import torch

    for loaded in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[loaded]  # the failed import leaves halves behind
    for operator in ("nms", "qnms"):
        schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        torch.library.define(f"torchvision::{operator}", schema)
    try:
        return importlib.import_module("torchvision")
    except (ImportError, RuntimeError) as error:
        raise PvqError(f"torchvision does not fit this torch: {str(error).splitlines()[0]}") from error


def _download(models: Any, name: str, weights: Any) -> Any:
    try:
        return models.get_model(name, weights=weights)
    except OSError as error:
        raise PvqError(
            f"the weights of torchvision:{name} are not in the cache and cannot be downloaded "
            f"from {weights.url}: {error}"
        ) from error


def _preprocessing(weights: Any) -> Preprocessing | None:
    """Return what the weights' own transform does; None where it is no plain image classifier."""
    transform = weights.transforms()
    try:
        size, resize = int(transform.crop_size[0]), int(transform.resize_size[0])
        how = transform.interpolation.value
        return Preprocessing(size, tuple(transform.mean), tuple(transform.std), resize, how)
    except (AttributeError, IndexError, TypeError, ValueError):
        return None

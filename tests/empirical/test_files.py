"""Weights on disk: read tensor by tensor, sharded, shared, in every number type, and what is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import nn

from pvq.empirical.model import LayerWeights
from pvq.empirical.models_zoo import load_model
from pvq.empirical.state_dict import layers_of
from pvq.empirical.weights import layer_rows
from pvq.errors import PvqError
from pvq.theory.safetensors_file import SafetensorsEntry


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"tok_embed.weight": (7, 4), "a.weight": (4, 4), "b.weight": (6, 4), "head.weight": (7, 4)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def sharded(folder: Path, state: dict[str, torch.Tensor]) -> Path:
    """Write one file per tensor and the index, as Hugging Face does."""
    places = {}
    for i, (name, tensor) in enumerate(state.items(), start=1):
        places[name] = f"model-{i:05}-of-{len(state):05}.safetensors"
        save_file({name: tensor}, folder / places[name])
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    return index


def test_a_sharded_model_is_the_whole_one(tmp_path: Path) -> None:
    state = tensors()
    index = sharded(tmp_path, state)
    by_index, by_folder = load_model(f"file:{index}"), load_model(f"file:{tmp_path}")
    for model in (by_index, by_folder):
        layers = model.weights()
        assert list(layers) == ["tok_embed", "a", "b", "head"]
        for name, layer in layers.items():
            np.testing.assert_array_equal(layer.tensor, state[f"{name}.weight"].numpy())
    assert by_index.source == by_folder.source
    before = by_index.source.sha256
    save_file({"b.weight": state["b.weight"] + 1}, tmp_path / "model-00003-of-00004.safetensors")
    assert load_model(f"file:{index}").source.sha256 != before


def test_one_tensor_is_read_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file(tensors(), tmp_path / "m.safetensors")
    model = load_model(f"file:{tmp_path / 'm.safetensors'}")
    assert all(isinstance(layer.stored, SafetensorsEntry) for layer in model.weights().values())
    read, original = [], SafetensorsEntry.read
    monkeypatch.setattr(SafetensorsEntry, "read", lambda self: read.append(self.name) or original(self))
    rows = layer_rows(model, [2, 4])
    assert read == ["a.weight", "b.weight", "head.weight", "tok_embed.weight"]  # the file's own order
    assert [row["kind"] for row in rows[::2]] == ["linear", "linear", "linear", "embedding"]


def test_progress_counts_weights(tmp_path: Path) -> None:
    save_file(tensors(), tmp_path / "m.safetensors")
    told: list[tuple[int, int, str]] = []
    layer_rows(
        load_model(f"file:{tmp_path / 'm.safetensors'}"),
        [4],
        progress=lambda done, total, label="": told.append((done, total, label)),
    )
    assert [done for done, *_ in told] == [0, 16, 40, 68, 96]
    assert {total for _, total, _ in told} == {96}
    assert told[1][2] == "b"


@pytest.mark.parametrize(
    "dtype",
    [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2],
    ids=str,
)
def test_every_number_type_is_read_as_torch_does(tmp_path: Path, dtype: torch.dtype) -> None:
    """Every value of the eight-bit types, and random ones of the others."""
    codes = torch.arange(256, dtype=torch.uint8).repeat(8)
    kept = codes.view(dtype).reshape(-1, 4) if dtype.itemsize == 1 else torch.randn(16, 4).to(dtype)
    save_file({"a.weight": kept}, tmp_path / "m.safetensors")
    (layer,) = load_model(f"file:{tmp_path / 'm.safetensors'}").weights().values()
    np.testing.assert_array_equal(layer.matrix, kept.double().numpy())


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_what_is_left_out_is_said(tmp_path: Path, suffix: str) -> None:
    state = tensors() | {
        "q.qweight": torch.ones(4, 4, dtype=torch.int32),
        "fft.weight": torch.ones(4, 4, dtype=torch.complex64),
        "n.parametrizations.weight.original0": torch.ones(4, 1),
        "n.parametrizations.weight.original1": torch.ones(4, 4),
        "lstm.weight_ih_l0": torch.ones(4, 4),
        "norm.weight": torch.ones(4),
    }
    path = tmp_path / f"m.{suffix}"
    save_file(state, path) if suffix == "safetensors" else torch.save(state, path)
    model = load_model(f"file:{path}")
    assert set(model.weights()) == {"tok_embed", "a", "b", "head"}
    said = "\n".join(sorted(model.remarks))
    assert "q.qweight (integer or quantized, so compressed already)" in said
    assert "fft.weight (complex numbers)" in said
    assert "original0, n.parametrizations.weight.original1 (parts from which" in said
    assert "lstm.weight_ih_l0 (recurrent weights)" in said
    assert len(model.remarks) == 4


def named(layers: dict[str, LayerWeights]) -> dict[str, tuple[str, tuple[str, ...], str]]:
    return {name: (layer.kind, layer.tied, layer.note) for name, layer in layers.items()}


TIED = {
    "embed": ("linear", ("head",), "also an embedding"),
    "one": ("linear", ("two",), ""),
}


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.one, self.two = nn.Embedding(9, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.head = nn.Linear(4, 9, bias=False)
        self.two.weight, self.head.weight = self.one.weight, self.embed.weight


@pytest.mark.parametrize("how", ["pt", "identical bytes", "save_model", "state dict"])
def test_shared_weights_are_named_once(tmp_path: Path, how: str) -> None:
    torch.manual_seed(0)
    net = Tied()
    path = tmp_path / ("m.pt" if how == "pt" else "m.safetensors")
    if how == "pt":
        torch.save(net.state_dict(), path)
    elif how == "save_model":
        save_model(net, str(path))
    elif how == "identical bytes":
        save_file({name: tensor.clone() for name, tensor in net.state_dict().items()}, path)
    layers = layers_of(net.state_dict()) if how == "state dict" else load_model(f"file:{path}").weights()
    if how == "save_model":  # the library keeps the last name of a tensor and notes the others
        assert {layer.tied: layer.kind for layer in layers.values()} == {
            ("embed",): "linear",
            ("one",): "linear",
        } or named(layers) == TIED
    else:
        assert named(layers) == TIED
    notes = {row["layer"]: row["note"] for row in layer_rows(_model(layers), [4])}
    assert any("tied to" in note for note in notes.values())


def _model(layers: dict[str, LayerWeights]) -> Any:
    from pvq.empirical.model import Model, Source

    return Model("memory", Source("memory"), layers)


def test_equal_constants_are_not_one_tensor(tmp_path: Path) -> None:
    save_file({"a.weight": torch.zeros(4, 4), "b.weight": torch.zeros(4, 4)}, tmp_path / "m.safetensors")
    assert list(load_model(f"file:{tmp_path / 'm.safetensors'}").weights()) == ["a", "b"]


def test_tensors_that_differ_late_are_two(tmp_path: Path) -> None:
    one = torch.randn(64, 64)
    other = one.clone()
    other[-1, -1] += 1
    save_file({"a.weight": one, "b.weight": other}, tmp_path / "m.safetensors")
    assert list(load_model(f"file:{tmp_path / 'm.safetensors'}").weights()) == ["a", "b"]


def test_a_layer_follows_no_later_change_of_the_state_dict() -> None:
    state = tensors()
    layers = layers_of(state)
    before = layers["a"].tensor.copy()
    state["a.weight"] += 1
    np.testing.assert_array_equal(layers["a"].tensor, before)


def broken_index(folder: Path, change: dict[str, Any]) -> Path:
    index = sharded(folder, tensors())
    content = json.loads(index.read_text())
    index.write_text(json.dumps(content | change))
    return index


@pytest.mark.parametrize(
    ("change", "demand"),
    [
        ({"weight_map": {"a.weight": "gone.safetensors"}}, "no such file: .*gone.safetensors"),
        ({"weight_map": {"z": "model-00001-of-00004.safetensors"}}, "holds no tensor 'z'"),
        ({"weight_map": {}}, "not a readable index of safetensors files: weight_map names no tensor"),
        ({"weight_map": {"a.weight": "../x.safetensors"}}, "names of files in the same folder"),
        ({"weight_map": 3}, "not a readable index"),
    ],
)
def test_a_wrong_index_is_refused_in_one_line(tmp_path: Path, change: dict[str, Any], demand: str) -> None:
    with pytest.raises(PvqError, match=demand) as caught:
        load_model(f"file:{broken_index(tmp_path, change)}")
    assert "\n" not in str(caught.value)


def test_a_folder_of_several_files_without_an_index_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_file(tensors(), tmp_path / f"{name}.safetensors")
    with pytest.raises(
        PvqError, match=r"is a directory; it must hold one .safetensors file or an index, got 2"
    ):
        load_model(f"file:{tmp_path}")
    save_file(tensors(), tmp_path / "model.safetensors")
    assert load_model(f"file:{tmp_path}").source.file == "model.safetensors"


def test_a_file_that_shrinks_after_it_was_opened_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file(tensors(), path)
    model = load_model(f"file:{path}")
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match=r"must hold all of 'tok_embed.weight', got 104 of 112 bytes"):
        layer_rows(model, [4])
    with pytest.raises(PvqError, match=r"not a readable safetensors file: 'tok_embed.weight' at bytes"):
        load_model(f"file:{path}")

"""Training on the bundled images with a small network: repeats, resumes, learns, refuses."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from pvq.empirical.augment import augment
from pvq.empirical.checkpoint import read_checkpoint
from pvq.empirical.data.bundled import Bundled
from pvq.empirical.data.npz import Npz
from pvq.empirical.model import Preprocessing
from pvq.empirical.models_zoo import load_model
from pvq.empirical.progress import show_progress
from pvq.empirical.recipe import Recipe
from pvq.empirical.record import read_record
from pvq.empirical.train import Moment, train, train_rows
from pvq.empirical.training_state import fresh_state
from pvq.errors import PvqError

RECIPE = Recipe(
    "small", "resnet-cifar[depth=8,width=4]", "bundled", epochs=3, batch_size=64, validation=64, threads=1
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that was not disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    train(RECIPE, folder)
    return folder


def numbers(folder: Path) -> list[tuple[float | None, ...]]:
    return [entry.numbers() for entry in read_record(folder / "record.json").epochs]


def test_a_run_leaves_weights_record_and_metrics(whole: Path) -> None:
    record = read_record(whole / "record.json")
    assert record.recipe == json.loads(json.dumps(dataclasses.asdict(RECIPE)))
    assert record.recipe_hash == RECIPE.hash
    assert record.test_accuracy is None  # the bundled images have no test split
    assert [entry.epoch for entry in record.epochs] == [1, 2, 3]
    assert all(0 <= (entry.validation_accuracy or 0) <= 1 for entry in record.epochs)
    assert record.provenance["versions"]["torch"]
    assert len((whole / "metrics.jsonl").read_text().splitlines()) == 3
    with safe_open(whole / record.weights, framework="pt") as file:
        about = json.loads(file.metadata()["pvq"])
    assert about == {
        "architecture": RECIPE.model, "size": 32, "mean": list(RECIPE.mean), "std": list(RECIPE.std),
        "test_accuracy": None, "seed": 0, "recipe_hash": RECIPE.hash,
    }  # fmt: skip


def test_a_repeated_run_gives_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    torch.manual_seed(12345)  # a caller's own seed is no part of it
    train(RECIPE, tmp_path)
    assert numbers(tmp_path) == numbers(whole)
    assert (tmp_path / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()


@pytest.mark.parametrize(("epoch", "step"), [(1, 2), (2, 1), (3, 7)])
def test_a_run_stopped_anywhere_ends_with_the_same_bytes(
    whole: Path, tmp_path: Path, epoch: int, step: int
) -> None:
    def stop(moment: Moment) -> None:
        if (moment.epoch, moment.step) == (epoch, step):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(RECIPE, tmp_path, progress=stop)
    checkpoint = read_checkpoint(tmp_path / "checkpoint.safetensors")
    assert (0 if checkpoint is None else len(checkpoint.epochs)) == epoch - 1
    steps: list[Moment] = []
    train(RECIPE, tmp_path, progress=steps.append)
    assert steps[0].epoch == epoch  # it went on; it did not start again
    assert numbers(tmp_path) == numbers(whole)
    assert (tmp_path / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()


def test_every_epoch_sees_each_image_once_in_an_order_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def watch(images: torch.Tensor, *rest: Any) -> torch.Tensor:
        seen.extend(images.long().sum(dim=(1, 2, 3)).tolist())
        return augment(images, *rest)

    monkeypatch.setattr("pvq.empirical.train.augment", watch)
    train(dataclasses.replace(RECIPE, epochs=2, validation=0), tmp_path)
    first, second = seen[:512], seen[512:]
    every = Bundled().images().sum(axis=(1, 2, 3), dtype=np.int64).tolist()
    assert sorted(first) == sorted(second) == sorted(every)
    assert first != second


def test_a_finished_run_is_returned_without_training(whole: Path) -> None:
    def fail(moment: Moment) -> None:
        raise AssertionError(moment)

    assert train(RECIPE, whole, progress=fail) == read_record(whole / "record.json")


def test_without_resume_a_run_starts_again(whole: Path, tmp_path: Path) -> None:
    def stop(moment: Moment) -> None:
        if moment.epoch == 2:
            raise KeyboardInterrupt

    train(dataclasses.replace(RECIPE, epochs=1, seed=5), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(RECIPE, tmp_path, resume=False, progress=stop)
    assert not (tmp_path / "record.json").exists()  # the first run's, which would end this one
    train(RECIPE, tmp_path)
    assert numbers(tmp_path) == numbers(whole)


@pytest.fixture(scope="module")
def one_epoch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    train(dataclasses.replace(RECIPE, epochs=1), folder)
    return folder


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1}, {"flip": False}, {"crop": 0}, {"weight_decay": 0.1}, {"warmup": 0.5}, {"momentum": 0.5},
        {"schedule": "linear"}, {"label_smoothing": 0.1}, {"mean": (0.0, 0.0, 0.0)}, {"std": (1.0, 1.0, 1.0)},
    ],
)  # fmt: skip
def test_settings_count(one_epoch: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    train(dataclasses.replace(RECIPE, epochs=1, **change), tmp_path)
    ((_, loss, *_),), ((_, other, *_),) = numbers(tmp_path), numbers(one_epoch)
    assert loss != other


def test_weight_decay_spares_biases_and_norms() -> None:
    state = fresh_state(dataclasses.replace(RECIPE, weight_decay=0.25))
    decayed, spared = state.optimizer.param_groups
    names = {id(parameter): name for name, parameter in state.model.named_parameters()}
    assert {group["weight_decay"] for group in (decayed, spared)} == {0.25, 0}
    assert decayed["weight_decay"] == 0.25
    assert {group["peak"] for group in (decayed, spared)} == {RECIPE.learning_rate}
    assert {names[id(p)].rpartition(".")[0] for p in decayed["params"]} == {
        name for name, module in state.model.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))
    }
    assert all("bn" in names[id(p)] or names[id(p)] == "fc.bias" for p in spared["params"])
    assert len(names) == len(decayed["params"]) + len(spared["params"])


def test_another_recipe_does_not_go_on_with_a_run(whole: Path, tmp_path: Path) -> None:
    other = dataclasses.replace(RECIPE, learning_rate=0.2)
    with pytest.raises(PvqError, match="holds a run of another recipe"):
        train(other, whole)
    (tmp_path / "checkpoint.safetensors").write_bytes((whole / "checkpoint.safetensors").read_bytes())
    with pytest.raises(PvqError, match="holds a run of another recipe"):
        train(other, tmp_path)
    (tmp_path / "checkpoint.safetensors").write_bytes(b"no checkpoint")
    with pytest.raises(PvqError, match="is no checkpoint"):
        train(other, tmp_path)


def colours(folder: Path) -> str:
    """Write images that are red, green or blue with noise, so that a network can learn them all."""
    rng = np.random.default_rng(0)
    labels = np.arange(240) % 3
    images = rng.integers(0, 100, (240, 32, 32, 3)).astype(np.uint8)
    images[np.arange(240), :, :, labels] += 100
    np.savez(folder / "colours.npz", images=images, labels=labels)
    return f"npz[path={folder / 'colours.npz'}]"


def test_training_learns(tmp_path: Path) -> None:
    recipe = Recipe(
        "colours", "resnet-cifar[depth=8,width=4,num_classes=3]", colours(tmp_path), epochs=4, batch_size=24,
        learning_rate=0.05, validation=48, threads=1,
    )  # fmt: skip
    record = train(recipe, tmp_path / "run")
    assert record.epochs[-1].validation_accuracy == 1.0
    assert record.epochs[-1].loss < 0.5 * record.epochs[0].loss
    assert record.epochs[-1].learning_rate < 0.01 * recipe.learning_rate
    weights = load_file(tmp_path / "run" / "weights.safetensors")
    assert record.parameters == sum(
        value.numel() for name, value in weights.items() if "running" not in name and "tracked" not in name
    )


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(PvqError, match="the loss is nan in epoch 1; try a smaller learning_rate"):
        train(dataclasses.replace(RECIPE, learning_rate=1e30, warmup=0.0), tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"batch_size": 449},
            "batch_size must be at most the number of training images, got 449 and 512 - 64",
        ),
        ({"dataset": "bundle"}, "unknown dataset 'bundle'"),
        ({"model": "resnet-cifar[depth=9]"}, "depth must be"),
    ],
)
def test_refusals(tmp_path: Path, change: dict[str, str | int], message: str) -> None:
    with pytest.raises(PvqError, match=message):
        train(dataclasses.replace(RECIPE, **change), tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 1, 10]), r"labels must lie in \[0, 10\) for resnet-cifar.*, got 0 to 10"),
        (np.array([0, -1, 1]), "got -1 to 1"),
        (np.array([0, 1]), "one label per image, got 3 and 2"),
    ],
)
def test_labels_must_fit(tmp_path: Path, labels: np.ndarray, message: str) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, images=np.zeros((3, 32, 32, 3), np.uint8), labels=labels)
    recipe = dataclasses.replace(RECIPE, dataset=f"npz[path={path}]", batch_size=2, validation=0)
    with pytest.raises(PvqError, match=message):
        train(recipe, tmp_path / "run")


def test_a_gpu_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(PvqError, match="device is cuda in the recipe, but torch finds no GPU"):
        train(dataclasses.replace(RECIPE, device="cuda"), tmp_path)


def test_a_folder_that_cannot_be_made_is_found_out_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        train(RECIPE, tmp_path / "file", progress=lambda moment: pytest.fail("it trained first"))


def test_training_refuses_images_that_are_preprocessed(tmp_path: Path) -> None:
    path = tmp_path / "floats.npz"
    np.savez(path, images=np.zeros((4, 3, 8, 8), np.float32), labels=np.zeros(4, np.int64))
    assert Npz(str(path)).images().dtype == np.float32
    with pytest.raises(PvqError, match="training needs uint8 images, got float32"):
        train(dataclasses.replace(RECIPE, dataset=f"npz[path={path}]"), tmp_path)


def test_torchs_threads_are_given_back(tmp_path: Path) -> None:
    before, seen = torch.get_num_threads(), set()
    torch.set_num_threads(before + 1)
    recipe = dataclasses.replace(RECIPE, epochs=1, batch_size=448)
    train(recipe, tmp_path, progress=lambda moment: seen.add(torch.get_num_threads()))
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert (seen, after) == ({1}, before + 1)


def test_rows_have_one_entry_per_epoch(whole: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "small.yaml"
    recipe.write_text(json.dumps(dataclasses.asdict(RECIPE)))
    rows = train_rows(recipe, whole)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[-1]["weights"] == str(whole / "weights.safetensors")
    assert rows[-1]["test_accuracy"] is None
    json.dumps(rows)


def test_progress_is_one_line_per_epoch_where_there_is_no_terminal(tmp_path: Path) -> None:
    stream = io.StringIO()
    with show_progress(stream) as progress:
        train(dataclasses.replace(RECIPE, epochs=2), tmp_path, progress=progress)
    first, second = stream.getvalue().splitlines()
    assert first.startswith("epoch 1/2  loss ")
    assert "held out" in first
    assert second.endswith("left 0 min")


def test_weights_of_a_run_are_a_network_that_can_be_run(whole: Path) -> None:
    """What `pvq train` writes can be bounded: it names its architecture and how images are prepared."""
    model = load_model(f"file:{whole / 'weights.safetensors'}")
    assert model.preprocessing == Preprocessing(32, RECIPE.mean, RECIPE.std)
    network = model.module()
    assert not network.training
    state = network.state_dict()
    for name, layer in model.weights().items():
        np.testing.assert_array_equal(state[f"{name}.weight"].numpy(), layer.tensor)
    assert any("running_mean" in name and bool(value.any()) for name, value in state.items())


def test_weights_without_their_network_are_weights_only(tmp_path: Path) -> None:
    save_file({"a.weight": torch.eye(3)}, tmp_path / "w.safetensors", {"pvq": "no JSON"})
    model = load_model(f"file:{tmp_path / 'w.safetensors'}")
    assert model.preprocessing is None
    with pytest.raises(PvqError, match="weights only"):
        model.module()

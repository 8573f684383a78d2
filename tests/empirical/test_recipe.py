"""Recipes: what is read, what is refused, what the hash sees."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pvq.empirical.architecture import ARCHITECTURES
from pvq.empirical.bundle import bundled_path
from pvq.empirical.dataset import DATASETS
from pvq.empirical.recipe import Recipe, bundled_recipes, read_recipe, recipe_from
from pvq.errors import PvqError

LEAST: dict[str, Any] = {"name": "a", "model": "resnet-cifar", "dataset": "bundled", "epochs": 1}


@pytest.mark.parametrize("name", bundled_recipes())
def test_bundled_recipes_are_whole(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.name == name
    ARCHITECTURES.build(recipe.model)
    DATASETS.build(recipe.dataset)
    assert recipe_from(dataclasses.asdict(recipe)) == recipe


def test_a_file_is_read_and_defaults_fill_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**LEAST, "weight_decay": "5e-4", "mean": [0, 0.5, 1], "seed": 3}))
    recipe = read_recipe(path)
    assert recipe == Recipe(
        "a", "resnet-cifar", "bundled", 1, seed=3, weight_decay=5e-4, mean=(0.0, 0.5, 1.0)
    )


def test_yaml_reads_5e_minus_4_as_text_and_recipes_as_a_number(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: a\nmodel: m\ndataset: d\nepochs: 1\nweight_decay: 5e-4\n")
    assert read_recipe(path).weight_decay == 5e-4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": 3}, "unknown key 'epoch'; did you mean epochs?"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"epochs": 2.5}, "epochs must be of type int, got 2.5"),
        ({"epochs": True}, "epochs must be of type int, got True"),
        ({"flip": "yes"}, "flip must be of type bool, got 'yes'"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"learning_rate": 0}, "learning_rate must be positive and finite, got 0"),
        ({"learning_rate": float("inf")}, "learning_rate must be positive and finite, got inf"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive and finite, got nan"),
        ({"learning_rate": "fast"}, "learning_rate must be a number, got 'fast'"),
        ({"momentum": 1.0}, r"momentum must lie in \[0, 1\), got 1.0"),
        ({"warmup": -0.1}, r"warmup must lie in \[0, 1\), got -0.1"),
        ({"label_smoothing": 1}, r"label_smoothing must lie in \[0, 1\), got 1"),
        ({"weight_decay": -1}, "weight_decay must be finite and not negative, got -1"),
        ({"weight_decay": float("nan")}, "weight_decay must be finite and not negative, got nan"),
        ({"seed": -1}, "seed must be finite and not negative, got -1"),
        ({"schedule": "cosin"}, "schedule must be one of cosine, linear, constant, got 'cosin'"),
        ({"device": "tpu"}, "device must be one of cpu, cuda, got 'tpu'"),
        ({"mean": [0.5]}, r"mean must be three numbers, got \[0.5\]"),
        ({"std": [0.5, 0, 0.5]}, r"std must be positive and finite, got \(0.5, 0.0, 0.5\)"),
        ({"name": 7}, "name must be of type str, got 7"),
    ],
)
def test_refusals_name_field_demand_and_value(change: dict[str, Any], message: str) -> None:
    with pytest.raises(PvqError, match=message):
        recipe_from(LEAST | change)


def test_missing_keys_and_other_shapes_are_refused() -> None:
    with pytest.raises(PvqError, match="recipe: epochs is missing"):
        recipe_from({key: value for key, value in LEAST.items() if key != "epochs"})
    with pytest.raises(PvqError, match="must be a mapping"):
        recipe_from(["epochs"])
    with pytest.raises(PvqError, match="must be a mapping"):
        recipe_from(None)


def test_files_that_are_no_recipe_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PvqError, match=r"did you mean resnet20-cifar10\?"):
        read_recipe("resnet20-cifar")
    path = tmp_path / "bad.yaml"
    path.write_text("a: [1,\n")
    with pytest.raises(PvqError, match=r"is no YAML: .*line") as caught:
        read_recipe(path)
    assert "\n" not in str(caught.value)
    path.write_text("name: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(PvqError, match="is no YAML"):
        read_recipe(path)
    with pytest.raises(PvqError, match="cannot read recipe"):
        read_recipe(tmp_path)


def test_the_hash_sees_every_setting_and_nothing_else() -> None:
    recipe = Recipe("a", "m", "d", 1, method="p", budget=2.0)
    changes: dict[str, Any] = {
        "name": "b", "model": "n", "dataset": "e", "epochs": 2, "seed": 1, "batch_size": 2,
        "learning_rate": 1.0, "warmup": 0.0, "schedule": "linear", "momentum": 0.0,
        "weight_decay": 0.0, "label_smoothing": 0.5,
        "crop": 0, "flip": False, "validation": 1, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0),
        "threads": 1, "device": "cuda", "floor": 0.5, "method": "q", "budget": 3.0, "start": "s",
    }  # fmt: skip
    assert set(changes) == {field.name for field in dataclasses.fields(Recipe)}
    hashes = {dataclasses.replace(recipe, **{key: value}).hash for key, value in changes.items()}
    assert len(hashes | {recipe.hash}) == len(changes) + 1
    assert Recipe("a", "m", "d", 1, method="p", budget=2.0).hash == recipe.hash


def test_recipes_without_a_method_keep_the_hash_that_the_bundled_network_was_stored_under() -> None:
    record = json.loads(bundled_path("resnet20_cifar10.json").read_text())
    assert read_recipe("resnet20-cifar10").hash == record["recipe_hash"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "ptq"}, "budget must be given with a method, and only then, got 0"),
        ({"budget": 4.0}, "budget must be given with a method, and only then, got 4"),
        ({"method": "ptq", "budget": 33.0}, r"budget must lie in \[0, 32\], got 33"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"epochs": -1, "method": "ptq", "budget": 4.0}, "epochs must be at least 0, got -1"),
    ],
)
def test_method_budget_and_epochs_must_fit(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Recipe("a", "m", "d", 1), **change)

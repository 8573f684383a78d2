"""Two real processes train one run: the same state in both, and that of one process."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from several_processes import FAILURE, finish, start, state

from pvq.empirical.augment import augment
from pvq.empirical.compare import compare
from pvq.empirical.comparison import comparison_from
from pvq.empirical.distributed import Share, join_world
from pvq.empirical.recipe import Recipe
from pvq.empirical.record import read_record
from pvq.errors import MissingExtra, PvqError

pytest.importorskip("accelerate", reason="accelerate is not installed")

RECIPE = Recipe(
    "two", "test-without-norms", "bundled", epochs=2, batch_size=64, validation=64, learning_rate=0.05,
    threads=1,
)  # fmt: skip
LOST = "another process of this run has ended"
PRUNED = "magnitude[period=3,norms=2]"
CHANGES: dict[str, dict[str, Any]] = {
    "plain": {},
    "smoothed": {"label_smoothing": 0.1},
    # Two steps: rounding makes a leap of a difference in the last digit, and then the runs part.
    "scales": {"method": "qat-lsq[rate=1e-3,per=channel,norms=1]", "budget": 8.0, "batch_size": 448},
    "inputs": {"method": "qat-lsq[rate=1e-3,activations=8,norms=1]", "budget": 8.0, "batch_size": 448},
    "masks": {"method": PRUNED, "budget": 4.0},
    "solver": {
        "method": "layerwise[solver=magnitude-refit,camp=prune,batches=1,finetune=true]",
        "budget": 8.0,
    },
    "norms": {
        "model": "resnet-cifar[depth=8,width=2]",
        "epochs": 1,
        "method": "qat-lsq[norms=0]",
        "budget": 4.0,
    },
}
RECIPES = {name: dataclasses.replace(RECIPE, **change) for name, change in CHANGES.items()}


def demand_done(ended: list[tuple[int, str]]) -> None:
    for code, said in ended:
        assert code == 0, said
        assert not said  # no warning of torch or accelerate either


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of all runs in one process."""
    folder = tmp_path_factory.mktemp("alone")
    demand_done(finish(start(RECIPES, folder, processes=1)))
    return folder


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of all runs in two processes."""
    folder = tmp_path_factory.mktemp("together")
    demand_done(finish(start(RECIPES, folder)))
    return folder


def demand_equal(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("name", list(RECIPES))
def test_both_processes_end_in_the_same_state(together: Path, name: str) -> None:
    demand_equal(state(together / name, 1), state(together / name, 0))


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "norms"])
def test_two_processes_end_where_one_does(alone: Path, together: Path, name: str) -> None:
    one, two = state(alone / name, 0), state(together / name, 0)
    assert one.keys() == two.keys()
    for key, value in one.items():
        np.testing.assert_allclose(two[key], value, rtol=0, atol=2e-5, err_msg=key)


def test_batch_norms_see_shares_of_a_batch(alone: Path, together: Path) -> None:
    (loss, _), (other, _) = (state(folder / "norms", 0)["losses"][0] for folder in (alone, together))
    assert other == pytest.approx(loss, rel=0.05)
    assert other != pytest.approx(loss, rel=1e-5)


def test_the_record_says_how_many_processes_there_were(alone: Path, together: Path) -> None:
    for folder, count in ((alone, 1), (together, 2)):
        record = read_record(folder / "masks" / "record.json")
        assert record.provenance["settings"]["processes"] == count
        assert record.recipe_hash == RECIPES["masks"].hash


def test_an_interrupted_run_ends_in_both_processes_and_goes_on_to_the_same_bytes(
    together: Path, tmp_path: Path
) -> None:
    recipe = {"masks": RECIPES["masks"]}
    (first, said), (second, other) = finish(start(recipe, tmp_path, stop="2"))  # no wait for a time-out
    assert first != 0
    assert "KeyboardInterrupt" in said
    assert second != 0
    assert LOST in other
    assert len((tmp_path / "masks" / "metrics.jsonl").read_text().splitlines()) == 1
    demand_done(finish(start(recipe, tmp_path)))
    for rank in (0, 1):
        demand_equal(state(tmp_path / "masks", rank), state(together / "masks", rank))
    stored = [(folder / "masks" / "weights.safetensors").read_bytes() for folder in (tmp_path, together)]
    assert stored[0] == stored[1]


def test_a_failure_in_one_process_ends_the_others(tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, method="test-fails-once", budget=4.0)
    (first, said), (second, other) = finish(start({"run": recipe}, tmp_path))
    assert first != 0
    assert LOST in said
    assert second != 0
    assert FAILURE in other


def test_what_the_first_process_refuses_all_refuse(together: Path) -> None:
    other = dataclasses.replace(RECIPE, learning_rate=0.2)
    for code, said in finish(start({"plain": other}, together)):
        assert code != 0
        assert "holds a run of another recipe" in said


def test_images_get_the_same_shifts_however_a_batch_is_split() -> None:
    images = torch.randint(0, 256, (12, 8, 8, 3), generator=torch.Generator().manual_seed(1))
    whole = augment(images, 2, True, torch.Generator().manual_seed(0))
    parts = [
        augment(Share(rank, 3).of(images), 2, True, torch.Generator().manual_seed(0), Share(rank, 3))
        for rank in range(3)
    ]
    assert torch.equal(torch.cat(parts), whole)


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "5")
    message = "batch_size must be a multiple of the number of processes, got 64 and 5"
    with pytest.raises(PvqError, match=message), join_world(RECIPE):
        pass
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setitem(__import__("sys").modules, "accelerate", None)
    with pytest.raises(MissingExtra, match=r"run: pip install 'pvq\[accelerate\]'"), join_world(RECIPE):
        pass
    base = {"model": "resnet-cifar", "dataset": "bundled", "epochs": 1}
    two = comparison_from({"name": "a", "base": base, "methods": ["ptq"], "budgets": [4]})
    with pytest.raises(PvqError, match="a comparison starts processes of its own"):
        compare(two, tmp_path)

"""What the training loop does for a method: prepare, train, measure, store, resume."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pvq.empirical.method import TRAINING_METHODS, Batches, Method, task_loss
from pvq.empirical.recipe import Recipe
from pvq.empirical.record import RunRecord, read_record
from pvq.empirical.sites import fresh_sites, sites
from pvq.empirical.spent import Spent, measure_spent
from pvq.empirical.train import Moment, train, train_rows
from pvq.empirical.weight_parts import IntegerGrid, Mask
from pvq.errors import PvqError
from pvq.theory.budget import Budget

PLAIN = Recipe(
    "small", "resnet-cifar[depth=8,width=4]", "bundled", epochs=1, batch_size=64, validation=64, threads=1
)


@TRAINING_METHODS.register("test-everything")
@dataclass(frozen=True)
class Everything:
    """Uses every hook: a mask, a learned grid with Adam, a count of steps, corrected batch norms."""

    log: Any = dataclasses.field(default_factory=list, init=False)

    def prepare(self, model: nn.Module, budget: Budget) -> nn.Module:
        for site in fresh_sites(model):
            site.add(Mask(torch.rand(site.weight.shape) < 0.9))  # drawn under the recipe's seed
            site.add(
                IntegerGrid(int(budget.bits), site.weight.detach().abs().max() / 7, learned=True, gain=0.1)
            )
        return model

    def calibrate(self, model: nn.Module, budget: Budget, batches: Batches) -> None:
        self.log.append(("calibrate", [len(batch) for batch in batches(2)], model.training))

    def settle(self, model: nn.Module, batches: Batches) -> None:
        self.log.append(("settle",))

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        grids = [site.part(IntegerGrid) for site in sites(model)]
        return torch.optim.Adam([grid.scale for grid in grids if grid], lr=1e-3)

    def loss(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        self.log.append(("loss", tuple(x.shape), tuple(y.shape)))
        return task_loss(model, x, y)

    def after_step(self, model: nn.Module, progress: float) -> None:
        self.log.append(("step", progress))
        for site in sites(model):
            mask = site.part(Mask)
            assert mask is not None
            mask.steps += 1
            mask.kept &= torch.arange(mask.kept.numel()).view(mask.kept.shape) != mask.steps

    def spent(self, model: nn.Module) -> Spent:
        return measure_spent(model)


EVERY = dataclasses.replace(PLAIN, epochs=3, method="test-everything", budget=4.0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that was not disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    train(EVERY, folder)
    return folder


def outcome(folder: Path) -> tuple[Any, ...]:
    """Return everything that a repeated run must give again."""
    record = read_record(folder / "record.json")
    files = [(folder / name).read_bytes() for name in ("weights.safetensors", "method.safetensors")]
    numbers = [entry.numbers() for entry in record.epochs]
    return numbers, files, record.spent, record.prepared_accuracy, record.final_accuracy


@pytest.mark.parametrize(("epoch", "step"), [(1, 2), (2, 1), (3, 7)])
def test_a_run_with_a_method_resumes_to_the_same_bytes(
    whole: Path, tmp_path: Path, epoch: int, step: int
) -> None:
    def stop(moment: Moment) -> None:
        if (moment.epoch, moment.step) == (epoch, step):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(EVERY, tmp_path, progress=stop)
    steps: list[Moment] = []
    train(EVERY, tmp_path, progress=steps.append)
    assert steps[0].epoch == epoch
    assert outcome(tmp_path) == outcome(whole)


def test_the_state_of_a_method_is_stored(whole: Path) -> None:
    state = load_file(whole / "method.safetensors")
    counts = [int(value[0]) for name, value in state.items() if name.endswith("weight.0._extra_state")]
    assert len(counts) == 8
    assert set(counts) == {3 * 7}
    scales = [value for name, value in state.items() if name.endswith(".scale")]
    assert len(scales) == 8


def test_the_loop_calls_every_hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = Everything()
    monkeypatch.setattr(TRAINING_METHODS, "build", lambda spec: method)
    train(dataclasses.replace(EVERY, epochs=2, label_smoothing=0.1), tmp_path)
    kinds = [entry[0] for entry in method.log]
    steps = ["loss", "step"] * 7
    assert kinds == ["calibrate", *steps, "settle", *steps, "settle", "settle", "settle"]
    assert method.log[0] == ("calibrate", [64, 64], False)
    assert method.log[1] == ("loss", (64, 3, 32, 32), (64, 10))
    assert [entry[1] for entry in method.log if entry[0] == "step"] == [(i + 1) / 14 for i in range(14)]


def test_smoothed_targets_are_those_of_cross_entropy(tmp_path: Path) -> None:
    smooth = dataclasses.replace(PLAIN, label_smoothing=0.2)
    plain = train(smooth, tmp_path / "a")
    ours = train(dataclasses.replace(smooth, method="dense", budget=16.0), tmp_path / "b")
    assert ours.epochs[0].loss == pytest.approx(plain.epochs[0].loss, rel=1e-5)
    assert ours.epochs[0].loss != pytest.approx(train(PLAIN, tmp_path / "c").epochs[0].loss, rel=1e-3)


def test_a_run_starts_from_the_weights_of_another(whole: Path, tmp_path: Path) -> None:
    recipe = dataclasses.replace(
        PLAIN, epochs=0, method="dense", budget=16.0, start=str(whole / "weights.safetensors")
    )
    record = train(recipe, tmp_path)
    first = read_record(whole / "record.json")
    assert record.start_accuracy == first.final_accuracy == first.epochs[-1].validation_accuracy
    assert record.start_sha256 == first.weights_sha256
    assert record.epochs == ()
    assert record.spent_bits == 16.0
    (row,) = train_rows(_written(recipe, tmp_path), tmp_path)
    assert (row["epoch"], row["spent_bits"], row["start_accuracy"]) == (0, 16.0, record.start_accuracy)


def _written(recipe: Recipe, folder: Path) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(dataclasses.asdict(recipe)))
    return path


def test_the_bundled_network_is_a_start(tmp_path: Path) -> None:
    recipe = dataclasses.replace(
        PLAIN,
        model="resnet-cifar",
        epochs=0,
        method="ptq",
        budget=8.0,
        start="resnet20-cifar10",
        batch_size=32,
    )
    record = train(recipe, tmp_path)
    assert record.start_accuracy is not None
    assert record.start_accuracy > 0.85
    assert record.prepared_accuracy == record.final_accuracy
    assert record.final_accuracy == pytest.approx(record.start_accuracy, abs=0.05)
    assert 8 < (record.spent_bits or 0) < 8.01


def test_the_weights_file_is_a_plain_network(whole: Path) -> None:
    from pvq.empirical.architecture import ARCHITECTURES

    net = ARCHITECTURES.build(EVERY.model).build()
    net.load_state_dict(load_file(whole / "weights.safetensors"), strict=True)
    for site in sites(net):
        assert len(torch.unique(site.weight)) <= 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "ptqq"}, "unknown training method 'ptqq'; did you mean ptq"),
        ({"method": "ptq[pr=tensor]"}, "ptq has no option 'pr'"),
        ({"start": "resnet20-cifar"}, "unknown model"),
        (
            {"start": "resnet20-cifar10"},
            "start must hold weights of the recipe's model, got resnet20-cifar10 where",
        ),
        ({"start": "no.safetensors"}, "no such file"),
    ],
)
def test_refusals(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(PvqError, match=message) as caught:
        train(dataclasses.replace(PLAIN, **({"method": "ptq", "budget": 4.0} | change)), tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", list(TRAINING_METHODS.classes()))
def test_every_method_fulfils_the_protocol(name: str) -> None:
    method = TRAINING_METHODS.build(name)
    assert isinstance(method, Method)
    assert dataclasses.is_dataclass(method)
    assert TRAINING_METHODS.describe()[name]


def test_older_records_can_be_read(whole: Path) -> None:
    fields = {field.name for field in dataclasses.fields(RunRecord)}
    later = {"start_accuracy", "prepared_accuracy", "final_accuracy", "spent_bits", "spent", "start_sha256"}
    stored = json.loads((whole / "record.json").read_text())
    assert set(stored) == fields
    path = whole / "older.json"
    path.write_text(json.dumps({key: value for key, value in stored.items() if key not in later}))
    assert read_record(path).spent is None

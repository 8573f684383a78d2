"""Every method in a run of its own, in miniature: it spends its budget and resumes to the same bytes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from pvq.empirical.recipe import Recipe
from pvq.empirical.record import RunRecord
from pvq.empirical.train import Moment, train
from pvq.errors import PvqError

TRAINED = [
    ("dense", 16, 16, 16),
    ("qat-lsq[norms=2,rate=1e-3]", 3, 3, 3.5),
    ("qat-lsq[per=channel,activations=4,scaled=true,init=lsq,norms=2]", 4, 4, 7),
    ("magnitude[period=3,norms=2]", 4, 4.7, 4.9),
    ("magnitude[period=2,scope=global,regrow=true,norms=0]", 8, 8.8, 9.05),
    ("magnitude[schedule=one-shot,norms=2]", 2, 2.4, 2.6),
    ("n-of-m[norms=2]", 8, 8.5, 8.75),
    ("layerwise[solver=magnitude-refit,camp=prune,batches=1,finetune=true]", 4, 4.7, 4.9),
    ("prune-then-quantize[width=5,norms=2,period=2]", 3, 2.8, 3.2),
    ("quantize-then-prune[width=5,norms=2,period=2]", 3, 2.8, 3.2),
]


def recipe(method: str, bits: float, epochs: int) -> Recipe:
    return Recipe(
        "mini", "resnet-cifar[depth=8,width=4]", "bundled", epochs=epochs, batch_size=96, validation=64,
        threads=1, learning_rate=0.02, method=method, budget=bits,
    )  # fmt: skip


def outcome(record: RunRecord, folder: Path) -> tuple[Any, ...]:
    files = [(folder / name).read_bytes() for name in ("weights.safetensors", "method.safetensors")]
    accuracies = record.prepared_accuracy, record.final_accuracy
    return files, [entry.numbers() for entry in record.epochs], record.spent, accuracies


@pytest.mark.parametrize(("method", "bits", "least", "most"), TRAINED)
def test_a_run_spends_its_budget_and_resumes(
    tmp_path: Path, method: str, bits: float, least: float, most: float
) -> None:
    settings = recipe(method, bits, epochs=2)
    whole = train(settings, tmp_path / "whole")

    def stop(moment: Moment) -> None:
        if (moment.epoch, moment.step) == (2, 3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(settings, tmp_path / "again", progress=stop)
    again = train(settings, tmp_path / "again")
    assert outcome(again, tmp_path / "again") == outcome(whole, tmp_path / "whole")
    assert whole.spent_bits is not None
    assert least <= whole.spent_bits <= most


UNTRAINED = [
    ("ptq[norms=2]", 4, 4, 4.1),
    ("layerwise[solver=nearest,batches=1,norms=2]", 4, 4, 4.1),
    ("layerwise[solver=magnitude-refit,camp=prune,n=2,m=4,batches=1]", 8, 8.5, 8.75),
    ("prune-then-quantize[width=5,switch=0,ramp=0,norms=2]", 3, 2.8, 3.2),
    ("magnitude[schedule=one-shot,norms=2]", 4, 4.7, 4.9),
]


@pytest.mark.parametrize(("method", "bits", "least", "most"), UNTRAINED)
def test_a_run_without_an_epoch_compresses(
    tmp_path: Path, method: str, bits: float, least: float, most: float
) -> None:
    record = train(recipe(method, bits, epochs=0), tmp_path / "run")
    assert record.epochs == ()
    assert record.prepared_accuracy == record.final_accuracy
    assert record.spent_bits is not None
    assert least <= record.spent_bits <= most


def test_a_budget_that_a_method_refuses_ends_the_run_in_one_line(tmp_path: Path) -> None:
    for method, bits, epochs, message in (
        ("ptq", 2.5, 1, "budget must be a whole number of bits"),
        ("magnitude", 4, 0, r"magnitude: epochs must be at least 1 for schedule=cubic, got 0"),
    ):
        with pytest.raises(PvqError, match=message) as caught:
            train(recipe(method, bits, epochs), tmp_path / "run")
        assert "\n" not in str(caught.value)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    wild = dataclasses.replace(recipe("qat-lsq[norms=0]", 4, 2), learning_rate=1e30, warmup=0.0)
    with pytest.raises(PvqError, match=r"the loss is (nan|inf) in epoch 1; try a smaller learning_rate"):
        train(wild, tmp_path / "run")

"""Every method in a run of its own, in miniature: it spends its budget and resumes to the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pvq.empirical.recipe import Recipe
from pvq.empirical.record import RunRecord
from pvq.empirical.train import Moment, train

TRAINED = [
    ("dense", 16, 16, 16),
    ("qat-lsq[norms=2,rate=1e-3]", 3, 3, 3.5),
    ("qat-lsq[per=channel,activations=4,scaled=true,init=lsq,norms=2]", 4, 4, 7),
    ("magnitude[period=3,norms=2]", 4, 4.7, 4.9),
    ("magnitude[period=2,scope=global,regrow=true,norms=0]", 8, 8.8, 9.05),
    ("magnitude[schedule=one-shot,norms=2]", 2, 2.4, 2.6),
    ("n-of-m[norms=2]", 8, 8.5, 8.75),
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

"""The end of a training run: the test set is read, weights and record are written."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from pvq.empirical.atomic import write_bytes
from pvq.empirical.dataset import Dataset
from pvq.empirical.evaluate import accuracy
from pvq.empirical.image_source import EVALUATED, Streaming, stream_accuracy
from pvq.empirical.model import file_sha256
from pvq.empirical.record import RunRecord, write_record
from pvq.empirical.sites import sites
from pvq.empirical.spent import Spent, store_halves
from pvq.empirical.training_state import TrainingState

__all__ = ["METHOD", "RECORD", "WEIGHTS", "conclude", "plain_state"]

WEIGHTS, METHOD, RECORD = "weights.safetensors", "method.safetensors", "record.json"


def conclude(run: TrainingState, folder: Path) -> RunRecord:
    """Read the test set, write the weights and the record.

    With a method, what is evaluated is what would be stored: weights on no integer grid are rounded to FP16
    before, also in the prepared network. Several processes all evaluate; the first one writes.
    """
    spent = _store(run)
    judged = _judge(run)
    return run.world.from_main(lambda: _write(run, folder, spent, judged))


def _write(
    run: TrainingState, folder: Path, spent: Spent | None, judged: dict[str, float | None]
) -> RunRecord:
    """Write weights and record, and return the latter."""
    tested = judged["final"] if "test" in run.dataset.splits else None
    _write_weights(run, folder, tested)
    record = RunRecord(
        recipe=asdict(run.recipe),
        recipe_hash=run.recipe.hash,
        epochs=run.epochs,
        test_accuracy=tested,
        test_images=len(run.dataset.labels("test")) if tested is not None else 0,
        parameters=sum(p.numel() for p in run.model.parameters()),
        weights=WEIGHTS,
        weights_sha256=file_sha256(folder / WEIGHTS),
        seconds=sum(entry.seconds for entry in run.epochs),
        provenance=run.made,
        start_accuracy=judged["start"],
        prepared_accuracy=judged["prepared"],
        final_accuracy=judged["final"],
        spent_bits=spent.average if spent else None,
        spent=spent.describe() if spent else None,
        start_sha256=run.start_sha256,
    )
    write_record(folder / RECORD, record)
    return record


def plain_state(model: nn.Module) -> dict[str, Tensor]:
    """Return a network's tensors with its weights as it computes with them, named as before any method.

    Masks, scales and the like are left out.
    """
    state = {
        name: value
        for name, value in model.state_dict().items()
        if ".parametrizations." not in f".{name}" and ".input_grid." not in f".{name}"
    }
    for site in sites(model):
        key = site.name if site.name.endswith(site.attribute) else f"{site.name}.{site.attribute}"
        state[key] = site.weight
    return {name: value.detach().cpu().contiguous() for name, value in state.items()}


def _store(run: TrainingState) -> Spent | None:
    """Round what is stored in FP16 and measure the bits; None without a method."""
    if run.method is None:
        return None
    for model in (run.model, run.prepared):
        if model is not None:
            store_halves(model)
            run.settle(model)
    return run.method.spent(run.model)


def _judge(run: TrainingState) -> dict[str, float | None]:
    """Return the accuracy of the network at its start, prepared and at its end, on the same images."""
    recipe = run.recipe
    (images, labels), dataset = run.held_out, run.dataset
    streamed = _streamed_test(dataset)
    if "test" in dataset.splits and streamed is None:
        images, labels = dataset.images("test").astype(np.uint8), dataset.labels("test")

    def judge(model: nn.Module | None) -> float | None:
        if model is None or (streamed is None and not len(images)):
            return None
        if streamed is not None:
            places = np.arange(len(streamed.labels("test")))
            return stream_accuracy(model, streamed.parts("test", places, EVALUATED), recipe.mean, recipe.std)
        return accuracy(model, images, labels, recipe.mean, recipe.std)

    return {"start": judge(run.started), "prepared": judge(run.prepared), "final": judge(run.model)}


def _streamed_test(dataset: Dataset) -> Streaming | None:
    """Return the data set if it has a test split that is read in parts, else None."""
    return dataset if "test" in dataset.splits and isinstance(dataset, Streaming) else None


def _write_weights(run: TrainingState, folder: Path, tested: float | None) -> None:
    """Write the weights under their plain names, and the state of a method beside them."""
    from safetensors.torch import save

    recipe = run.recipe
    about: dict[str, Any] = {
        "architecture": recipe.model,
        "size": run.image_size,
        "mean": recipe.mean,
        "std": recipe.std,
        "test_accuracy": tested,
        "seed": recipe.seed,
        "recipe_hash": recipe.hash,
    }
    if run.method is not None:
        about |= {"method": recipe.method, "budget": recipe.budget}
        state = {name: value.detach().cpu().contiguous() for name, value in run.model.state_dict().items()}
        write_bytes(folder / METHOD, save(state, {"pvq": json.dumps(about)}))
    metadata = {"pvq": json.dumps(about)}  # one key: safetensors writes several in random order
    write_bytes(folder / WEIGHTS, save(plain_state(run.model), metadata))

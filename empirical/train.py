"""One flat loop that trains a classifier by a recipe, and can be stopped and resumed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from pvq.empirical.augment import augment
from pvq.empirical.checkpoint import Checkpoint, read_checkpoint, restore, take, write_checkpoint
from pvq.empirical.distributed import World, is_main, join_world
from pvq.empirical.evaluate import accuracy, normalise
from pvq.empirical.moment import Moment, Progress
from pvq.empirical.recipe import Recipe, read_recipe
from pvq.empirical.record import (
    EpochMetrics,
    RunRecord,
    read_record,
    write_metrics,
)
from pvq.empirical.schedule import rate_factor
from pvq.empirical.tracker import Tracker
from pvq.empirical.tracking import Tracking, ready_trackers, track
from pvq.empirical.training_end import METHOD, RECORD, WEIGHTS, conclude
from pvq.empirical.training_state import TrainingState, fresh_state
from pvq.errors import PvqError

__all__ = ["Moment", "Progress", "train", "train_rows"]

CHECKPOINT, METRICS = "checkpoint.safetensors", "metrics.jsonl"
COMPARED = ("start_accuracy", "prepared_accuracy", "final_accuracy", "spent_bits")


def train(
    recipe: Recipe,
    out: str | Path,
    resume: bool = True,
    progress: Progress | None = None,
    trackers: Sequence[Tracker] = (),
    store: Path | None = None,
) -> RunRecord:
    """Train a network by a recipe and return the record of the run.

    `out` receives ``checkpoint.safetensors`` and ``metrics.jsonl`` after every epoch, then
    ``weights.safetensors`` (architecture, normalisation, accuracy, seed and recipe hash as metadata), for a
    method ``method.safetensors`` (its masks and scales too) and ``record.json``. A run that was stopped
    continues after its last whole epoch and ends with the same numbers, bit for bit, on the same machine and
    versions; a finished one is returned as it is. Launched as several processes, all train this one run, each
    on its share of every batch, and the first writes; see `pvq.empirical.distributed`.

    Parameters
    ----------
    recipe : settings
    out : folder, made if need be
    resume : False starts again whatever `out` holds
    progress : called after every step and every epoch
    trackers : where to log the run; they change no number of it, and one that fails does not end it
    store : folder for what trackers share among runs; `out` if None

    Raises
    ------
    MissingExtra : the package of a tracker is not installed
    PvqError : data absent, `out` holds a run of another recipe, too few images, a loss that is not finite
    """
    folder = Path(out)
    with join_world(recipe) as world, _threads(recipe.threads):
        trackers, progress = (trackers, progress) if world.main else ((), None)
        done = world.from_main(lambda: _finished(recipe, folder)) if resume else None
        if done is not None:
            with track(trackers, recipe, folder, done.epochs, store) as logs:
                logs.end(done)
            return done
        run = _start(recipe, folder, resume, world)
        with track(trackers, recipe, folder, run.epochs, store) as logs:
            return _run(run, folder, progress, logs)


def train_rows(
    recipe: str | Path,
    out: str | Path,
    resume: bool = True,
    progress: Progress | None = None,
    trackers: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Train by the recipe in a file, or by the bundled recipe of that name; return one row per epoch.

    A row has the fields of `EpochMetrics`; the last one also ``test_accuracy`` and ``weights``, and for a run
    with a method or a start ``start_accuracy, prepared_accuracy, final_accuracy, spent_bits``. A run without
    an epoch gives one row. Trackers are given as specs and tried before anything else is done.

    Raises
    ------
    PvqError : see `read_recipe`, `ready_trackers` and `train`
    """
    settings, logs = read_recipe(recipe), ready_trackers(trackers if is_main() else (), Path(out))
    record = train(settings, out, resume, progress, logs)
    rows = [asdict(entry) for entry in record.epochs] or [{"epoch": 0}]
    if record.recipe.get("method") or record.recipe.get("start"):
        rows[-1] |= {name: getattr(record, name) for name in COMPARED}
    rows[-1] |= {"test_accuracy": record.test_accuracy, "weights": str(Path(out) / record.weights)}
    return rows


def _start(recipe: Recipe, folder: Path, resume: bool, world: World) -> TrainingState:
    """Return the run as its checkpoint left it, or a fresh one in a folder without traces of another."""
    checkpoint = world.from_main(lambda: _found(recipe, folder, resume))
    run = fresh_state(recipe, world)
    if checkpoint is not None:
        restore(checkpoint, run.model, run.optimizers)
        run.epochs = checkpoint.epochs
    for name in () if resume or not world.main else (RECORD, WEIGHTS, METHOD, METRICS, CHECKPOINT):
        (folder / name).unlink(missing_ok=True)
    run.network = world.wrap(run.model)
    return run


def _found(recipe: Recipe, folder: Path, resume: bool) -> Checkpoint | None:
    """Return the checkpoint to go on from, if any, and make the folder."""
    checkpoint = read_checkpoint(folder / CHECKPOINT) if resume else None
    if checkpoint is not None:
        _same_recipe(checkpoint.recipe_hash, recipe, folder)
    folder.mkdir(parents=True, exist_ok=True)
    return checkpoint


def _run(run: TrainingState, folder: Path, progress: Progress | None, logs: Tracking) -> RunRecord:
    """Train the epochs that are left, each with its checkpoint, then conclude."""
    epochs = run.wanted_epochs
    while len(run.epochs) < epochs:
        metrics = _epoch(run, progress)
        run.epochs += (metrics,)
        run.world.from_main(lambda: _keep(run, folder))
        logs.epoch(metrics)
        if progress is not None:
            progress(Moment(metrics.epoch, epochs, run.steps, run.steps, metrics.loss, metrics))
    record = conclude(run, folder)
    logs.end(record)
    return record


def _keep(run: TrainingState, folder: Path) -> None:
    """Write the checkpoint and the metrics of the epochs done."""
    checkpoint = take(run.recipe.hash, run.epochs, run.model, run.optimizers)
    write_checkpoint(folder / CHECKPOINT, checkpoint)
    write_metrics(folder / METRICS, run.epochs)


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """Let torch use n threads while the block runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _epoch(run: TrainingState, progress: Progress | None) -> EpochMetrics:
    """Train for one epoch. All chance in it comes from the seed and the epoch's number."""
    recipe, world, epoch, begun = run.recipe, run.world, len(run.epochs) + 1, time.perf_counter()
    share = world.share
    mixed = np.random.SeedSequence([recipe.seed, epoch]).generate_state(1, np.uint64)[0]
    seed = int(mixed >> np.uint64(1))
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(run.source.labels), generator=generator)[: run.steps * recipe.batch_size]
    epochs = run.wanted_epochs
    run.model.train()
    total, right, rate = 0.0, 0, 0.0
    mine, size = share.of_order(order, recipe.batch_size), recipe.batch_size // share.size
    for step, (pixels, labels) in enumerate(run.source.batches(mine, size, seed)):
        rate = _set_rate(run, epoch, step)
        images = augment(pixels, recipe.crop, recipe.flip, generator, share)
        loss, logits = _loss(run, normalise(images, recipe.mean, recipe.std), labels)
        for optimizer in run.optimizers:
            optimizer.zero_grad()
        torch.autograd.backward(loss)
        for optimizer in run.optimizers:
            optimizer.step()
        if run.method is not None:
            run.method.after_step(run.model, ((epoch - 1) * run.steps + step + 1) / (epochs * run.steps))
        value = world.total(float(loss.detach())) / share.size
        if not np.isfinite(value):
            raise PvqError(f"the loss is {value} in epoch {epoch}; try a smaller learning_rate than {rate:g}")
        total += value
        right += int((logits.argmax(dim=1) == labels).sum())
        if progress is not None:
            progress(Moment(epoch, epochs, step + 1, run.steps, value))
    seen = run.steps * recipe.batch_size
    world.average_norms(run.model)
    held_out = None
    if recipe.validation:
        run.settle(run.model)
        held_out = accuracy(run.model, *run.held_out, recipe.mean, recipe.std)
    seconds = time.perf_counter() - begun
    return EpochMetrics(epoch, total / run.steps, world.total(right) / seen, held_out, rate, seconds)


def _loss(run: TrainingState, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss of a batch and the logits that it was made of."""
    smoothing = run.recipe.label_smoothing
    if run.method is None:
        logits = run.network(x)
        return F.cross_entropy(logits, y, label_smoothing=smoothing), logits
    if smoothing:
        y = F.one_hot(y, run.classes) * (1 - smoothing) + smoothing / run.classes
    seen: list[Tensor] = []

    def see(module: nn.Module, inputs: Any, output: Tensor) -> None:
        seen.append(output)

    handle = run.network.register_forward_hook(see)
    try:
        loss = run.method.loss(run.network, x, y)
    finally:
        handle.remove()
    assert seen, "a method's loss calls the network"
    return loss, seen[-1]


def _set_rate(run: TrainingState, epoch: int, step: int) -> float:
    """Set the learning rate of the next step: of the middle of that step, so that none is zero."""
    recipe = run.recipe
    progress = (epoch - 1 + (step + 0.5) / run.steps) / run.wanted_epochs
    factor = rate_factor(progress, recipe.warmup, recipe.schedule, recipe.floor)
    for optimizer in run.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor
    return recipe.learning_rate * factor


def _finished(recipe: Recipe, folder: Path) -> RunRecord | None:
    """Return the record of a run that ended already."""
    if not (folder / RECORD).exists():
        return None
    record = read_record(folder / RECORD)
    _same_recipe(record.recipe_hash, recipe, folder)
    return record


def _same_recipe(found: str, recipe: Recipe, folder: Path) -> None:
    if found != recipe.hash:
        raise PvqError(
            f"{folder} holds a run of another recipe (hash {found}, now {recipe.hash}); "
            "choose another folder or start again without resuming"
        )

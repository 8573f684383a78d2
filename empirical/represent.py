"""The run behind `pvq represent`: what compression and fine-tuning do to each layer of a network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pvq.empirical.compression_run import StoredRun, read_stored_run
from pvq.empirical.executor import executor_of
from pvq.empirical.finished_comparison import FinishedComparison, TrainedCell, read_finished_comparison
from pvq.empirical.layer_fidelity import layer_fidelity
from pvq.empirical.model import file_sha256
from pvq.empirical.models_zoo import load_model
from pvq.empirical.recipe import Recipe
from pvq.empirical.run_lock import run_lock
from pvq.empirical.store import RecordStore, content_key
from pvq.errors import PvqError
from pvq.progress import Forecast, Progress
from pvq.theory.snr import snr_db

if TYPE_CHECKING:
    from torch import Tensor

    from pvq.empirical.model import LayerWeights

__all__ = ["FIELDS", "RepresentRequest", "Representation", "represent"]

ORIGINAL = "original"
VERSION = 2  # of what `look` measures; stored results of another are not taken
TABLES = ("bounds.json", "sources.json")  # of a bound run
BATCH = 128
FIELDS = (
    "method", "camp", "budget", "seed", "layer", "stage", "examples", "features", "snr_db", "cka",
    "cka_debiased", "weight_snr_db", "layer_snr_db", "at_most_db", "achieved_db", "note",
)  # fmt: skip


@dataclass(frozen=True)
class RepresentRequest:
    """What to look at.

    Parameters
    ----------
    comparison : folder of a `pvq compare` whose runs start from trained weights
    images : how many of the test split, or of the training images where there is none; at least 4
    seed : draws them
    run : folder of a bound run of the network that was started from, or None
    """

    comparison: Path
    images: int = 512
    seed: int = 0
    run: Path | None = None

    def __post_init__(self) -> None:
        if self.images < 4:
            raise ValueError(f"images must be at least 4, got {self.images}")


class Look(NamedTuple):
    """One trained network to look at; sent to whatever process does."""

    cell: TrainedCell
    images: int
    seed: int
    run: Path | None
    hashes: tuple[str, ...]


class Representation(NamedTuple):
    """What was found: rows with the keys `FIELDS`, and the comparison that they are about."""

    rows: list[dict[str, Any]]
    finished: FinishedComparison


def represent(
    request: RepresentRequest, out: Path, workers: int = 1, progress: Progress | None = None
) -> Representation:
    """Return how each layer of each trained network differs from the network that was started from.

    One row a method, budget, seed, layer and stage (``before`` or ``after`` fine-tuning), with the keys
    `FIELDS`. ``snr_db, cka, cka_debiased`` compare the layer's outputs, see `representation_rows`;
    ``weight_snr_db`` is 10 log10(|w|^2 / |w - x|^2). With a bound run, ``layer_snr_db`` is the SNR of the
    weights in the run's objective, ``at_most_db`` and ``achieved_db`` the run's ceiling and best point, see
    `layer_fidelity`. Values are NaN or None where there is none.

    What is measured is kept in `out`, network by network: a stopped call goes on where it was.

    Raises
    ------
    PvqError : no finished comparison, networks drawn at random, a bound run of another network
    ValueError : fewer than one worker
    """
    executor = executor_of(workers)
    finished = read_finished_comparison(request.comparison)
    start = _start(finished)
    hashes = () if request.run is None else _run_hashes(request.run)
    if request.run is not None:
        _stored_run(request.run, start, hashes)
    seen = _digests(finished.cells, request)
    looks = [Look(cell, request.images, request.seed, request.run, hashes) for cell in finished.cells]
    with run_lock(out):
        store = RecordStore(out / "looks")
        keys = [_key(look, seen[look.cell.recipe.dataset]) for look in looks]
        found = {key: record["rows"] for key in keys if (record := store.get(key)) is not None}
        open_ = [index for index, key in enumerate(keys) if key not in found]
        forecast = Forecast()
        for key in keys:
            forecast.expect("look", 1.0, found=key in found)
        with executor.open() as pool, closing(pool.run(_look, [looks[index] for index in open_])) as endings:
            for ended in endings:
                title = _title(looks[open_[ended.index]].cell)
                if ended.value is None:
                    raise PvqError(f"{title}: {ended.failure}")
                key = keys[open_[ended.index]]
                found[key] = ended.value
                store.put(key, {"rows": ended.value})
                forecast.ended("look", 1.0, ended.seconds, ended.workers)
                if progress is not None:
                    progress(len(found), len(keys), title, forecast.outlook())
    return Representation([row for key in keys for row in found[key]], finished)


def _title(cell: TrainedCell) -> str:
    at = "" if cell.budget is None else f" at {cell.budget:g} bits"
    return f"{cell.label}{at}, seed {cell.recipe.seed}"


def _start(finished: FinishedComparison) -> str:
    """Return the weights that all runs start from."""
    starts = {cell.recipe.start for cell in finished.cells}
    if len(starts) != 1 or starts == {""}:
        shown = ", ".join(sorted(repr(start) for start in starts))
        raise PvqError(f"all runs of the comparison must have one `start`, trained weights, got {shown}")
    return starts.pop()


def _digests(cells: Sequence[TrainedCell], request: RepresentRequest) -> dict[str, str]:
    """Return a hash of the images looked at, by data set."""
    digests = {}
    for recipe in {cell.recipe.dataset: cell.recipe for cell in cells}.values():
        images = [batch.numpy() for batch in _batches(recipe, request.images, request.seed)]
        digests[recipe.dataset] = content_key({}, *images)
    return digests


def _key(look: Look, images: str) -> str:
    """Return a hash of everything that decides what is found."""
    import torch

    files = {stage: weights.sha256 for stage, weights in look.cell.stages.items()}
    about: dict[str, Any] = {"version": VERSION, "recipe": look.cell.recipe.hash, "weights": files}
    about |= {"start": look.cell.after.start_sha256, "images": images, "torch": str(torch.__version__)}
    about |= {"label": look.cell.label, "camp": look.cell.camp, "budget": look.cell.budget}
    if look.run is not None:
        about["run"] = look.hashes
    return content_key(about)


def _look(look: Look) -> list[dict[str, Any]]:
    """Return the rows of one trained network."""
    import torch

    from pvq.empirical.analysis.representation import representation_rows
    from pvq.empirical.module_layers import module_layers
    from pvq.empirical.start_weights import started_network

    torch.set_num_threads(1)
    cell, recipe = look.cell, look.cell.recipe
    original, sha256 = started_network(recipe.model, recipe.start)
    if sha256 != cell.after.start_sha256:
        raise PvqError(f"start must be the weights that the run began with, {recipe.start} has changed since")
    networks = {ORIGINAL: original}
    for stage, trained in cell.stages.items():
        networks[stage], _ = started_network(recipe.model, str(trained.path))
    weights = {name: module_layers(network) for name, network in networks.items()}
    called = dict(original.named_modules())
    layers = [name for name in weights[ORIGINAL] if name in called]
    outputs = representation_rows(networks, layers, _batches(recipe, look.images, look.seed))
    by_stage = {(row["layer"], row["network"]): row for row in outputs}
    run = None if look.run is None else _stored_run(look.run, recipe.start, look.hashes)
    rows = []
    for layer in layers:
        theirs = {stage: weights[stage][layer] for stage in cell.stages}
        for stage, more in _weight_columns(run, cell, weights[ORIGINAL][layer], theirs).items():
            about = {"method": cell.label, "camp": cell.camp, "budget": cell.budget, "seed": recipe.seed}
            row = {**about, "stage": stage, **by_stage[layer, stage], **more}
            row["note"] = row["note"] or more["note"]
            rows.append({name: _plain(row[name]) for name in FIELDS})
    return rows


def _plain(value: Any) -> Any:
    """Return None for NaN, which equals nothing, not even itself."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _weight_columns(
    run: StoredRun | None, cell: TrainedCell, original: LayerWeights, theirs: Mapping[str, LayerWeights]
) -> dict[str, dict[str, Any]]:
    """Return what is told of a layer's weights, by stage."""
    W = original.matrix
    signal = float(np.sum(W**2))
    matrices = {stage: layer.matrix for stage, layer in theirs.items()}
    finite = {stage: matrix for stage, matrix in matrices.items() if np.isfinite(matrix).all()}
    nothing = dict.fromkeys(("weight_snr_db", "layer_snr_db", "at_most_db", "achieved_db"))
    found: dict[str, dict[str, Any]] = {
        stage: {**nothing, "note": "weights are NaN or infinite"} for stage in matrices
    }
    stands = None
    if run is not None:
        stands = layer_fidelity(run, original.name, list(finite.values()), cell.camp, cell.budget, W)
    for place, (stage, matrix) in enumerate(finite.items()):
        found[stage] = {
            "weight_snr_db": snr_db(signal, float(np.sum((W - matrix) ** 2))) if signal else None,
            "layer_snr_db": None if stands is None else stands.reached[place],
            "at_most_db": None if stands is None else stands.at_most,
            "achieved_db": None if stands is None else stands.achieved,
            "note": "",
        }
    return found


def _batches(recipe: Recipe, count: int, seed: int) -> Sequence[Tensor]:
    """Return drawn images as the network takes them: of the test split, or of the only one."""
    import torch

    from pvq.empirical.dataset import DATASETS, Sequential, pick
    from pvq.empirical.evaluate import normalise

    dataset = DATASETS.build(recipe.dataset)
    split = "test" if "test" in dataset.splits else "train"
    places = np.sort(pick(dataset.count(split), count, seed))
    parts = [] if isinstance(dataset, Sequential) else [x for x, _ in dataset.parts(split, places, BATCH)]
    images = [part for part in parts if isinstance(part, np.ndarray) and part.dtype == np.uint8]
    if not parts or len(images) < len(parts):
        raise PvqError(f"{recipe.dataset} must give uint8 images that can be drawn")
    return [normalise(torch.from_numpy(part), recipe.mean, recipe.std) for part in images]


def _run_hashes(folder: Path) -> tuple[str, ...]:
    return tuple(file_sha256(path) for name in TABLES if (path := folder / name).is_file())


@lru_cache(maxsize=1)
def _stored_run(folder: Path, start: str, hashes: tuple[str, ...]) -> StoredRun:
    """Return a bound run of the network that was started from; other `hashes` make a new answer due.

    Raises
    ------
    PvqError : a run of another network, or of some rows only
    """
    name = f"file:{start}" if Path(start).expanduser().is_file() else start
    run = read_stored_run(folder, load_model(name))
    if run.sampled:
        raise PvqError(f"{folder} solved only some rows of its layers; a run of all rows is needed")
    return run

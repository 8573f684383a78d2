"""The run behind `pvq bounds`: a network in; out, per layer and bit width, what is achieved and provable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pvq.empirical.bound_rows import PREFIX, bound_row
from pvq.empirical.calibration import Calibration, read_calibration
from pvq.empirical.effort import METHODS, Rung
from pvq.empirical.escalate import PARTS, applies, escalated
from pvq.empirical.executor import Pool, executor_of
from pvq.empirical.fold import fold_batch_norm
from pvq.empirical.held_out import BestPoints, best_points, fresh_columns, read_held_out
from pvq.empirical.layer_grams import GramSource, mend
from pvq.empirical.model import Model
from pvq.empirical.models_zoo import load_model
from pvq.empirical.plan import LayerPlan, PlanSettings, plan_layer, select_layers
from pvq.empirical.results import Results
from pvq.empirical.run_folder import RunFolder
from pvq.empirical.run_lock import run_lock
from pvq.empirical.stored_gram import StoredGram
from pvq.empirical.tasks import Camp, Methods, Task
from pvq.errors import PvqError
from pvq.progress import Progress
from pvq.solvers.solver import Limits

__all__ = ["BoundsRun", "run_bounds"]


@dataclass(frozen=True)
class BoundsRun:
    """What a bound run is to do.

    Parameters
    ----------
    model : name of a network, or the network
    out : folder of the run; a folder with results of the same content is gone on with
    bits : widths, each in (0, 16]
    layers : patterns of layer names, by commas
    rows : output channels per layer, drawn with the seed; all if None
    calibration : ``DATA:N``
    held_out : images that measure how far the calibration Gram matrices carry: ``rest`` of the same data, as
        many as calibration has or as are left; ``none``; or ``DATA:N``
    seed : of rows, images and methods
    workers : processes, each on one thread
    dask : address of the scheduler of a Dask cluster that solves instead; empty for none
    fold_bn : fold each batch norm into the layer before it first
    fresh : compute everything anew
    methods : of each camp, for every row
    ladder : what layers get whose verdict is not proved by then
    seconds : limit of one solve; a result then depends on the machine's speed. None: no limit
    tolerance : relative gap at which bounds stop improving
    """

    model: str | Model
    out: Path
    bits: tuple[float, ...] = (4.0,)
    layers: str = "*"
    rows: int | None = None
    calibration: str = "bundled:256"
    held_out: str = "rest"
    seed: int = 0
    workers: int = 1
    dask: str = ""
    fold_bn: bool = False
    fresh: bool = False
    methods: Mapping[Camp, Methods] = field(default_factory=lambda: dict(METHODS))
    ladder: tuple[Rung, ...] = ()
    seconds: float | None = None
    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        if not self.bits or not all(0 < bits <= 16 for bits in self.bits):
            raise PvqError(f"bits must lie in (0, 16], got {list(self.bits)}")
        for name, value in (("rows", self.rows), ("workers", self.workers)):
            if value is not None and value < 1:
                raise PvqError(f"{name} must be at least 1, got {value}")
        if self.dask and self.workers > 1:
            raise PvqError(f"workers and dask exclude each other, got {self.workers} and {self.dask!r}")
        if self.seed < 0:
            raise PvqError(f"seed must not be negative, got {self.seed}")

    @property
    def limits(self) -> Limits:
        """Of each solve."""
        return Limits(self.seconds, self.tolerance, self.seed)

    def plan_settings(self) -> PlanSettings:
        """Return what decides the tasks."""
        return PlanSettings(self.bits, self.rows, self.seed, self.methods, self.limits)


def run_bounds(settings: BoundsRun, progress: Progress | None = None) -> list[dict[str, Any]]:
    """Do the run, write it into its folder and return its rows, one per layer and bit width.

    The folder then holds bounds.parquet, bounds.json, sources.json (which records of tasks/ each row sums),
    manifest.json, tasks/, grams/ and certificates/. Every
    task is written when it ends; what is there, intact, is not computed again, so an interrupted run loses at
    most the tasks that were under way. A layer that cannot be solved has its reason in `note`. See
    `pvq.empirical.bound_rows` for the fields, and for what the verdicts mean.

    Raises
    ------
    PvqError : the network cannot be loaded or run, no layer matches, no calibration images, another run is at
        work in the folder, the cluster does not answer or is lost
    OSError : the folder cannot be written, the disk being full for one; what was finished is kept
    """
    executor = executor_of(settings.workers, settings.dask)
    with run_lock(settings.out), executor.open() as pool:
        return _run(settings, pool, progress)


def _run(settings: BoundsRun, pool: Pool, progress: Progress | None) -> list[dict[str, Any]]:
    model = load_model(settings.model)
    if settings.fold_bn:
        model = fold_batch_norm(model)
    layers = select_layers(model, settings.layers)
    module, remark = mend(model.module())
    calibration = read_calibration(settings.calibration, model, settings.seed)
    held_out, held_note = read_held_out(settings.held_out, model, settings.seed, calibration)
    folder = RunFolder(settings.out)
    if settings.fresh:
        folder.clear()
    if progress:
        progress(0, 1, "calibration")
    grams = GramSource(module, calibration, folder.grams).grams(layers)
    others = GramSource(module, held_out, folder.grams).grams(layers) if held_out else {}
    plans = [plan_layer(layer, grams.get(layer.name), settings.plan_settings()) for layer in layers]
    results = Results(folder, pool, progress)
    results.solve(plans)
    plans = _climb(plans, settings, results)
    note = "; ".join(filter(None, [remark, calibration.note]))
    rows = [
        bound_row(plan, bits, results.sums(plan, bits), note, _fresh(plan, bits, others, results))
        for plan in plans
        for bits in settings.bits
    ]
    sources = [_sources(plan, bits) for plan in plans for bits in settings.bits]
    about = {"held_out": held_out.describe() if held_out else {"note": held_note}}
    folder.write_table(rows, sources, _describe(settings, model, calibration) | about)
    return rows


def _fresh(
    plan: LayerPlan, bits: float, others: Mapping[str, StoredGram], results: Results
) -> dict[str, float | None]:
    """Return the columns of a layer's row that tell of held-out images."""
    other = others.get(plan.layer.name)
    if plan.gram is None or other is None or other.groups != plan.gram.groups:
        return {}
    points: dict[Camp, BestPoints | None] = {
        camp: _best(plan.tasks.get((bits, camp), ()), results) for camp in PREFIX
    }
    return fresh_columns(plan.gram.value.grams, other.value.grams, points)


def _best(tasks: Sequence[Task], results: Results) -> BestPoints | None:
    return best_points(((task, results.record(task)) for task in tasks), results.folder.certificates)


def _climb(plans: Sequence[LayerPlan], settings: BoundsRun, results: Results) -> list[LayerPlan]:
    """Give layers with open verdicts more, rung by rung; return the plans with all their tasks."""
    for rung in settings.ladder:
        for part in range(PARTS):
            plans = [_escalated(plan, settings, rung, part, results) for plan in plans]
            results.solve(plans)
    return list(plans)


def _escalated(plan: LayerPlan, settings: BoundsRun, rung: Rung, part: int, results: Results) -> LayerPlan:
    for bits in settings.bits:
        sums = results.sums(plan, bits)
        if applies(rung, plan.layer.n, sums):
            records = results.records(plan, bits)
            plan = escalated(plan, bits, rung, part, records, sums, settings.limits)
    return plan


def _sources(plan: LayerPlan, bits: float) -> dict[str, list[str]]:
    """Return the keys of the tasks of one layer at one bit width, by camp."""
    camps = {camp: tasks for (width, camp), tasks in plan.tasks.items() if width == bits}
    return {camp: [task.key for task in tasks] for camp, tasks in camps.items()}


def _describe(settings: BoundsRun, model: Model, calibration: Calibration) -> dict[str, Any]:
    """Return what the manifest says besides versions, machine and time."""
    return {
        "model": model.name,
        "source": vars(model.source),
        "metadata": dict(model.metadata),
        "calibration": calibration.describe(),
        "run": {
            "bits": list(settings.bits),
            "layers": settings.layers,
            "rows": settings.rows,
            "seed": settings.seed,
            "workers": settings.workers,
            "dask": settings.dask,
            "tolerance": settings.tolerance,
            "seconds": settings.seconds,
            "fold_bn": settings.fold_bn,
            "methods": {camp: vars(methods) for camp, methods in settings.methods.items()},
            "ladder": [f"{rung.camp} {rung.role}: {_text(rung.methods)}" for rung in settings.ladder],
        },
        "meaning": MEANING,
    }


def _text(methods: Methods) -> str:
    return ", ".join(filter(None, [methods.bound, *methods.points]))


MEANING = {
    "error": "sum over the rows solved of (x - w)' H (x - w), H the mean of c c' over output positions",
    "quantize": "every weight on the integer grid of quant_set, one scale per layer, chosen first",
    "prune": "each row keeps k = round(density n) weights, density = bits / 16, kept weights refitted freely",
    "proved": "on the rows solved, one camp attains less error than certificates allow for the other",
    "fresh": "gram_drift is |H' - H| / |H|, H' that of held-out images; *_snr_fresh_db is what the best "
    "points reach under H'; every bound is about H alone",
    "likely": "the best point of one camp is at least 1 dB above the best of the other, nothing is proved",
}

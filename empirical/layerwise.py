"""The run behind `pvq bounds`: a network in; out, per layer and bit width, what is achieved and provable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pvq.empirical.bound_rows import bound_row, sum_camp
from pvq.empirical.calibration import Calibration, read_calibration
from pvq.empirical.executor import Executor, executor_of
from pvq.empirical.layer_grams import GramSource, mend
from pvq.empirical.model import Model
from pvq.empirical.models_zoo import load_model
from pvq.empirical.plan import LayerPlan, PlanSettings, plan_layer, select_layers
from pvq.empirical.run_folder import RunFolder
from pvq.empirical.tasks import Camp, Methods, Task
from pvq.errors import PvqError
from pvq.progress import Progress
from pvq.solvers.solver import Limits

__all__ = ["EFFORTS", "METHODS", "BoundsRun", "run_bounds"]

# By what is spent on a row: seconds, or up to a minute where a layer has 576 inputs.
EFFORTS: Mapping[str, Mapping[Camp, Methods]] = {
    "standard": {
        "quantize": Methods("hull", ("nearest", "gptq", "beam")),
        "prune": Methods("perspective", ("magnitude", "obs", "swap")),
    },
    "thorough": {
        "quantize": Methods("hull-cuts", ("nearest", "gptq", "beam", "local-search")),
        "prune": Methods("block-perspective", ("magnitude", "obs", "swap")),
    },
}
METHODS = EFFORTS["standard"]


@dataclass(frozen=True)
class BoundsRun:
    """What a bound run is to do.

    Parameters
    ----------
    model : name of a network, or the network
    out : folder of the run; a folder with results of the same content is gone on with
    bits : widths, each in (0, 16]
    layers : pattern of layer names
    rows : output channels per layer, drawn with the seed; all if None
    calibration : ``DATA:N``
    seed : of rows, images and methods
    workers : processes, each on one thread
    fresh : compute everything anew
    methods : of each camp
    seconds : limit of one solve; a result then depends on the machine's speed. None: no limit
    tolerance : relative gap at which bounds stop improving
    """

    model: str | Model
    out: Path
    bits: tuple[float, ...] = (4.0,)
    layers: str = "*"
    rows: int | None = None
    calibration: str = "bundled:256"
    seed: int = 0
    workers: int = 1
    fresh: bool = False
    methods: Mapping[Camp, Methods] = field(default_factory=lambda: dict(METHODS))
    seconds: float | None = None
    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        if not self.bits or not all(0 < bits <= 16 for bits in self.bits):
            raise PvqError(f"bits must lie in (0, 16], got {list(self.bits)}")
        for name, value in (("rows", self.rows), ("workers", self.workers)):
            if value is not None and value < 1:
                raise PvqError(f"{name} must be at least 1, got {value}")
        if self.seed < 0:
            raise PvqError(f"seed must not be negative, got {self.seed}")

    def plan_settings(self) -> PlanSettings:
        """Return what decides the tasks."""
        limits = Limits(self.seconds, self.tolerance, self.seed)
        return PlanSettings(self.bits, self.rows, self.seed, self.methods, limits)


def run_bounds(settings: BoundsRun, progress: Progress | None = None) -> list[dict[str, Any]]:
    """Do the run, write it into its folder and return its rows, one per layer and bit width.

    The folder then holds bounds.parquet, bounds.json, sources.json (which records of tasks/ each row sums),
    manifest.json, tasks/, grams/ and certificates/. Every
    task is written when it ends; what is there, intact, is not computed again, so an interrupted run loses at
    most the tasks that were under way. A layer that cannot be solved has its reason in `note`. See
    `pvq.empirical.bound_rows` for the fields, and for what the verdicts mean.

    Raises
    ------
    PvqError : the network cannot be loaded or run, no layer matches, no calibration images
    """
    model = load_model(settings.model)
    layers = select_layers(model, settings.layers)
    module, remark = mend(model.module())
    calibration = read_calibration(settings.calibration, model, settings.seed)
    folder = RunFolder(settings.out)
    if settings.fresh:
        folder.clear()
    if progress:
        progress(0, 1, "calibration")
    grams = GramSource(module, calibration, folder.grams).grams(layers)
    plans = [plan_layer(layer, grams.get(layer.name), settings.plan_settings()) for layer in layers]
    failures = _solve(plans, folder, executor_of(settings.workers), progress)
    note = "; ".join(filter(None, [remark, calibration.note]))
    rows = [row for plan in plans for row in _layer_rows(plan, settings.bits, folder, failures, note)]
    sources = [_sources(plan, bits) for plan in plans for bits in settings.bits]
    folder.write_table(rows, sources, _describe(settings, model, calibration))
    return rows


def _solve(
    plans: Sequence[LayerPlan], folder: RunFolder, executor: Executor, progress: Progress | None
) -> dict[str, str]:
    """Run the tasks that have no intact result; return why those without a result have none, by key."""
    tasks = [task for plan in plans for group in plan.tasks.values() for task in group]
    open_ = [task for task in tasks if folder.result(task) is None]
    open_.sort(key=_cost, reverse=True)  # the longest first, so that no process ends alone
    failures: dict[str, str] = {}
    done = len(tasks) - len(open_)
    if progress:
        progress(done, len(tasks), "")
    with closing(executor.run(folder.run, open_)) as endings:  # closed at once if interrupted
        for ended in endings:
            task = open_[ended.index]
            done += 1
            if ended.failure:
                failures[task.key] = ended.failure
            if progress:
                progress(done, len(tasks), task.label)
    return failures


def _cost(task: Task) -> int:
    """Work grows as n^3 a row."""
    return len(task.rows) * int(task.weights.shape[1]) ** 3


def _layer_rows(
    plan: LayerPlan, widths: Sequence[float], folder: RunFolder, failures: Mapping[str, str], note: str
) -> list[dict[str, Any]]:
    rows = []
    for bits in widths:
        sums = {}
        for (width, camp), tasks in plan.tasks.items():
            if width == bits:
                results = [(task, folder.result(task)) for task in tasks]
                records = [row for _, result in results if result is not None for row in result["rows"]]
                lost = [failures.get(task.key, "no result") for task, result in results if result is None]
                sums[camp] = sum_camp(records, lost)
        rows.append(bound_row(plan, bits, sums, note))
    return rows


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
            "tolerance": settings.tolerance,
            "seconds": settings.seconds,
            "methods": {camp: vars(methods) for camp, methods in settings.methods.items()},
        },
        "meaning": MEANING,
    }


MEANING = {
    "error": "sum over the rows solved of (x - w)' H (x - w), H the mean of c c' over output positions",
    "quantize": "every weight on the integer grid of quant_set, one scale per layer, chosen first",
    "prune": "each row keeps k = round(density n) weights, density = bits / 16, kept weights refitted freely",
    "proved": "on the rows solved, one camp attains less error than certificates allow for the other",
    "likely": "the best point of one camp is at least 1 dB above the best of the other, nothing is proved",
}

"""The run behind `pvq compare`: every run of a comparison once, what is stored already not again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pvq.empirical.comparison import Comparison
from pvq.empirical.comparison_plan import Cell, ComparisonPlan, plan_comparison
from pvq.empirical.comparison_rows import method_rows, pair_rows
from pvq.empirical.comparison_score import Score, score_cells
from pvq.empirical.comparison_words import verdicts
from pvq.empirical.distributed import processes
from pvq.empirical.executor import executor_of
from pvq.empirical.recipe import Recipe
from pvq.empirical.record import RunRecord, read_record
from pvq.empirical.run_lock import run_lock
from pvq.empirical.tracker import Tracker
from pvq.empirical.tracking import ready_trackers
from pvq.errors import PvqError
from pvq.progress import Forecast, Progress

__all__ = ["RUNS", "CompareResult", "Job", "compare", "train_one"]

RUNS = "runs"  # folder of the runs, each under the hash of its recipe


class Job(NamedTuple):
    """A run, where it is kept and logged; sent to whatever process trains it."""

    recipe: Recipe
    folder: Path
    trackers: tuple[Tracker, ...] = ()
    store: Path | None = None


@dataclass(frozen=True)
class CompareResult:
    """A comparison with everything that was found.

    Parameters
    ----------
    comparison : what was asked
    plan : the runs
    records : of the runs that ended, by the hash of their recipe
    scores : of every cell
    failures : why other runs did not end, by the hash of their recipe
    rows : one for each method and budget, see `method_rows`
    pairs : one for each stage, budget and pair of methods, see `pair_rows`
    words : the verdict, sentence by sentence
    """

    comparison: Comparison
    plan: ComparisonPlan
    records: Mapping[str, RunRecord]
    failures: Mapping[str, str]
    scores: Mapping[Cell, Score] = field(init=False)
    rows: Sequence[Mapping[str, Any]] = field(init=False)
    pairs: Sequence[Mapping[str, Any]] = field(init=False)
    words: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        scores = score_cells(self.plan, self.records, self.failures)
        pairs = pair_rows(self.comparison, scores)
        rows = method_rows(self.comparison, scores)
        found = {"scores": scores, "rows": rows, "pairs": pairs, "words": verdicts(pairs, rows)}
        for name, value in found.items():
            object.__setattr__(self, name, value)


def compare(
    comparison: Comparison,
    out: Path,
    workers: int | None = None,
    progress: Progress | None = None,
    trackers: Sequence[str] = (),
) -> CompareResult:
    """Train whatever of a comparison is not in its folder yet, and return what all runs found.

    Each run has the folder ``runs/HASH`` of its recipe, where `train` keeps checkpoints: an interrupted
    comparison goes on from them and ends with the same numbers, and a comparison that has grown by a seed, a
    budget or a method trains only what is new. A run that fails is told of, and tried again next time.

    Parameters
    ----------
    comparison : methods, budgets, seeds
    out : folder, made if need be
    workers : processes; those of the comparison if None
    progress : told of every run that ends
    trackers : specs of where to log the runs, those that ended earlier as well

    Raises
    ------
    MissingExtra : the package of a tracker is not installed
    PvqError : names or settings of a run that are refused, another comparison at work in the folder
    ValueError : fewer than one worker
    """
    executor = executor_of(comparison.workers if workers is None else workers)
    if processes() > 1:
        raise PvqError("a comparison starts processes of its own; run it by itself, with --workers N")
    plan = plan_comparison(comparison)
    logs = ready_trackers(trackers, out)
    with run_lock(out):
        jobs = [Job(recipe, out / RUNS / recipe.hash, logs, out) for recipe in plan.runs()]
        records = {job.recipe.hash: record for job in jobs if (record := _stored(job)) is not None}
        open_ = [job for job in jobs if job.recipe.hash not in records]
        for job in jobs if logs else ():
            if job.recipe.hash in records:
                train_one(job)  # it ended earlier: it is logged, not trained
        failures: dict[str, str] = {}
        report = _Report(jobs, records, progress)
        if open_:
            with executor.open() as pool, closing(pool.run(train_one, open_)) as endings:
                for ended in endings:
                    recipe = open_[ended.index].recipe
                    if ended.value is None:
                        failures[recipe.hash] = ended.failure
                    else:
                        records[recipe.hash] = ended.value
                    report.ended(recipe, ended.seconds, ended.workers)
    return CompareResult(comparison, plan, records, failures)


def train_one(job: Job) -> RunRecord:
    """Train one run of a comparison, or go on with it, and return its record.

    Raises
    ------
    PvqError, ValueError : see `pvq.empirical.train.train`
    """
    from pvq.empirical.train import train

    return train(job.recipe, job.folder, trackers=job.trackers, store=job.store)


def _stored(job: Job) -> RunRecord | None:
    """Return the record of a run that ended earlier; a damaged one is removed, and its run ends again."""
    path = job.folder / "record.json"
    if not path.exists():
        return None
    try:
        record = read_record(path)
    except PvqError:
        path.unlink()
        return None
    return record if record.recipe_hash == job.recipe.hash else None


class _Report:
    """Tells how many runs are done and how long the others will take."""

    def __init__(
        self, jobs: Sequence[Job], records: Mapping[str, RunRecord], progress: Progress | None
    ) -> None:
        self.progress, self.total, self.done = progress, len(jobs), len(records)
        self.forecast = Forecast()
        for job in jobs:
            self.forecast.expect(*_work(job.recipe), found=job.recipe.hash in records)
        self._tell("")

    def ended(self, recipe: Recipe, seconds: float, workers: int) -> None:
        self.done += 1
        self.forecast.ended(*_work(recipe), seconds, workers)
        what = f"{recipe.method} at {recipe.budget:g} bits" if recipe.method else "no method"
        self._tell(f"{what}, seed {recipe.seed}")

    def _tell(self, label: str) -> None:
        if self.progress is not None:
            self.progress(self.done, self.total, label, self.forecast.outlook())


def _work(recipe: Recipe) -> tuple[str, float]:
    """Return what tells runs of unlike speed, and a cost in epochs; to prepare and to test counts as one."""
    return recipe.method, 1.0 + recipe.epochs

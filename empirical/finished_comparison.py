"""The networks that a comparison trained, read back from its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pvq.empirical.compare import RUNS
from pvq.empirical.comparison import Comparison, comparison_from
from pvq.empirical.comparison_json import read_comparison_json
from pvq.empirical.comparison_plan import plan_comparison
from pvq.empirical.model import file_sha256
from pvq.empirical.recipe import Recipe
from pvq.empirical.record import read_record
from pvq.errors import PvqError

__all__ = ["FinishedComparison", "TrainedCell", "TrainedWeights", "read_finished_comparison"]


class TrainedWeights(NamedTuple):
    """A run's file of weights, its hash, and that of the weights the run started from, empty if drawn."""

    path: Path
    sha256: str
    start_sha256: str


@dataclass(frozen=True)
class TrainedCell:
    """What one method made of a network at one budget under one seed.

    Parameters
    ----------
    label, camp : of the method
    budget : bits per weight asked for; None without a method
    recipe : of the fine-tuning run
    after : weights after fine-tuning
    before : weights before it; None where there are none: the comparison did not ask for them, their run has
        not ended, or there is no method
    """

    label: str
    camp: str
    budget: float | None
    recipe: Recipe
    after: TrainedWeights
    before: TrainedWeights | None

    @property
    def stages(self) -> dict[str, TrainedWeights]:
        """The weights by stage, ``before`` and ``after``."""
        first = {} if self.before is None else {"before": self.before}
        return {**first, "after": self.after}


@dataclass(frozen=True)
class FinishedComparison:
    """A comparison and those of its networks that are there.

    Parameters
    ----------
    comparison : what was asked
    cells : every network after fine-tuning, in the order of the recipe; one that all budgets share comes once
    runs : how many runs there are to be
    missing : how many of them have not ended
    """

    comparison: Comparison
    cells: tuple[TrainedCell, ...]
    runs: int
    missing: int


def read_finished_comparison(folder: Path) -> FinishedComparison:
    """Return the networks of a comparison; each file of weights is checked against the record of its run.

    Raises
    ------
    PvqError : no comparison in the folder, none of its runs ended, weights that are not those of the record
    """
    comparison = _comparison(folder)
    plan = plan_comparison(comparison)
    weights = {run.hash: _weights(folder / RUNS / run.hash, run.hash) for run in plan.runs()}
    camps = {contender.label: contender.camp for contender in comparison.methods}
    found: dict[tuple[str, str], TrainedCell] = {}
    for cell, recipe in plan.after.items():
        after, first = weights[recipe.hash], plan.before.get(cell)
        before = None if first is None else weights[first.hash]
        if after is not None:
            budget = cell.budget if recipe.method else None
            made = TrainedCell(cell.label, camps[cell.label], budget, recipe, after, before)
            found.setdefault((cell.label, recipe.hash), made)
    missing = sum(path is None for path in weights.values())
    if not found:
        raise PvqError(f"{folder}: none of the comparison's {len(weights)} runs has ended")
    return FinishedComparison(comparison, tuple(found.values()), len(weights), missing)


def _comparison(folder: Path) -> Comparison:
    path = folder / "comparison.json"
    if not path.is_file():
        raise PvqError(f"{folder} must be the folder of a pvq compare; it has no {path.name}")
    return comparison_from(read_comparison_json(path).get("comparison"), str(path))


def _weights(run: Path, key: str) -> TrainedWeights | None:
    """Return the weights of a run that has ended, else None."""
    if not (run / "record.json").exists():
        return None
    record = read_record(run / "record.json")
    path = run / record.weights
    if record.recipe_hash != key or not path.is_file() or file_sha256(path) != record.weights_sha256:
        raise PvqError(
            f"{run}: record.json and {record.weights} do not belong together; run pvq compare again"
        )
    return TrainedWeights(path, record.weights_sha256, record.start_sha256)

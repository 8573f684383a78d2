"""The results of a run as they come: tasks are solved, their records merged and added up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from pvq.empirical.bound_rows import CampSum, sum_camp
from pvq.empirical.executor import Done, Pool, Shared
from pvq.empirical.merge import merge_rows
from pvq.empirical.plan import LayerPlan
from pvq.empirical.run_folder import RunFolder, TaskFiles, solve_task
from pvq.empirical.shared_grams import LayerGrams
from pvq.empirical.tasks import Camp, Task
from pvq.progress import Forecast, Progress

__all__ = ["Results"]


@dataclass
class Results:
    """What a run knows.

    Parameters
    ----------
    folder : where results are kept
    pool : solves what the folder does not have
    progress : told of every task that ends
    failures : why a task has no result, by its key
    """

    folder: RunFolder
    pool: Pool
    progress: Progress | None = None
    failures: dict[str, str] = field(default_factory=dict)
    _forecast: Forecast = field(default_factory=Forecast)
    _found: dict[str, dict[str, Any]] = field(default_factory=dict)
    _sums: dict[tuple[str, ...], dict[Camp, CampSum]] = field(default_factory=dict)

    def solve(self, plans: Sequence[LayerPlan]) -> None:
        """Run the tasks of plans that have no intact result yet; one that fails is not tried again."""
        tasks = {task.key: task for plan in plans for group in plan.tasks.values() for task in group}
        new = [task for key, task in tasks.items() if key not in self._found and key not in self.failures]
        open_ = sorted((task for task in new if not self._read(task)), key=_cost, reverse=True)
        for task in new:
            self._forecast.expect(_kind(task), _cost(task), found=task.key in self._found)
        done = len(tasks) - len(open_)
        self._tell(done, len(tasks))
        with closing(self.pool.run(solve_task, open_, _shared)) as endings:  # closed at once if interrupted
            for ended in endings:
                task = open_[ended.index]
                self._keep(task, ended)
                done += 1
                self._forecast.ended(_kind(task), _cost(task), ended.seconds, ended.workers)
                self._tell(done, len(tasks), task.label)

    def _keep(self, task: Task, ended: Done[TaskFiles]) -> None:
        """Write what a task gave, or remember why it gave nothing."""
        if ended.value is not None:
            self.folder.store(task, ended.value)
        if ended.failure or not self._read(task):
            self.failures[task.key] = ended.failure or "its result was damaged as it was written"

    def _read(self, task: Task) -> bool:
        """Take a task's result from the folder; return whether it is there, intact."""
        result = self.folder.result(task)
        if result is not None:
            self._found[task.key] = result
        return result is not None

    def record(self, task: Task) -> dict[str, Any] | None:
        """Return what the folder holds of a task, None if it has no result."""
        return self._found.get(task.key)

    def _tell(self, done: int, total: int, label: str = "") -> None:
        if self.progress:
            self.progress(done, total, label, self._forecast.outlook())

    def records(self, plan: LayerPlan, bits: float) -> dict[Camp, list[dict[str, Any]]]:
        """Return what is known of each row of a layer, by camp: one record a row."""
        return {
            camp: merge_rows(row for task in tasks for row in self._rows(task))
            for camp, tasks in _camps(plan, bits)
        }

    def _rows(self, task: Task) -> Sequence[dict[str, Any]]:
        return self._found[task.key]["rows"] if task.key in self._found else ()

    def sums(self, plan: LayerPlan, bits: float) -> dict[Camp, CampSum]:
        """Return the sums over the rows of a layer, by camp; none where a row has no result at all.

        Asked once the tasks have ended: the answer is kept.
        """
        asked = tuple(task.key for _, tasks in _camps(plan, bits) for task in tasks)
        if asked not in self._sums:
            records = self.records(plan, bits)
            self._sums[asked] = {
                camp: _summed(records[camp], len(plan.rows), self._why(tasks))
                for camp, tasks in _camps(plan, bits)
            }
        return self._sums[asked]

    def _why(self, tasks: Sequence[Task]) -> list[str]:
        return [self.failures[task.key] for task in tasks if task.key in self.failures]


def _summed(records: Sequence[Mapping[str, Any]], rows: int, failures: list[str]) -> CampSum:
    """Add up records; a failure costs the sum where rows are missing, else it is only remarked."""
    if len(records) < rows:
        return sum_camp(records, failures or ["no result"])
    total = sum_camp(records)
    return replace(total, note="; ".join(filter(None, [total.note, *dict.fromkeys(failures)])))


def _camps(plan: LayerPlan, bits: float) -> Iterator[tuple[Camp, tuple[Task, ...]]]:
    return ((camp, tasks) for (width, camp), tasks in plan.tasks.items() if width == bits)


def _cost(task: Task) -> float:
    """Return the work of a task in units of about 3 microseconds.

    Fitted to standard effort on rows of 27 to 4608 inputs, where it is right within a factor of two.
    """
    n = float(task.weights.shape[1])
    return len(task.rows) * (1e4 + n**2 + 1e-3 * n**3)


def _kind(task: Task) -> str:
    """Return what tells tasks whose work differs by more than its amount."""
    return f"{task.camp} {task.bits:g} {task.methods}"


def _shared(task: Task) -> Shared[LayerGrams]:
    return task.shared

"""The logs of a training run: written epoch by epoch, filled up when a run goes on, never its undoing."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pvq.empirical.executor import reason
from pvq.empirical.recipe import Recipe
from pvq.empirical.record import EpochMetrics, RunRecord
from pvq.empirical.tracker import TRACKERS, Log, Setting, Subject, Tracker
from pvq.errors import MissingExtra

__all__ = ["Tracking", "ready_trackers", "track"]

RESULTS = (
    "test_accuracy",
    "final_accuracy",
    "prepared_accuracy",
    "start_accuracy",
    "spent_bits",
    "parameters",
)


def ready_trackers(specs: Sequence[str], store: Path) -> tuple[Tracker, ...]:
    """Return the trackers of these specs once all of them can be used.

    Raises
    ------
    UnknownName, SpecError : no such tracker or option
    MissingExtra : a package is not installed
    PvqError : a server that cannot be reached
    """
    trackers = tuple(TRACKERS.build(spec) for spec in specs)
    for tracker in trackers:
        tracker.check(store)
    return trackers


@contextmanager
def track(
    trackers: Sequence[Tracker],
    recipe: Recipe,
    folder: Path,
    epochs: Sequence[EpochMetrics],
    store: Path | None = None,
) -> Iterator[Tracking]:
    """Give what logs a run while the block runs; epochs already done are written where a log lacks them.

    Raises
    ------
    MissingExtra : the package of a tracker is not installed; any other failure of a tracker is told on
        stderr, once, and ends its log only
    """
    subject = Subject(recipe.name, folder, store or folder, _settings(recipe), len(epochs))
    tracking = Tracking()
    try:
        for tracker in trackers:
            tracking.open(tracker, subject)
        for metrics in epochs:
            tracking.epoch(metrics)
        yield tracking
    finally:
        tracking.close()


class Tracking:
    """The open logs of one run."""

    def __init__(self) -> None:
        self._logs: dict[str, tuple[Log, set[tuple[str, int]]]] = {}
        self._finished = False

    def open(self, tracker: Tracker, subject: Subject) -> None:
        """Open one more log."""
        name = f"{TRACKERS.name_of(tracker)} {len(self._logs) + 1}"

        def begin() -> None:
            log = tracker.open(subject)
            self._logs[name] = log, set(log.held())

        self._attempt(name, begin)

    def epoch(self, metrics: EpochMetrics) -> None:
        """Write an epoch."""
        values = dataclasses.asdict(metrics)
        self._write({name: value for name, value in values.items() if name != "epoch"}, metrics.epoch)

    def end(self, record: RunRecord) -> None:
        """Write what a run ended with, at its last epoch."""
        self._write({name: getattr(record, name) for name in RESULTS}, len(record.epochs))
        self._finished = True

    def close(self) -> None:
        """Close all logs."""
        for name, (log, _) in list(self._logs.items()):
            self._attempt(name, lambda log=log: log.close(self._finished))  # type: ignore[misc]
        self._logs.clear()

    def _write(self, values: dict[str, Any], step: int) -> None:
        """Write the values that there are, to each log those that it lacks."""
        found = {name: float(value) for name, value in values.items() if value is not None}
        for key, (log, held) in list(self._logs.items()):
            new = {name: value for name, value in found.items() if (name, step) not in held}
            if new:
                self._attempt(key, lambda log=log, new=new: log.write(new, step))  # type: ignore[misc]

    def _attempt(self, name: str, action: Callable[[], None]) -> None:
        """Let a log do something; one that fails is left alone from then on."""
        try:
            action()
        except MissingExtra:
            raise
        except Exception as error:  # whatever it was, the run is worth more than its log
            self._logs.pop(name, None)
            kind = name.rpartition(" ")[0]
            text = f"{kind} failed and is left out from here on, the run goes on: {reason(error)}"
            print(text, file=sys.stderr, flush=True)


def _settings(recipe: Recipe) -> dict[str, Setting]:
    """Return a recipe's settings as trackers take them: several numbers as text."""
    plain = {
        name: ", ".join(map(str, value)) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(recipe).items()
    }
    return {**plain, "recipe_hash": recipe.hash}

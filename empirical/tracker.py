"""Where a training run is logged besides its own folder: TensorBoard, MLflow, or a kind of your own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

from pvq.registry import Registry

__all__ = ["TRACKERS", "Log", "Setting", "Subject", "Tracker"]

Setting: TypeAlias = str | int | float | bool


@dataclass(frozen=True)
class Subject:
    """The run that a log is about.

    Parameters
    ----------
    name : of the recipe
    folder : of the run, where its checkpoint lies
    store : folder for what several runs may share; that of the run, or of the comparison it belongs to
    settings : the recipe's, and its hash
    epochs : how many are done; a log of a run that begins must not hold epochs of an earlier one
    """

    name: str
    folder: Path
    store: Path
    settings: Mapping[str, Setting]
    epochs: int = 0


class Log(Protocol):
    """An open log of one run. Any error that it raises ends the log, not the run."""

    def held(self) -> Collection[tuple[str, int]]:
        """Return name and step of every value in the log."""
        ...

    def write(self, values: Mapping[str, float], step: int) -> None:
        """Add values at a step, the epoch, and bring them to where others can read them."""
        ...

    def close(self, finished: bool) -> None:
        """Close the log of a run that has ended, or was stopped and may go on."""
        ...


@runtime_checkable
class Tracker(Protocol):
    """A kind of log: a frozen dataclass of options."""

    def check(self, store: Path) -> None:
        """See that a log could be opened now.

        Raises
        ------
        MissingExtra : its package is not installed
        PvqError : its server cannot be reached, its folder cannot be written
        """
        ...

    def open(self, subject: Subject) -> Log:
        """Open the log of a run, the same one each time the run goes on, its settings written once.

        Raises
        ------
        MissingExtra : its package is not installed
        """
        ...


TRACKERS: Registry[Tracker] = Registry("tracker", "pvq.empirical.trackers", Tracker)

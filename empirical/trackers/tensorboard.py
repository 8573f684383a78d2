"""Curves in TensorBoard."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvq.empirical.tracker import TRACKERS, Log, Setting, Subject
from pvq.errors import MissingExtra

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["TensorBoard"]

FOLDER = "tensorboard"  # beside the checkpoint
SHOWN = ("loss", "train_accuracy", "validation_accuracy", "test_accuracy", "final_accuracy", "spent_bits")


@TRACKERS.register("tensorboard")
@dataclass(frozen=True)
class TensorBoard:
    """Event files in the run's folder ``tensorboard``, for `tensorboard --logdir`, settings as HPARAMS."""

    def check(self, store: Path) -> None:
        """See that TensorBoard is installed.

        Raises
        ------
        MissingExtra : it is not
        """
        try:
            import tensorboard  # noqa: F401
        except ModuleNotFoundError as error:
            raise MissingExtra("tensorboard", "tracking") from error

    def open(self, subject: Subject) -> Log:
        """Open the run's event files; those of an earlier run in the folder are removed.

        Raises
        ------
        MissingExtra : TensorBoard is not installed
        OSError : the folder cannot be written
        """
        self.check(subject.store)
        from torch.utils.tensorboard import SummaryWriter

        folder = subject.folder / FOLDER
        if subject.epochs == 0 and folder.exists():
            shutil.rmtree(folder)
        held = _read(folder)
        log = _EventLog(SummaryWriter(str(folder)), held)
        if not held.settings:
            log.describe(subject)
        return log


@dataclass(frozen=True)
class _Held:
    """What event files hold.

    Parameters
    ----------
    values : name and step of every scalar
    settings : whether the settings are there
    ended : whether the run is noted as ended
    """

    values: frozenset[tuple[str, int]] = frozenset()
    settings: bool = False
    ended: bool = False


class _EventLog:
    """Event files that are written to."""

    def __init__(self, writer: SummaryWriter, held: _Held) -> None:
        self._writer, self._held = writer, held

    def describe(self, subject: Subject) -> None:
        """Write the settings, as text and for the tab HPARAMS."""
        lines = [f"    {name}: {value}" for name, value in subject.settings.items()]
        self._writer.add_text("recipe", "\n".join(lines))
        experiment, start, _ = _summaries(subject.settings)
        self._add(experiment, start)

    def held(self) -> frozenset[tuple[str, int]]:
        """Return name and step of every scalar that was there."""
        return self._held.values

    def write(self, values: Mapping[str, float], step: int) -> None:
        """Add scalars and bring them to the disk."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self, finished: bool) -> None:
        """Note the end of a run that has ended, and close the file."""
        if finished and not self._held.ended:
            *_, end = _summaries({})
            self._add(end)
        self._writer.close()

    def _add(self, *summaries: Any) -> None:
        writer: Any = self._writer
        for summary in summaries:
            writer.file_writer.add_summary(summary)


def _summaries(settings: Mapping[str, Setting]) -> tuple[Any, Any, Any]:
    """Return what the tab HPARAMS reads: columns, a run's start with its settings, and its end.

    torch's own `add_hparams` writes the three at once, with a value for each metric.
    """
    from torch.utils.tensorboard import summary

    make: Any = summary.hparams
    experiment, start, end = make(dict(settings), dict.fromkeys(SHOWN, 0.0))
    return experiment, start, end


def _read(folder: Path) -> _Held:
    """Return what the event files of a folder hold; one cut short counts as far as it goes."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if not folder.exists():
        return _Held()
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    values = {(name, event.step) for name in events.Tags()["scalars"] for event in events.Scalars(name)}
    known = events.summary_metadata
    return _Held(
        frozenset(values), "_hparams_/session_start_info" in known, "_hparams_/session_end_info" in known
    )

"""Progress of a training run on stderr: a bar on a terminal, one line per epoch elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from pvq.empirical.moment import Moment, Progress
from pvq.empirical.record import EpochMetrics

__all__ = ["epoch_line", "show_progress"]


@contextmanager
def show_progress(stream: IO[str] | None = None) -> Iterator[Progress]:
    """Give a callback for `train` that reports to `stream`, stderr if None, while the block runs."""
    from rich.console import Console

    console = Console(file=stream or sys.stderr, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        yield _Lines(console.file)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("training", total=None)

        def report(moment: Moment) -> None:
            done = (moment.epoch - 1) * moment.steps + moment.step
            text = f"epoch {moment.epoch}/{moment.epochs}  loss {moment.loss:.3f}"
            bar.update(task, completed=done, total=moment.epochs * moment.steps, description=text)
            if moment.finished is not None:
                bar.console.print(epoch_line(moment.finished, moment.epochs))

        yield report


class _Lines:
    """One line per epoch, with the time that the rest will take at the pace so far."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream
        self.begun = time.monotonic()
        self.first: int | None = None

    def __call__(self, moment: Moment) -> None:
        self.first = moment.epoch if self.first is None else self.first
        if moment.finished is None:
            return
        pace = (time.monotonic() - self.begun) / (moment.epoch - self.first + 1)
        left = pace * (moment.epochs - moment.epoch)
        print(epoch_line(moment.finished, moment.epochs, left), file=self.stream, flush=True)


def epoch_line(metrics: EpochMetrics, epochs: int, left: float | None = None) -> str:
    """Return one line about an epoch.

    Parameters
    ----------
    metrics : of the epoch
    epochs : of the whole run
    left : seconds to the end, None to leave it out

    >>> epoch_line(EpochMetrics(1, 1.5, 0.45, None, 0.1, 60.0), 10, 540.0)
    'epoch 1/10  loss 1.5000  train 45.00 %  rate 0.1000  60 s  left 9 min'
    """
    parts = [f"epoch {metrics.epoch}/{epochs}", f"loss {metrics.loss:.4f}"]
    parts.append(f"train {100 * metrics.train_accuracy:.2f} %")
    if metrics.validation_accuracy is not None:
        parts.append(f"held out {100 * metrics.validation_accuracy:.2f} %")
    parts += [f"rate {metrics.learning_rate:.4f}", f"{metrics.seconds:.0f} s"]
    if left is not None:
        parts.append(f"left {left / 60:.0f} min")
    return "  ".join(parts)

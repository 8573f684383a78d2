"""What a training run leaves behind: settings, provenance, a line per epoch, the outcome."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pvq.empirical.atomic import write_text
from pvq.errors import PvqError

__all__ = ["EpochMetrics", "RunRecord", "read_record", "write_metrics", "write_record"]


@dataclass(frozen=True)
class EpochMetrics:
    """One epoch of training.

    Parameters
    ----------
    epoch : from 1
    loss : mean cross-entropy of the training batches, in nats
    train_accuracy : share of augmented training images classified rightly while training, in [0, 1]
    validation_accuracy : share of the held-out images, None if none are held out
    learning_rate : at the last step
    seconds : wall time
    """

    epoch: int
    loss: float
    train_accuracy: float
    validation_accuracy: float | None
    learning_rate: float
    seconds: float

    def numbers(self) -> tuple[float | None, ...]:
        """Return everything but the time: what a repeated run must give again."""
        return dataclasses.astuple(self)[:-1]


@dataclass(frozen=True)
class RunRecord:
    """A finished run.

    Parameters
    ----------
    recipe, recipe_hash : the settings, and their hash
    epochs : one entry per epoch
    test_accuracy, test_images : share of the test images classified rightly, read once after the last epoch;
        None and 0 where the data set has no test split
    parameters : number of trained values
    weights, weights_sha256 : file name and hash of the weights
    seconds : wall time of all epochs
    provenance : versions, commit, platform, command
    start_accuracy : of the weights that the run started from; None if they were drawn. This and the next are
        shares of the test images, read when `test_accuracy` is, or of the held-out images where there is no
        test split; None where there is neither
    prepared_accuracy : after the method prepared the network and before training
    final_accuracy : of the same images at the end
    spent_bits : average bits per weight that the result takes, masks and scales included; None without one
    spent : what each layer takes
    start_sha256 : of the file that the run started from
    """

    recipe: dict[str, Any]
    recipe_hash: str
    epochs: tuple[EpochMetrics, ...]
    test_accuracy: float | None
    test_images: int
    parameters: int
    weights: str
    weights_sha256: str
    seconds: float
    provenance: dict[str, Any]
    start_accuracy: float | None = None
    prepared_accuracy: float | None = None
    final_accuracy: float | None = None
    spent_bits: float | None = None
    spent: dict[str, Any] | None = None
    start_sha256: str = ""


def write_record(path: Path, record: RunRecord) -> None:
    """Write a record as JSON, atomically."""
    write_text(path, json.dumps(dataclasses.asdict(record), indent=2, allow_nan=False) + "\n")


def read_record(path: Path) -> RunRecord:
    """Return the record that `write_record` wrote.

    Raises
    ------
    PvqError : no such file, or no record in it
    """
    try:
        fields = json.loads(path.read_text())
        epochs = tuple(EpochMetrics(**entry) for entry in fields.pop("epochs"))
        return RunRecord(epochs=epochs, **fields)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise PvqError(f"{path} holds no run record: {error}") from error


def write_metrics(path: Path, epochs: Iterable[EpochMetrics]) -> None:
    """Write one JSON object per line and epoch, atomically."""
    write_text(path, "".join(json.dumps(dataclasses.asdict(entry)) + "\n" for entry in epochs))

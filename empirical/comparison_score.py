"""What the runs of a comparison found, cell by cell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pvq.empirical.comparison_plan import Cell, ComparisonPlan
from pvq.empirical.record import RunRecord

__all__ = ["Score", "score_cells"]


@dataclass(frozen=True)
class Score:
    """What is known of one method at one budget under one seed.

    Parameters
    ----------
    accuracy, before : share of images classified rightly after and before fine-tuning; None if unknown
    uncompressed : accuracy of the weights that the run started from; None if it started from none
    spent_bits : measured bits per weight, masks and scales included; None without a method
    seconds : of training
    failure : why there is no accuracy, empty if there is one
    """

    accuracy: float | None = None
    before: float | None = None
    uncompressed: float | None = None
    spent_bits: float | None = None
    seconds: float = 0.0
    failure: str = ""


def score_cells(
    plan: ComparisonPlan, records: Mapping[str, RunRecord], failures: Mapping[str, str]
) -> dict[Cell, Score]:
    """Return the score of every cell.

    Parameters
    ----------
    plan : which run belongs to which cell
    records : of the runs that ended, by the hash of their recipe
    failures : why others did not, likewise
    """
    return {cell: _score(cell, plan, records, failures) for cell in plan.after}


def _score(
    cell: Cell, plan: ComparisonPlan, records: Mapping[str, RunRecord], failures: Mapping[str, str]
) -> Score:
    first, key = plan.before.get(cell), plan.after[cell].hash
    before = _accuracy(records.get(first.hash)) if first else None
    trouble = failures.get(first.hash, "") if first else ""
    record = records.get(key)
    if record is None:
        return Score(before=before, failure=failures.get(key) or trouble or "not run yet")
    found = _accuracy(record)
    if found is None:
        trouble = "the run has no accuracy: its data set has no test split and validation is 0"
    if plan.before and not plan.after[cell].method:
        before = record.start_accuracy  # without a method nothing is done before fine-tuning
    return Score(found, before, record.start_accuracy, record.spent_bits, record.seconds, trouble)


def _accuracy(record: RunRecord | None) -> float | None:
    """Return the accuracy on the test images, or on those held out where there are none."""
    if record is None:
        return None
    found = record.test_accuracy if record.final_accuracy is None else record.final_accuracy
    if found is None and record.epochs:
        found = record.epochs[-1].validation_accuracy
    return found if found is not None and math.isfinite(found) else None

"""Where weights found in any way stand on the scale of a bound run: their SNR in the run's own objective."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pvq.arrays import F64
from pvq.empirical.compression_run import PREFIX, StoredRun
from pvq.errors import PvqError
from pvq.solvers.decibel import snr_achieved_db
from pvq.solvers.problem import LayerProblem

__all__ = ["Fidelity", "layer_fidelity"]


@dataclass(frozen=True)
class Fidelity:
    """SNRs of one layer in dB: 10 log10 of sum w' H w over sum (w - x)' H (w - x), rows added up.

    Parameters
    ----------
    reached : of each of the weights x asked about; a number that is reached at least
    at_most : the run's certified ceiling for the camp's sets at this budget; None if the run has none
    achieved : what the best point of the run reaches; None likewise
    """

    reached: tuple[float | None, ...]
    at_most: float | None
    achieved: float | None


def layer_fidelity(
    run: StoredRun, layer: str, weights: Sequence[F64], camp: str, bits: float | None, original: F64
) -> Fidelity | None:
    """Return where weights stand; None if the run has nothing of the layer.

    The ceiling is proved for the sets that the run names, one step size a layer or one sparsity a row.
    Weights of another set, with a learned step size or a sparsity that differs from row to row, may lie
    above.

    Parameters
    ----------
    run : of all rows, with its points
    layer : name
    weights : matrices (rows, n), rows as output channels
    camp : ``quantize`` or ``prune``; anything else has no ceiling
    bits : budget whose ceiling is meant
    original : the layer's weights in the network that the run should be of

    Raises
    ------
    PvqError : matrices of another shape, damaged files, a run of other weights, such as folded ones
    """
    numbers = [number for number in run.of(layer) if run.rows[number]["rows"]]
    if not numbers:
        return None
    problems, signal = _problems(run, numbers[0]), float(run.rows[numbers[0]]["signal_lower"])
    if not np.array_equal(np.stack([problem.w for problem in problems]), original):
        raise PvqError(f"{run.folder} was run on other weights of {layer}; were batch norms folded?")
    for W in weights:
        if W.shape != (len(problems), problems[0].n):
            raise PvqError(f"{layer} must have shape {(len(problems), problems[0].n)}, got {W.shape}")
    reached = tuple(snr_achieved_db(signal, _error(problems, W)) for W in weights)
    row = next((run.rows[number] for number in numbers if run.rows[number]["bits"] == bits), {})
    return Fidelity(reached, _ceiling(row, camp, "at_most"), _ceiling(row, camp, "achieved"))


def _problems(run: StoredRun, number: int) -> list[LayerProblem]:
    """Return H and w of each row of the layer."""
    camp = next((camp for camp in PREFIX if run.sources[number].get(camp)), "")
    if not camp:
        raise PvqError(f"{run.folder}: {run.rows[number]['layer']} has no points; run pvq bounds again")
    return [point.problem for point in run.points(number, camp)]


def _error(problems: Sequence[LayerProblem], W: F64) -> float:
    total = math.fsum(problem.error_upper(x) for problem, x in zip(problems, W, strict=True))
    return math.nextafter(total, math.inf) if total else 0.0


def _ceiling(row: Mapping[str, Any], camp: str, what: str) -> float | None:
    value = row.get(f"{PREFIX[camp]}_snr_{what}_db") if camp in PREFIX else None
    return None if value is None else float(value)

"""Images that calibration has not seen: what a bound that holds for one Gram matrix is worth on fresh data.

A proved ceiling is about the Gram matrix H that it names. Other images of the same kind have another one, H'.
Per layer `gram_drift` tells how far that is, |H' - H| / |H| in the Frobenius norm over all groups, and the
SNRs under H' what the points that were found with H reach on those images.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pvq.arrays import F64, I64
from pvq.empirical.calibration import Calibration, Stream, read_calibration, survey
from pvq.empirical.dataset import Sequential
from pvq.empirical.model import Model
from pvq.empirical.points import SUFFIX
from pvq.errors import PvqError
from pvq.solvers.decibel import snr_achieved_db
from pvq.solvers.npz import read_npz

if TYPE_CHECKING:
    from pvq.empirical.tasks import Camp, Task

__all__ = ["BestPoints", "best_points", "fresh_columns", "gram_drift", "read_held_out"]

REST, NONE = "rest", "none"


def read_held_out(
    text: str, model: Model, seed: int, calibration: Calibration
) -> tuple[Calibration | None, str]:
    """Return the held-out images, None if there are none, and a remark.

    Parameters
    ----------
    text : ``rest`` for as many images of the same split as calibration has, or as are left, drawn with the
        seed; ``none``; or ``DATA:N``
    model, seed, calibration : of the run

    Raises
    ------
    PvqError : no such data set, more images than there are
    """
    if text == NONE:
        return None, "no images were held out"
    if text == REST:
        stream = _rest(calibration, seed)
        held_out = None if stream is None else _surveyed(stream, seed)
    else:
        held_out = read_calibration(text, model, seed)
    if held_out is None:
        return None, "calibration took all images, so none are held out"
    return _told_apart(held_out, calibration)


def _told_apart(held_out: Calibration, calibration: Calibration) -> tuple[Calibration, str]:
    """Say how many of the images calibration has too."""
    known = set(calibration.prints)
    same = sum(image in known for image in held_out.prints)
    note = f"{same} of the held-out images are calibration images too" if same else ""
    return replace(held_out, note="; ".join(filter(None, [held_out.note, note]))), note


def _rest(calibration: Calibration, seed: int) -> Stream | None:
    """Return other images of the same split, None if there are none."""
    stream = calibration.batches
    if not isinstance(stream, Stream):
        return None
    taken = stream.places
    if isinstance(stream.dataset, Sequential):
        return replace(stream, places=taken[-1] + 1 + np.arange(len(taken)), _kept=[], _bytes=0)
    left = np.setdiff1d(np.arange(stream.dataset.count(stream.split)), taken)
    if len(left) == 0:
        return None
    rng = np.random.default_rng([seed, 1])
    places: I64 = rng.choice(left, min(len(left), len(taken)), replace=False)
    return replace(stream, places=places, _kept=[], _bytes=0)


def _surveyed(stream: Stream, seed: int) -> Calibration | None:
    """Return the images of a stream; a function may yield fewer than were asked of it, or none."""
    if not isinstance(stream.dataset, Sequential):
        return survey(REST, stream, seed)
    from pvq.empirical.inputs import examples

    found = sum(examples(inputs) for inputs, _ in stream.labelled())
    return survey(REST, replace(stream, places=stream.places[:found]), None) if found else None


@dataclass(frozen=True, eq=False)
class BestPoints:
    """The best weights found for the rows of a layer by one camp.

    Parameters
    ----------
    w, x : (rows, n) weights and points, NaN where a row has no point
    groups : (rows,) which Gram matrix each row takes
    """

    w: F64
    x: F64
    groups: I64


def best_points(
    results: Iterable[tuple[Task, Mapping[str, Any] | None]], certificates: Path
) -> BestPoints | None:
    """Return the best point of each row that the tasks of one camp found, None where there is no result.

    Parameters
    ----------
    results : tasks of one layer, bit width and camp, with their stored records
    certificates : the folder that the records name files of

    Raises
    ------
    PvqError : a file of points is missing or damaged
    """
    best: dict[int, tuple[float, F64, F64, int]] = {}
    for task, record in results:
        if record is None:
            continue
        w, x = _stored(certificates, record)
        for place, row in enumerate(record["rows"]):
            error = math.inf if row["error_upper"] is None else float(row["error_upper"])
            if row["row"] not in best or error < best[row["row"]][0]:
                best[row["row"]] = (error, w[place], x[place], task.groups[place])
    if not best:
        return None
    rows = [best[row] for row in sorted(best)]
    w, x = np.stack([row[1] for row in rows]), np.stack([row[2] for row in rows])
    return BestPoints(w, x, np.array([row[3] for row in rows], np.int64))


def _stored(certificates: Path, record: Mapping[str, Any]) -> tuple[F64, F64]:
    name = next((Path(name).name for name in record["files"] if name.endswith(SUFFIX)), "")
    stored = read_npz(certificates / name)
    try:
        return stored["w"], stored["x"]
    except KeyError as error:
        raise PvqError(f"{certificates / name} must hold an array {error}") from error


def gram_drift(grams: F64, fresh: F64) -> float | None:
    """Return |H' - H| / |H|, None where it is not a number.

    Parameters
    ----------
    grams, fresh : (groups, n, n) H of the calibration images and H' of others

    >>> gram_drift(np.eye(2)[None], 1.5 * np.eye(2)[None])
    0.5
    """
    if grams.shape != fresh.shape:
        raise ValueError(f"fresh must have the shape of grams {grams.shape}, got {fresh.shape}")
    scale = float(np.maximum(np.abs(grams).max(), np.abs(fresh).max()))  # NaN if one is
    if not 0 < scale < math.inf:
        return None
    size = float(np.linalg.norm(grams / scale))
    return float(np.linalg.norm((fresh - grams) / scale)) / size if size else None


def fresh_columns(
    grams: F64, fresh: F64 | None, points: Mapping[Camp, BestPoints | None]
) -> dict[str, float | None]:
    """Return the columns of a layer's row that tell of held-out images, None where nothing is known.

    Parameters
    ----------
    grams, fresh : (groups, n, n) H of the calibration images and H' of held-out ones, None if there are none
    points : the best point of every row solved, by camp

    Returns
    -------
    `gram_drift`; `quant_snr_fresh_db` and `prune_snr_fresh_db`: 10 log10 of the sum of w'H'w over that of
    (x - w)'H'(x - w), as floating point gives it

    >>> found = BestPoints(np.ones((1, 2)), np.array([[1.0, 0.9]]), np.zeros(1, int))
    >>> fresh = fresh_columns(np.eye(2)[None], 2 * np.eye(2)[None], {"quantize": found})
    >>> fresh["gram_drift"], round(fresh["quant_snr_fresh_db"], 6), fresh["prune_snr_fresh_db"]
    (1.0, 23.0103, None)
    """
    snr = {camp: None if fresh is None else _snr(fresh, points.get(camp)) for camp in _CAMPS}
    return {
        "gram_drift": None if fresh is None else gram_drift(grams, fresh),
        "quant_snr_fresh_db": snr["quantize"],
        "prune_snr_fresh_db": snr["prune"],
    }


_CAMPS: Sequence[Camp] = ("quantize", "prune")


def _snr(grams: F64, points: BestPoints | None) -> float | None:
    """Return the SNR in dB of points under a Gram matrix, None where a row has none or a sum is no number."""
    if points is None or not np.isfinite(points.x).all() or not np.isfinite(grams).all():
        return None
    signal = _energy(grams, points.groups, points.w)
    error = _energy(grams, points.groups, points.x - points.w)
    return snr_achieved_db(signal, error) if math.isfinite(signal) and math.isfinite(error) else None


def _energy(grams: F64, groups: I64, rows: F64) -> float:
    """Return the sum over rows of v'Hv with the H of each row's group."""
    total = 0.0
    for group in np.unique(groups):
        v = rows[groups == group]
        total += float(np.einsum("ij,ij->", v @ grams[group], v))
    return max(0.0, total)

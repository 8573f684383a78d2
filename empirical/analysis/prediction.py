"""How well each number that is known before puts losses of accuracy in order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pvq.empirical.analysis.correlation import LEAST, rank_correlation, rank_lead

__all__ = ["CORRELATION_FIELDS", "PREDICTORS", "TARGETS", "correlation_row", "correlation_rows"]

CORRELATION_FIELDS = (
    "set", "camp", "bits", "predictor", "target", "spearman", "low", "high", "p_value", "n", "lead",
    "lead_low", "lead_high", "note",
)  # fmt: skip
PREDICTORS = (
    "relative_lower", "relative_upper", "error_lower", "error_upper", "bits", "stored_bits", "weight_error",
    "hessian_error", "kurtosis",
)  # fmt: skip
WIDTHS = ("bits", "stored_bits")
NAIVE = "bits"
TARGETS = ("loss_increase", "accuracy_drop")
Row = Mapping[str, Any]


def correlation_rows(rows: Sequence[Row], seed: int = 0, resamples: int = 2000) -> list[dict[str, Any]]:
    """Return Spearman's correlation of every predictor with both losses, in every set of networks.

    Sets: single layers, all together, each camp, each camp at each width; mixes. Where a layer has several
    points, the bootstrap draws whole layers and there is no p-value. A width is not asked where it is fixed,
    nor a predictor that no row has.

    Fields: set (``layers`` or ``mixes``), camp and bits ("" and None for all), predictor, target, spearman,
    low and high (95 % interval), p_value, n, lead (by how much the absolute value of spearman is above that
    of bits alone) with lead_low and lead_high (95 % interval from the same draws), note (why something is
    missing).

    Parameters
    ----------
    rows : see `pvq.empirical.prediction_rows`
    seed : of the bootstrap; the same draws serve all predictors
    resamples : of the bootstrap
    """
    found = []
    for about, part in _parts(rows):
        names = [name for name in PREDICTORS if _asked(name, about, part)]
        grouped = about["set"] == "layers" and about["bits"] is None
        groups = [row["layer"] for row in part] if grouped else None
        for target in TARGETS:
            for name in names:
                found.append(correlation_row(about, part, name, target, groups, seed, resamples))
    return found


def correlation_row(
    about: Row,
    rows: Sequence[Row],
    predictor: str,
    target: str,
    groups: Sequence[str] | None = None,
    seed: int = 0,
    resamples: int = 2000,
) -> dict[str, Any]:
    """Return Spearman's correlation of one predictor with one loss, all numbers None where there is none.

    Parameters
    ----------
    about : set, camp and bits of the rows
    rows : with the fields `predictor` and `target`; a row whose value is None, NaN or infinite is left out
    groups : rows with one label are not independent
    """
    blank = dict.fromkeys(CORRELATION_FIELDS)
    row = blank | dict(about) | {"predictor": predictor, "target": target, "note": ""}
    kept = [i for i, one in enumerate(rows) if _finite(one[predictor]) and _finite(one[target])]
    row["n"], left = len(kept), len(rows) - len(kept)
    notes = [f"{left} left out: not finite"] if left else []
    x, y = ([float(rows[i][name]) for i in kept] for name in (predictor, target))
    refusal = _refusal(x, y, predictor, target)
    if refusal:
        return row | {"note": "; ".join([*notes, refusal])}
    labels = [groups[i] for i in kept] if groups is not None else None
    if labels is not None and len(set(labels)) < 2:
        labels = None
        notes.append("one layer only: the interval takes its points to be independent")
    rng = np.random.default_rng(seed)
    found = rank_correlation(x, y, rng=rng, resamples=resamples, groups=labels)
    return (
        row
        | _lead([rows[i] for i in kept], x, y, predictor, labels, seed, resamples)
        | {
            "spearman": found.estimate,
            "low": found.low,
            "high": found.high,
            "p_value": None if math.isnan(found.p_value) else found.p_value,
            "note": "; ".join(notes),
        }
    )


def _lead(
    rows: Sequence[Row],
    x: Sequence[float],
    y: Sequence[float],
    predictor: str,
    groups: Sequence[str] | None,
    seed: int,
    resamples: int,
) -> dict[str, float]:
    """Return how far the predictor is ahead of bits alone; nothing where bits put nothing in order."""
    naive = [float(row[NAIVE]) for row in rows]
    if predictor == NAIVE or len(set(naive)) == 1:
        return {}
    found = rank_lead(x, naive, y, np.random.default_rng(seed), resamples=resamples, groups=groups)
    return {"lead": found.estimate, "lead_low": found.low, "lead_high": found.high}


def _parts(rows: Sequence[Row]) -> Iterator[tuple[dict[str, Any], list[Row]]]:
    """Yield each set of rows that belong together, and what it is."""
    layers = [row for row in rows if row["set"] == "layers"]
    mixes = [row for row in rows if row["set"] == "mixes"]
    if layers:
        yield _about("layers"), layers
    camps = list(dict.fromkeys(row["camp"] for row in layers))
    for camp in camps:
        yield _about("layers", camp), [row for row in layers if row["camp"] == camp]
    for camp in camps:
        for bits in sorted({row["bits"] for row in layers if row["camp"] == camp}):
            same = [row for row in layers if (row["camp"], row["bits"]) == (camp, bits)]
            yield _about("layers", camp, bits), same
    if mixes:
        yield _about("mixes"), mixes


def _about(kind: str, camp: str = "", bits: float | None = None) -> dict[str, Any]:
    return {"set": kind, "camp": camp, "bits": bits}


def _asked(name: str, about: Row, rows: Sequence[Row]) -> bool:
    fixed = name in WIDTHS and about["bits"] is not None
    return not fixed and any(row[name] is not None for row in rows)


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _refusal(x: Sequence[float], y: Sequence[float], predictor: str, target: str) -> str:
    """Return why there is no correlation, empty if there is one."""
    if len(x) < LEAST:
        return f"fewer than {LEAST} pairs"
    constant = [name for name, values in ((predictor, x), (target, y)) if len(set(values)) == 1]
    return f"{' and '.join(constant)} constant" if constant else ""

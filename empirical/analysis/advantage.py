"""How many layers quantization serves better than pruning, and whether kurtosis tells which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import F64
from pvq.empirical.analysis.correlation import LEAST, rank_correlation

__all__ = ["FIELDS", "advantage_rows"]

FIELDS = (
    "bits",
    "layers",
    "quantize_wins",
    "quantize_wins_corrected",
    "median_advantage_db",
    "kurtosis_where_prune_wins",
    "kurtosis_where_quantize_wins",
    "spearman",
    "spearman_low",
    "spearman_high",
)


def advantage_rows(rows: Iterable[Mapping[str, Any]], seed: int = 0) -> list[dict[str, Any]]:
    """Return one row a bit width with the keys `FIELDS` from rows of ``pvq layers``.

    ``quantize_wins`` counts layers whose SNR is higher quantized than pruned at the same bits per weight,
    ``quantize_wins_corrected`` the same against pruning to the density that the quantizer's own zeros leave.
    ``kurtosis_where_...`` are medians, NaN where there is no layer. ``spearman`` is the rank correlation of
    kurtosis with pruning's advantage in dB, with a 95 % bootstrap interval; NaN for fewer than 5 layers. It
    describes these layers: they are no sample of all networks.

    Parameters
    ----------
    rows : with ``bits, kurtosis, quant_snr_db, prune_snr_db, prune_snr_db_corrected``; those without any of
        these are left out
    seed : of the bootstrap, the same for every width
    """
    whole = [row for row in rows if _measured(row)]
    widths = sorted({float(row["bits"]) for row in whole})
    return [_row(bits, [row for row in whole if row["bits"] == bits], seed) for bits in widths]


def _measured(row: Mapping[str, Any]) -> bool:
    wanted = ("kurtosis", "quant_snr_db", "prune_snr_db", "prune_snr_db_corrected")
    return all(row.get(name) is not None and np.isfinite(row[name]) for name in wanted)


def _row(bits: float, rows: list[Mapping[str, Any]], seed: int) -> dict[str, Any]:
    kurtosis, quantized = _column(rows, "kurtosis"), _column(rows, "quant_snr_db")
    gain = quantized - _column(rows, "prune_snr_db")
    values = (
        bits,
        len(rows),
        int((gain > 0).sum()),
        int((quantized > _column(rows, "prune_snr_db_corrected")).sum()),
        float(np.median(gain)),
        _median(kurtosis[gain < 0]),
        _median(kurtosis[gain > 0]),
        *_spearman(kurtosis, -gain, seed),
    )
    return dict(zip(FIELDS, values, strict=True))


def _column(rows: list[Mapping[str, Any]], name: str) -> F64:
    return np.array([row[name] for row in rows], np.float64)


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _spearman(kurtosis: F64, advantage: F64, seed: int) -> tuple[float, float, float]:
    if len(kurtosis) < LEAST or np.ptp(kurtosis) == 0 or np.ptp(advantage) == 0:
        return float("nan"), float("nan"), float("nan")
    found = rank_correlation(kurtosis, advantage, rng=np.random.default_rng(seed))
    return found.estimate, found.low, found.high

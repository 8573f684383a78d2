"""From solved rows to one line per layer and bit width: sums, SNRs and the verdict."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pvq.empirical.model import LayerWeights, trouble
from pvq.empirical.plan import LayerPlan
from pvq.empirical.tasks import Camp
from pvq.solvers.decibel import snr_achieved_db, snr_at_most_db
from pvq.theory.tensors import kurtosis

__all__ = ["FIELDS", "LIKELY_DB", "CampSum", "bound_row", "solved_columns", "sum_camp", "verdict"]

FIELDS = (
    "layer", "kind", "bits", "n", "rows", "rows_total", "n_weights", "kurtosis", "quant_snr_at_most_db",
    "quant_snr_achieved_db", "prune_snr_at_most_db", "prune_snr_achieved_db", "verdict", "certified",
    "seconds", "peak_mb", "quant_nearest_snr_db", "quant_gptq_snr_db", "quant_obq_snr_db",
    "prune_magnitude_snr_db", "prune_obs_snr_db", "signal_lower", "signal_upper", "quant_error_lower",
    "quant_error_upper", "prune_error_lower", "prune_error_upper", "quant_set", "prune_set", "quant_method",
    "prune_method", "quant_bound", "prune_bound", "stage", "dead_inputs", "gram_drift", "quant_snr_fresh_db",
    "prune_snr_fresh_db", "note",
)  # fmt: skip

FRESH = ("gram_drift", "quant_snr_fresh_db", "prune_snr_fresh_db")

# The methods that people run, each with a column for what it reaches.
KNOWN_METHODS: Mapping[Camp, tuple[str, ...]] = {
    "quantize": ("nearest", "gptq", "obq"),
    "prune": ("magnitude", "obs"),
}
PREFIX: Mapping[Camp, str] = {"quantize": "quant", "prune": "prune"}

# Where exact optima are known (n = 48, well-conditioned and convolutional Gram matrices), the points found
# lie at most 0.8 dB below them; with this lead of one camp's best point over the other's, the order of the
# optima is likely, not proved.
LIKELY_DB = 1.0


@dataclass(frozen=True)
class CampSum:
    """What is known of one camp on the solved rows of a layer; errors are sums of (x - w)' H (x - w).

    Parameters
    ----------
    signal_lower, signal_upper : the sum of w' H w lies between
    lower : no choice of the rows' weights has a smaller error; None where a row has no bound
    upper : the error of the best points is at most this
    errors : by method, at most this is its error; None where a row has none
    certified : every row's bound was re-proved
    seconds : of solving
    peak_mb : most memory that a process held while it solved the rows, None where unknown
    method, bound : which methods found the points and gave the bounds, on how many rows
    note : what went wrong
    """

    signal_lower: float = 0.0
    signal_upper: float = 0.0
    lower: float | None = None
    upper: float | None = None
    errors: Mapping[str, float | None] = field(default_factory=dict)
    certified: bool = False
    seconds: float = 0.0
    peak_mb: float | None = None
    method: str = ""
    bound: str = ""
    note: str = ""

    def achieved(self, error: float | None) -> float | None:
        """Return what 10 log10(signal / error), in dB, reaches at least; None where nothing is known.

        >>> 20.0 - 1e-12 < CampSum(100.0, 100.0).achieved(1.0) < 20.0
        True
        """
        return None if error is None else snr_achieved_db(self.signal_lower, error)

    @property
    def at_most(self) -> float | None:
        """The ceiling in dB, inf where there is a point without error, None where nothing is proved."""
        proved = bool(self.lower) or self.lower == self.upper == 0
        return snr_at_most_db(self.signal_upper, self.lower) if proved and self.lower is not None else None


def sum_camp(records: Sequence[Mapping[str, Any]], failures: Sequence[str] = ()) -> CampSum:
    """Add up the records of a camp, one a row; a failure leaves no sum, since it would not be the layer's.

    Lower sums are rounded down and upper sums up, by one unit in the last place of the correctly rounded sum.
    """
    notes = [*failures, *(record["note"] for record in records)]
    note = "; ".join(f"{text} ({count} rows)" if count > 1 else text for text, count in _count(notes))
    seconds = math.fsum(record["seconds"] for record in records)
    if failures or not records:
        return CampSum(seconds=seconds, note=note)
    return CampSum(
        signal_lower=_total(records, "signal_lower", 0.0) or 0.0,
        signal_upper=_total(records, "signal_upper", math.inf) or 0.0,
        lower=_total(records, "error_lower", 0.0),
        upper=_total(records, "error_upper", math.inf),
        errors=_errors(records),
        certified=all(record["certified"] for record in records),
        seconds=seconds,
        peak_mb=max((r["peak_mb"] for r in records if r["peak_mb"] is not None), default=None),
        method=_tally(record["method"] for record in records),
        bound=_tally(record["bound"] for record in records),
        note=note,
    )


def _count(texts: Any) -> list[tuple[str, int]]:
    return Counter(text for text in texts if text).most_common()


def _tally(names: Any) -> str:
    return ", ".join(f"{name} {n}" for name, n in _count(names))


def _errors(records: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Return the summed error of every method that ran on all rows; a row without signal has none."""
    names = dict.fromkeys(name for record in records for name in record["errors"])
    return {name: _sum([_error(record, name) for record in records], math.inf) for name in names}


def _error(record: Mapping[str, Any], method: str) -> float | None:
    dead = record["signal_upper"] == 0.0
    value: float | None = record["errors"].get(method, 0.0 if dead else None)
    return value


def _total(records: Sequence[Mapping[str, Any]], key: str, towards: float) -> float | None:
    return _sum([record[key] for record in records], towards)


def _sum(values: Sequence[float | None], towards: float) -> float | None:
    """Return the sum, rounded away from the exact one in the safe direction; None if a row has no value."""
    if any(value is None for value in values):
        return None
    try:
        total = math.fsum(values)  # type: ignore[arg-type]
    except OverflowError:
        return sys.float_info.max if towards == 0.0 else math.inf
    return math.nextafter(total, towards) if total else 0.0


def verdict(quantize: CampSum, prune: CampSum) -> str | None:
    """Return which camp is better on the rows solved, and how sure that is.

    *proved*: every certificate of the rows was re-proved, and the error that one camp attains, rounded up, is
    smaller than the least error that the other's certificates leave possible. *likely*: the best point of one
    camp is at least 1 dB above the best of the other. *open* otherwise; None where a camp has no point.

    >>> good, bad = CampSum(1, 1, 0.01, 0.02, certified=True), CampSum(1, 1, 0.1, 0.3, certified=True)
    >>> verdict(good, bad), verdict(bad, good)
    ('quantize (proved)', 'prune (proved)')
    """
    if quantize.upper is None or prune.upper is None or max(quantize.signal_upper, prune.signal_upper) <= 0:
        return None
    if quantize.certified and prune.certified:
        if quantize.upper < (prune.lower or 0.0):
            return "quantize (proved)"
        if prune.upper < (quantize.lower or 0.0):
            return "prune (proved)"
    factor = 10 ** (LIKELY_DB / 10)
    if quantize.upper * factor <= prune.upper and quantize.upper < prune.upper:
        return "quantize (likely)"
    if prune.upper * factor <= quantize.upper and prune.upper < quantize.upper:
        return "prune (likely)"
    return "open"


def _bounded(*camps: CampSum) -> bool:
    """Return whether a camp has a proved ceiling; on inputs always zero, claims hold and say nothing."""
    return any(camp.at_most is not None for camp in camps)


def solved_columns(sums: Mapping[Camp, CampSum]) -> dict[str, Any]:
    """Return the columns of a row that follow from the sums alone: SNRs in dB, errors, verdict, certified,
    methods, seconds and memory. `pvq verify` makes them again from the records.
    """
    camps: dict[Camp, CampSum] = {camp: sums.get(camp, CampSum()) for camp in PREFIX}
    quantize, prune = camps["quantize"], camps["prune"]
    known = [camp for camp in camps.values() if camp.signal_upper > 0] or [CampSum()]
    columns = {key: value for camp in camps for key, value in _camp_columns(camp, camps[camp]).items()}
    return {
        **columns,
        "signal_lower": known[0].signal_lower,
        "signal_upper": known[0].signal_upper,
        "verdict": verdict(quantize, prune),
        "certified": quantize.certified and prune.certified and _bounded(quantize, prune),
        "seconds": quantize.seconds + prune.seconds,
        "peak_mb": max((c.peak_mb for c in camps.values() if c.peak_mb is not None), default=None),
    }


def _camp_columns(camp: Camp, found: CampSum) -> dict[str, Any]:
    prefix = PREFIX[camp]
    reached = {
        f"{prefix}_{name}_snr_db": found.achieved(found.errors.get(name)) for name in KNOWN_METHODS[camp]
    }
    return {
        f"{prefix}_snr_at_most_db": found.at_most,
        f"{prefix}_snr_achieved_db": found.achieved(found.upper),
        f"{prefix}_error_lower": found.lower,
        f"{prefix}_error_upper": found.upper,
        **reached,
        f"{prefix}_method": found.method,
        f"{prefix}_bound": found.bound,
    }


def bound_row(
    plan: LayerPlan,
    bits: float,
    sums: Mapping[Camp, CampSum],
    note: str = "",
    fresh: Mapping[str, float | None] | None = None,
) -> dict[str, Any]:
    """Return the row of one layer at one bit width, the rows of `pvq bounds`.

    `fresh` are the columns of `pvq.empirical.held_out.fresh_columns`, None without held-out images.

    SNRs in dB over the rows solved (`rows` of `rows_total`), None where unknown; `verdict` speaks of those
    rows and of the grid that `quant_set` names. `seconds` is solving time on one thread.
    """
    remarks = (f"{camp}: {text}" for camp, part in sums.items() for text in (part.note, _exact(part)) if text)
    notes = [plan.note, *remarks, note]
    row = {
        "layer": plan.layer.name,
        "kind": plan.layer.kind,
        "bits": int(bits) if bits == int(bits) else bits,
        "n": plan.layer.n,
        "rows": len(plan.rows),
        "rows_total": plan.layer.rows,
        "n_weights": plan.layer.tensor.size,
        "kurtosis": _kurtosis(plan.layer),
        **solved_columns(sums),
        "quant_set": plan.sets.get((bits, "quantize")),
        "prune_set": plan.sets.get((bits, "prune")),
        "stage": plan.stages.get(bits, 0),
        "dead_inputs": plan.dead_inputs,
        **dict.fromkeys(FRESH, None),
        **(fresh or {}),
        "note": "; ".join(part for part in notes if part),
    }
    return {name: row[name] for name in FIELDS}


def _kurtosis(layer: LayerWeights) -> float | None:
    """Return Pearson's kurtosis of the layer's weights, None where there is none."""
    return None if trouble(layer)[0] else kurtosis(layer.tensor)


def _exact(camp: CampSum) -> str:
    """Return the remark that tells an infinite SNR from an unknown one, which JSON cannot."""
    infinite = camp.upper == 0 and math.inf in (camp.at_most, camp.achieved(camp.upper))
    return "no error, SNR infinite (null in JSON)" if infinite else ""

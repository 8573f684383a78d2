"""From solved rows to one line per layer and bit width: sums, SNRs and the verdict."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pvq.empirical.plan import LayerPlan
from pvq.empirical.tasks import Camp

__all__ = ["LIKELY_DB", "CampSum", "bound_row", "sum_camp", "verdict"]

# Where exact optima are known (n = 48, well-conditioned and convolutional Gram matrices), the points found
# lie at most 0.8 dB below them; with this lead of one camp's best point over the other's, the order of the
# optima is likely, not proved.
LIKELY_DB = 1.0


@dataclass(frozen=True)
class CampSum:
    """What is known of one camp on the solved rows of a layer; errors are sums of (x - w)' H (x - w).

    Parameters
    ----------
    signal : sum of w' H w
    lower : no choice of the rows' weights has a smaller error; None where a row has no bound
    upper : error of the best points, rounded up
    naive : error of rounding to nearest, or of keeping the largest weights
    certified : every row's bound was re-proved
    seconds : of solving
    method : which methods found the points
    note : what went wrong
    """

    signal: float = 0.0
    lower: float | None = None
    upper: float | None = None
    naive: float | None = None
    certified: bool = False
    seconds: float = 0.0
    method: str = ""
    note: str = ""

    def snr(self, error: float | None) -> float | None:
        """Return 10 log10(signal / error) in dB; inf for no error, None where there is nothing to compare.

        >>> CampSum(signal=100.0).snr(1.0)
        20.0
        """
        if error is None or self.signal <= 0:
            return None
        return math.inf if error == 0 else 10 * math.log10(self.signal / error)

    @property
    def at_most(self) -> float | None:
        """The ceiling in dB, None where nothing is proved."""
        return self.snr(self.lower) if self.lower or self.lower == self.upper == 0 else None


def sum_camp(records: Sequence[Mapping[str, Any]], failures: Sequence[str] = ()) -> CampSum:
    """Add up the records of a camp's rows; a failure leaves no sum, since it would not be the layer's.

    Lower sums are rounded down and upper sums up, by one unit in the last place of the correctly rounded sum.
    """
    notes = [*failures, *(record["note"] for record in records)]
    note = "; ".join(f"{text} ({count} rows)" if count > 1 else text for text, count in _count(notes))
    seconds = math.fsum(record["seconds"] for record in records)
    if failures or not records:
        return CampSum(seconds=seconds, note=note)
    return CampSum(
        signal=math.fsum(record["signal"] for record in records),
        lower=_total(records, "error_lower", 0.0),
        upper=_total(records, "error_upper", math.inf),
        naive=_total(records, "naive_error", math.inf),
        certified=all(record["certified"] for record in records),
        seconds=seconds,
        method=", ".join(f"{name} {n}" for name, n in _count(record["method"] for record in records)),
        note=note,
    )


def _count(texts: Any) -> list[tuple[str, int]]:
    return Counter(text for text in texts if text).most_common()


def _total(records: Sequence[Mapping[str, Any]], key: str, towards: float) -> float | None:
    """Return the sum, rounded away from the exact one in the safe direction; None if a row has no value."""
    values = [record[key] for record in records]
    if any(value is None for value in values):
        return None
    total = math.fsum(values)
    return math.nextafter(total, towards) if total else 0.0


def verdict(quantize: CampSum, prune: CampSum) -> str | None:
    """Return which camp is better on the rows solved, and how sure that is.

    *proved*: every certificate of the rows was re-proved, and the error that one camp attains, rounded up, is
    smaller than the least error that the other's certificates leave possible. *likely*: the best point of one
    camp is at least 1 dB above the best of the other. *open* otherwise; None where a camp has no point.

    >>> good, bad = CampSum(1.0, 0.01, 0.02, certified=True), CampSum(1.0, 0.1, 0.3, certified=True)
    >>> verdict(good, bad), verdict(bad, good)
    ('quantize (proved)', 'prune (proved)')
    """
    if quantize.upper is None or prune.upper is None or max(quantize.signal, prune.signal) <= 0:
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


def bound_row(plan: LayerPlan, bits: float, sums: Mapping[Camp, CampSum], note: str = "") -> dict[str, Any]:
    """Return the row of one layer at one bit width, the rows of `pvq bounds`.

    SNRs in dB over the rows solved (`rows` of `rows_total`), None where unknown; `verdict` speaks of those
    rows and of the grid that `quant_set` names. `seconds` is solving time on one thread.
    """
    quantize, prune = sums.get("quantize", CampSum()), sums.get("prune", CampSum())
    notes = [plan.note, *(f"{camp}: {part.note}" for camp, part in sums.items() if part.note), note]
    return {
        "layer": plan.layer.name,
        "kind": plan.layer.kind,
        "bits": int(bits) if bits == int(bits) else bits,
        "n": plan.layer.n,
        "rows": len(plan.rows),
        "rows_total": plan.layer.shape[0],
        "quant_snr_at_most_db": quantize.at_most,
        "quant_snr_achieved_db": quantize.snr(quantize.upper),
        "prune_snr_at_most_db": prune.at_most,
        "prune_snr_achieved_db": prune.snr(prune.upper),
        "verdict": verdict(quantize, prune),
        "certified": quantize.certified and prune.certified,
        "seconds": quantize.seconds + prune.seconds,
        "quant_nearest_snr_db": quantize.snr(quantize.naive),
        "prune_magnitude_snr_db": prune.snr(prune.naive),
        "quant_set": plan.sets.get((bits, "quantize")),
        "prune_set": plan.sets.get((bits, "prune")),
        "quant_method": quantize.method,
        "prune_method": prune.method,
        "dead_inputs": plan.dead_inputs,
        "note": "; ".join(part for part in notes if part),
    }

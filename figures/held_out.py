"""What fresh calibration images say of points that were found on others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from pvq.figures.run import BoundRow, difference
from pvq.figures.text import db, listed

__all__ = ["held_out_sentences"]

_POINTS = {"quantize": "quantized", "prune": "pruned"}


def held_out_sentences(rows: Sequence[BoundRow]) -> list[str]:
    """Return how far fresh images' Gram matrices and SNRs lie from those of the run; empty without any.

    >>> from pvq.figures.run import Camp
    >>> camps = Camp(9.0, fresh=8.5), Camp(5.0, fresh=5.5)
    >>> print(*held_out_sentences([BoundRow("a", 4, "quantize (proved)", *camps, gram_drift=0.04)]))
    Measured on them, H differs from the calibration images' H by 4.0 % (median; at most 4.0 %, a).
    On them the same quantized points reach 0.50 dB less and pruned points reach 0.50 dB more than on the
    calibration images (medians). The camp of the verdict leads there too in 1 of 1 answers.
    """
    return [*_drift(rows), *_change(rows), *_confirmed(rows)]


def _drift(rows: Sequence[BoundRow]) -> Iterable[str]:
    drifts = {row.layer: row.gram_drift for row in rows if row.gram_drift is not None}
    if drifts:
        worst = max(drifts, key=lambda layer: drifts[layer])
        yield (
            "Measured on them, H differs from the calibration images' H by "
            f"{_share(median(drifts.values()))} (median; at most {_share(drifts[worst])}, {worst})."
        )


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _change(rows: Sequence[BoundRow]) -> Iterable[str]:
    parts = []
    for camp, points in _POINTS.items():
        pairs = ((getattr(row, camp).fresh, getattr(row, camp).achieved) for row in rows)
        changes = [change for pair in pairs if (change := difference(*pair)) is not None]
        if changes:
            change = median(changes)
            parts.append(f"{points} points reach {db(abs(change))} dB {'less' if change < 0 else 'more'}")
    if parts:
        yield f"On them the same {listed(parts)} than on the calibration images (medians)."


def _confirmed(rows: Sequence[BoundRow]) -> Iterable[str]:
    decided = [row for row in rows if row.camp in _POINTS]
    leads = [(row.camp, difference(row.quantize.fresh, row.prune.fresh)) for row in decided]
    known = [(camp, lead) for camp, lead in leads if lead is not None]
    if known:
        same = sum((lead > 0) == (camp == "quantize") for camp, lead in known)
        yield f"The camp of the verdict leads there too in {same} of {len(known)} answers."

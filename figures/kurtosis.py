"""Kurtosis of the weights against who wins: theory's prediction held against the proofs."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from pvq.figures.run import BoundRow
from pvq.figures.text import listed, width

__all__ = ["known", "kurtosis_sentence"]

_WINS = {"quantize": "quantization leads", "prune": "pruning leads", "open": "neither leads"}


def known(rows: Sequence[BoundRow]) -> list[BoundRow]:
    """Return the rows that a plot of the margin over the kurtosis can show."""
    return [row for row in rows if row.kurtosis and row.margin is not None and abs(row.margin) < float("inf")]


def kurtosis_sentence(rows: Sequence[BoundRow]) -> str:
    """Return which kurtosis goes with which verdict at one bit width; empty where no kurtosis is known.

    >>> rows = [BoundRow("a", 4, "open", kurtosis=3.0), BoundRow("b", 4, "prune (likely)", kurtosis=9.0)]
    >>> kurtosis_sentence(rows)
    'At 4 bits the median kurtosis is 9.0 where pruning leads (1 layer) and 3.0 where neither leads (1
    layer).'
    """
    parts = []
    for camp, wins in _WINS.items():
        values = [row.kurtosis for row in rows if row.camp == camp and row.kurtosis is not None]
        if values:
            layers = f"{len(values)} layer{'s' if len(values) > 1 else ''}"
            parts.append(f"{median(values):.1f} where {wins} ({layers})")
    return f"At {width(rows[0].bits)} bits the median kurtosis is {listed(parts)}." if parts else ""

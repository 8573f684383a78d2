"""The published table of 45 networks: SNR of both camps and kurtosis of every weight tensor."""

from __future__ import annotations

import csv
import gzip
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pvq.arrays import F64, I64
from pvq.figures.figure import Table, table

__all__ = ["Zoo", "published_zoo"]

TABLE = Path(__file__).with_name("data") / "zoo_published.csv.gz"


@dataclass(frozen=True)
class Zoo:
    """The usable rows of the table, and how many are left out.

    Parameters
    ----------
    model, layer : names, shape (rows,)
    bits : 2, 4 or 8
    kurtosis : Pearson's
    quant_snr_db, prune_snr_db : in dB
    left_out : rows with a missing or infinite value or with kurtosis 0: underflow of 16-bit arithmetic
    """

    model: np.ndarray
    layer: np.ndarray
    bits: I64
    kurtosis: F64
    quant_snr_db: F64
    prune_snr_db: F64
    left_out: int

    def table(self) -> Table:
        """Return the rows as a figure's table."""
        names = ("model", "layer", "bits", "kurtosis", "quant_snr_db", "prune_snr_db")
        return table(**{name: getattr(self, name) for name in names})


def published_zoo() -> Zoo:
    """Return the usable part of figures/data/zoo_published.csv.gz; its README names the source.

    >>> zoo = published_zoo()
    >>> len(set(zoo.model.tolist())), len(zoo.bits) + zoo.left_out
    (45, 8112)
    """
    with gzip.open(TABLE, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = {
        name: np.array([_number(row[name]) for row in rows])
        for name in ("kurtosis", "quant_snr_db", "prune_snr_db")
    }
    usable = np.all([np.isfinite(column) for column in numbers.values()], axis=0) & (numbers["kurtosis"] > 0)
    kept = [row for row, use in zip(rows, usable, strict=True) if use]
    return Zoo(
        model=np.array([row["model"] for row in kept]),
        layer=np.array([row["layer"] for row in kept]),
        bits=np.array([int(row["bits"]) for row in kept]),
        left_out=int((~usable).sum()),
        **{name: column[usable] for name, column in numbers.items()},
    )


def _number(text: str) -> float:
    return float(text) if text else math.nan

"""A bound run as a report reads it: rows whose gaps are named, and the manifest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pvq.errors import PvqError

__all__ = ["BoundRow", "BoundRun", "Camp", "difference"]

_CAMPS = ("quantize", "prune")


@dataclass(frozen=True)
class Camp:
    """What is known of one camp on one layer, in dB; None where nothing is.

    Parameters
    ----------
    achieved : signal-to-noise ratio that a found point reaches
    at_most : ratio that no point exceeds
    naive : ratio of rounding to nearest, or of keeping the largest weights
    fresh : ratio that the found point reaches on held-out calibration images
    standard : ratios that the standard methods reach, by name (`gptq`, `obq`; `obs`)
    """

    achieved: float | None = None
    at_most: float | None = None
    naive: float | None = None
    fresh: float | None = None
    standard: Mapping[str, float] = field(default_factory=dict)

    @property
    def gap(self) -> float | None:
        """How far the found point stays below the ceiling, in dB.

        >>> Camp(10.0, 12.5).gap
        2.5
        """
        return difference(self.at_most, self.achieved)

    @property
    def gain(self) -> float | None:
        """What the found point gains over the naive one, in dB."""
        return difference(self.achieved, self.naive)


@dataclass(frozen=True)
class BoundRow:
    """One layer at one bit width. Unknown numbers are None, never NaN."""

    layer: str
    bits: float
    verdict: str = ""
    quantize: Camp = field(default_factory=Camp)
    prune: Camp = field(default_factory=Camp)
    n: float | None = None
    rows: float | None = None
    rows_total: float | None = None
    certified: bool = False
    seconds: float | None = None
    dead_inputs: float | None = None
    note: str = ""
    kind: str = ""
    n_weights: float | None = None
    kurtosis: float | None = None
    peak_mb: float | None = None
    gram_drift: float | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def weights(self) -> float:
        """Number of weights of the whole layer; 0 if unknown."""
        return self.n_weights or (self.n or 0) * (self.rows_total or self.rows or 0)

    @property
    def bounded_weights(self) -> float:
        """Number of weights in the rows that were bounded; 0 if unknown."""
        return (self.n or 0) * (self.rows or 0)

    @property
    def camp(self) -> str:
        """``quantize``, ``prune``, ``open``, or ``failed`` where the row carries no verdict."""
        word = self.verdict.partition(" ")[0]
        return word if word in ("quantize", "prune", "open") else "failed"

    @property
    def proved(self) -> bool:
        """Whether the verdict is proved."""
        return self.camp in _CAMPS and self.verdict.endswith("(proved)")

    @property
    def lead(self) -> float | None:
        """What the better camp has achieved less the other's ceiling, in dB; above 0 it is a proof."""
        leads = (
            difference(self.quantize.achieved, self.prune.at_most),
            difference(self.prune.achieved, self.quantize.at_most),
        )
        return max((lead for lead in leads if lead is not None), default=None)

    @property
    def margin(self) -> float | None:
        """What quantization's best point reaches more than pruning's, in dB; below 0 pruning leads."""
        return difference(self.quantize.achieved, self.prune.achieved)

    @property
    def margin_range(self) -> tuple[float | None, float | None]:
        """Between which two values the optima's difference lies, quantization less pruning, in dB.

        >>> BoundRow("a", 4, quantize=Camp(20.0, 22.0), prune=Camp(11.0, 12.0)).margin_range
        (8.0, 11.0)
        """
        quantize, prune = self.quantize, self.prune
        return difference(quantize.achieved, prune.at_most), difference(quantize.at_most, prune.achieved)


@dataclass(frozen=True)
class BoundRun:
    """The rows and the manifest of one `pvq bounds` run.

    Parameters
    ----------
    rows : one per layer and bit width
    manifest : how they were made
    stored : the rows as they are stored, every field; empty where they come from elsewhere
    """

    rows: tuple[BoundRow, ...]
    manifest: Mapping[str, Any]
    stored: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if not self.rows:
            raise PvqError("a report needs at least one row of bounds, got none")

    @property
    def bits(self) -> tuple[float, ...]:
        """The bit widths of the run, increasing."""
        return tuple(sorted({row.bits for row in self.rows}))

    @property
    def model(self) -> str:
        """The network's name, ``network`` where the manifest has none."""
        return str(self.manifest.get("model") or "network")

    @property
    def sampled(self) -> bool:
        """Whether only some output channels of a layer were bounded."""
        return any(row.rows and row.rows_total and row.rows < row.rows_total for row in self.rows)

    def at(self, bits: float) -> list[BoundRow]:
        """Return the rows of one bit width."""
        return [row for row in self.rows if row.bits == bits]

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers of the run, in the order of the rows."""
        return tuple(dict.fromkeys(row.layer for row in self.rows))


def difference(a: float | None, b: float | None) -> float | None:
    """Return a - b, None where either is unknown or the difference says nothing (inf - inf)."""
    if a is None or b is None or math.isnan(a - b):
        return None
    return a - b

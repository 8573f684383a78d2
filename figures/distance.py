"""How far each method stays below what is provably possible, over the layers of a run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from pvq.figures.run import BoundRow, Camp, difference
from pvq.figures.text import step, width

__all__ = ["LIMITS", "METHODS", "Distance", "distances", "sentences"]

METHODS: Mapping[str, Mapping[str, str]] = {
    "quantize": {
        "nearest": "rounding to nearest",
        "gptq": "GPTQ",
        "obq": "OBQ",
        "best": "the best point found",
    },
    "prune": {"magnitude": "magnitude pruning", "obs": "OBS", "best": "the best mask found"},
}
_NAIVE = {"quantize": "nearest", "prune": "magnitude"}
LIMITS = (0.5, 1.0, 3.0)  # dB, the columns of the table: an eighth, a quarter, twice the error
_STEPS = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0)
_MOST = 0.8  # share of the layers that a sentence's limit must hold


@dataclass(frozen=True)
class Distance:
    """How far one method stays below the certified ceiling.

    Parameters
    ----------
    bits, camp : where
    method : its name on the page
    gaps : ceiling less reached, in dB, by layer; the best possible lies no further away. At least one.
    """

    bits: float
    camp: str
    method: str
    gaps: Mapping[str, float]

    def within(self, limit: float) -> int:
        """Return on how many layers the distance is at most `limit` dB.

        >>> Distance(4, "quantize", "GPTQ", {"a": 0.3, "b": 2.0}).within(0.4)
        1
        """
        return sum(gap <= limit + 1e-9 for gap in self.gaps.values())

    @property
    def median(self) -> float:
        """The median over the layers, in dB."""
        return median(self.gaps.values())

    @property
    def furthest(self) -> tuple[str, float]:
        """The layer with the largest distance, and that distance in dB."""
        return max(self.gaps.items(), key=lambda item: item[1])

    @property
    def limit(self) -> float:
        """The smallest round limit in dB that most layers keep; that of the furthest where none is."""
        enough = (limit for limit in _STEPS if self.within(limit) >= _MOST * len(self.gaps))
        return next(enough, self.furthest[1])


def distances(rows: Sequence[BoundRow]) -> list[Distance]:
    """Return the distance of each method that ran, on the layers with a certified ceiling.

    Parameters
    ----------
    rows : of one bit width
    """
    found = []
    for camp, methods in METHODS.items():
        for method, name in methods.items():
            gaps = dict(_gaps(rows, camp, method))
            if gaps:
                found.append(Distance(rows[0].bits, camp, name, gaps))
    return found


def sentences(rows: Sequence[BoundRow]) -> list[str]:
    """Return, for each camp at one bit width, how near most layers come to the best possible.

    The limit named for a method is the smallest round one that four of five layers keep. Naive methods are
    left to the table.

    >>> point = Camp(10.0, 10.5, standard={"gptq": 10.2})
    >>> print(*sentences([BoundRow("a", 4, quantize=point, certified=True)]))
    At 4 bits GPTQ is within 0.4 dB of the best possible on 1 of 1 layers, the best point found within 0.6 dB
    on 1 of 1.
    """
    naive = {METHODS[camp][name] for camp, name in _NAIVE.items()}
    found = [distance for distance in distances(rows) if distance.method not in naive]
    camps = ([distance for distance in found if distance.camp == camp] for camp in METHODS)
    return [_sentence(some) for some in camps if some]


def _sentence(found: Sequence[Distance]) -> str:
    first, *others = found
    text = (
        f"At {width(first.bits)} bits {first.method} is within {step(first.limit)} dB of the best possible "
    )
    text += f"on {first.within(first.limit)} of {len(first.gaps)} layers"
    parts = [f"{d.method} within {step(d.limit)} dB on {d.within(d.limit)} of {len(d.gaps)}" for d in others]
    return ", ".join([text, *parts]) + "."


def _gaps(rows: Sequence[BoundRow], camp: str, method: str) -> Iterator[tuple[str, float]]:
    for row in rows:
        part: Camp = getattr(row, camp)
        reached = _reached(part, camp, method)
        if row.certified and part.at_most is not None and reached is not None:
            gap = 0.0 if reached == math.inf else difference(part.at_most, reached)
            if gap is not None:
                yield row.layer, max(gap, 0.0)


def _reached(part: Camp, camp: str, method: str) -> float | None:
    if method == "best":
        return part.achieved
    return part.naive if method == _NAIVE[camp] else part.standard.get(method)

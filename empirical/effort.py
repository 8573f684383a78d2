"""What is spent on a row: the methods that every row gets, and what open verdicts are given on top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pvq.empirical.tasks import Camp, Methods

__all__ = ["EFFORTS", "METHODS", "Effort", "Rung"]


@dataclass(frozen=True)
class Rung:
    """One step of a ladder: methods for the camp that is ahead, or for the one behind.

    To prove a verdict, the error of the camp ahead must fall below the bound of the camp behind: better
    points for the one, better bounds for the other.

    Parameters
    ----------
    role : which of the two the methods are for
    camp : only where this camp plays that role
    methods : what its rows get
    largest : most inputs of a row: beyond, the methods take too long
    reach : share of the distance between bound and point that they are expected to close at best; where that
        cannot decide the layer, the step is left out
    """

    role: Literal["ahead", "behind"]
    camp: Camp
    methods: Methods
    largest: int
    reach: float

    def __post_init__(self) -> None:
        if self.largest < 1 or not 0 < self.reach <= 1:
            raise ValueError(
                f"largest must be at least 1 and reach lie in (0, 1], got {self.largest} and {self.reach}"
            )


@dataclass(frozen=True)
class Effort:
    """What a run spends.

    Parameters
    ----------
    methods : of each camp, for every row
    ladder : steps taken in order on layers whose verdict is not proved yet
    """

    methods: Mapping[Camp, Methods]
    ladder: tuple[Rung, ...] = ()


METHODS: Mapping[Camp, Methods] = {
    "quantize": Methods("hull", ("nearest", "gptq", "obq", "beam")),
    "prune": Methods("perspective", ("magnitude", "obs", "swap")),
}
# Cheap before dear. A limit on nodes, unlike one on seconds, gives the same result on every machine.
LADDER = (
    Rung("ahead", "quantize", Methods(points=("local-search",)), 2500, 0.5),
    Rung("behind", "prune", Methods("block-perspective"), 1300, 0.7),
    Rung("behind", "quantize", Methods("hull-cuts"), 600, 0.7),
    Rung("behind", "quantize", Methods("exact[nodes=200000000]"), 64, 1.0),
    Rung("ahead", "quantize", Methods("exact[nodes=200000000]"), 64, 1.0),
    Rung("behind", "prune", Methods("block-perspective[size=6]"), 600, 0.8),
    Rung("behind", "prune", Methods("exact[nodes=3000]"), 64, 1.0),
    Rung("ahead", "prune", Methods("exact[nodes=3000]"), 64, 1.0),
)
# By what a row of 576 inputs takes: seconds; a minute; seconds where the verdict is clear, else minutes.
EFFORTS: Mapping[str, Effort] = {
    "standard": Effort(METHODS),
    "thorough": Effort(
        {
            "quantize": Methods("hull-cuts", ("nearest", "gptq", "obq", "beam", "local-search")),
            "prune": Methods("block-perspective", ("magnitude", "obs", "swap")),
        }
    ),
    "decide": Effort(METHODS, LADDER),
}

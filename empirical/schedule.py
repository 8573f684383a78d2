"""The learning rate as a function of how much of the run is over."""

from __future__ import annotations

import math

__all__ = ["rate_factor"]


def rate_factor(progress: float, warmup: float = 0.0, shape: str = "cosine", floor: float = 0.0) -> float:
    """Return the learning rate as a share of its peak, in [0, 1].

    With w = warmup and t = (progress - w) / (1 - w): progress / w before w, then (1 + cos(pi t)) / 2 for
    ``cosine``, 1 - t for ``linear``, 1 for ``constant``; a fall to `floor` instead of zero is stretched so.

    Parameters
    ----------
    progress : share of the run that is over, in [0, 1]
    warmup : share of the run in which the rate rises from zero, in [0, 1)
    shape : ``cosine``, ``linear`` or ``constant``
    floor : share of the peak at the end of a fall, in [0, 1)

    Raises
    ------
    ValueError : an argument out of range, an unknown shape

    >>> [round(rate_factor(p, warmup=0.2), 12) for p in (0.1, 0.2, 0.6, 1.0)]
    [0.5, 1.0, 0.5, 0.0]
    """
    if not 0 <= progress <= 1:
        raise ValueError(f"progress must lie in [0, 1], got {progress}")
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup must lie in [0, 1), got {warmup}")
    if not 0 <= floor < 1:
        raise ValueError(f"floor must lie in [0, 1), got {floor}")
    if progress < warmup:
        return progress / warmup
    return floor + (1 - floor) * _fall((progress - warmup) / (1 - warmup), shape)


def _fall(t: float, shape: str) -> float:
    """Return how much of a fall from 1 to 0 is left at the share t of it."""
    if shape == "cosine":
        return 0.5 * (1 + math.cos(math.pi * t))
    if shape == "linear":
        return 1 - t
    if shape == "constant":
        return 1.0
    raise ValueError(f"shape must be cosine, linear or constant, got {shape!r}")

"""What a run cost: solving time and peak memory, by layer."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from pvq.figures.run import BoundRow
from pvq.figures.text import count, duration

__all__ = ["cost_sentences", "layer_seconds"]


def layer_seconds(rows: Sequence[BoundRow]) -> dict[str, float]:
    """Return the solving time of each layer, all bit widths together; layers without a time are left out.

    >>> layer_seconds([BoundRow("a", 2, seconds=1.0), BoundRow("a", 4, seconds=2.0), BoundRow("b", 2)])
    {'a': 3.0}
    """
    seconds: dict[str, float] = {}
    for row in rows:
        if row.seconds is not None:
            seconds[row.layer] = seconds.get(row.layer, 0.0) + row.seconds
    return seconds


def cost_sentences(rows: Sequence[BoundRow]) -> list[str]:
    """Return time and memory in words; what is unknown is left out."""
    said = []
    seconds = layer_seconds(rows)
    if seconds:
        slowest = max(seconds, key=lambda layer: seconds[layer])
        whole, middle = duration(sum(seconds.values())), duration(median(seconds.values()))
        said.append(
            f"Solving took {whole} on one thread, {middle} for the median layer and "
            f"{duration(seconds[slowest])} for the slowest, {slowest}."
        )
    peaks = [(row.peak_mb, row.layer) for row in rows if row.peak_mb is not None]
    if peaks:
        most, layer = max(peaks)
        said.append(f"Peak memory of a process was {count(most)} MB, while it solved {layer}.")
    return said

"""The pictures of a report: each saved as PNG and SVG, and as SVG for the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvq.figures.distance import Distance
from pvq.figures.distance_figure import distance_canvas
from pvq.figures.inline_svg import inline_svg
from pvq.figures.kurtosis import known
from pvq.figures.kurtosis_figure import kurtosis_canvas
from pvq.figures.ranges import chunks, ranges_canvas
from pvq.figures.run import BoundRun
from pvq.figures.save import save_canvas
from pvq.figures.style import paper_style
from pvq.figures.text import listed, width

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Picture", "pictures_of"]

_LAYERS = 36  # per picture: what a printed page holds


@dataclass(frozen=True)
class Picture:
    """One picture.

    Parameters
    ----------
    kind : ``ranges``, ``distance`` or ``kurtosis``
    name : of its files, without ending
    label : what it shows, in words
    svg : for the page
    """

    kind: str
    name: str
    label: str
    svg: Any


def pictures_of(
    run: BoundRun, distances: Mapping[float, Sequence[Distance]], anchors: Mapping[str, str], out: Path
) -> list[Picture]:
    """Draw and save the pictures of a run into `out`; return them in the page's order."""
    out.mkdir(parents=True, exist_ok=True)
    pictures: list[Picture] = []
    with paper_style():
        for kind, name, label, drawn in _drawn(run, distances, anchors):
            drawn.draw_without_rendering()
            drawn.set_layout_engine("none")  # keep the layout found: it would be found again for each file
            save_canvas(drawn, out / name)
            pictures.append(Picture(kind, name, label, inline_svg(drawn, f"p{len(pictures)}-", label)))
    return pictures


def _drawn(
    run: BoundRun, distances: Mapping[float, Sequence[Distance]], anchors: Mapping[str, str]
) -> Iterator[tuple[str, str, str, Figure]]:
    for bits in chunks(run.bits):
        where, named = _where(bits), f"{'-'.join(map(width, bits))}-bits"
        yield from _ranges(run, bits, anchors)
        found = {shown: distances[shown] for shown in bits if distances.get(shown)}
        if found:
            label = f"Distance of each method from the ceiling, {where}"
            yield "distance", f"distance-{named}", label, distance_canvas(found, anchors)
        if any(known(run.at(shown)) for shown in bits):
            label = f"Kurtosis against the margin of quantization, {where}"
            yield "kurtosis", f"kurtosis-{named}", label, kurtosis_canvas(run, bits, anchors)


def _ranges(
    run: BoundRun, bits: Sequence[float], anchors: Mapping[str, str]
) -> Iterator[tuple[str, str, str, Figure]]:
    parts = chunks(run.layers, _LAYERS)
    for number, layers in enumerate(parts, 1):
        part = f"-part-{number}" if len(parts) > 1 else ""
        name = f"snr-ranges-{'-'.join(map(width, bits))}-bits{part}"
        label = f"Ranges of SNR from reached to ceiling, {_where(bits)}"
        if part:
            label += f", part {number} of {len(parts)} of the layers"
        yield "ranges", name, label, ranges_canvas(run, bits, layers, anchors)


def _where(bits: Sequence[float]) -> str:
    return f"{listed([width(shown) for shown in bits])} bits per weight"

"""The picture of distances: one mark per layer, as far from the left as a method stays below the ceiling."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pvq.arrays import finite_or_none
from pvq.figures.distance import Distance
from pvq.figures.inline_svg import layer_link
from pvq.figures.style import COLOURS, PAGE, canvas
from pvq.figures.text import db, width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["distance_canvas"]

_ROW, _FRAME = 0.21, 0.62  # inches per method, and for axis and title
_TICKS = (0, 0.5, 1, 2, 5, 10, 20, 40)


def distance_canvas(widths: Mapping[float, Sequence[Distance]], anchors: Mapping[str, str]) -> Figure:
    """Return the picture of some bit widths side by side. Call inside `paper_style()`.

    Parameters
    ----------
    widths : the distances at each bit width
    anchors : ids of the layers on the page that the marks lead to
    """
    methods = list(dict.fromkeys((d.camp, d.method) for found in widths.values() for d in found))
    gaps = [gap for found in widths.values() for d in found for gap in d.gaps.values() if math.isfinite(gap)]
    top = max(gaps, default=1.0) or 1.0
    figure = canvas((PAGE, _FRAME + _ROW * len(methods)), (1, len(widths)), sharey=True, sharex=True)
    for axes, (bits, found) in zip(figure.axes, widths.items(), strict=True):
        for distance in found:
            _draw(distance, methods.index((distance.camp, distance.method)), anchors, axes)
        _frame(axes, 1.15 * top)
        axes.set_title(f"{width(bits)} bits per weight")
    figure.axes[0].set_yticks(range(len(methods)), [method for _, method in methods])
    for label, (camp, _) in zip(figure.axes[0].get_yticklabels(), methods, strict=True):
        label.set_color(COLOURS[camp])
    figure.axes[0].set_ylim(len(methods) - 0.5, -0.5)
    return figure


def _draw(distance: Distance, line: int, anchors: Mapping[str, str], axes: Axes) -> None:
    gaps = {layer: gap for layer, gap in distance.gaps.items() if finite_or_none(gap) is not None}
    colour = COLOURS[distance.camp]
    if gaps:
        marks = axes.scatter(list(gaps.values()), [line] * len(gaps), s=16, marker="o", linewidths=0.6,
                             facecolors=colour + "40", edgecolors=colour, zorder=2)  # fmt: skip
        marks.set_urls([layer_link(anchors[layer], f"{layer}: {db(gap)} dB") for layer, gap in gaps.items()])
    if finite_or_none(distance.median) is not None:
        axes.plot(distance.median, line, "|", color=COLOURS["limit"], markersize=11, markeredgewidth=1.6)


def _frame(axes: Axes, top: float) -> None:
    """Make the axis linear up to 1 dB and logarithmic beyond, so that both ends can be read."""
    axes.set_xlabel("below the ceiling (dB)")
    axes.set_xscale("symlog", linthresh=1.0)
    axes.set_xlim(-0.08, top)
    ticks = [tick for tick in _TICKS if tick <= top]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.tick_params(axis="y", length=0)

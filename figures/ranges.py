"""The SNR-range picture of a bound run: what each camp has reached, and what it can never exceed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from pvq.arrays import finite_or_none
from pvq.figures.inline_svg import layer_link
from pvq.figures.run import BoundRow, BoundRun, Camp
from pvq.figures.style import BAND, COLOURS, PAGE, canvas
from pvq.figures.text import short, width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["CAMPS", "chunks", "draw_ranges", "ranges_canvas"]

T = TypeVar("T")

CAMPS = {"quantize": -0.17, "prune": +0.17}  # distance of a camp's bar from the layer's line, in rows
_ROW, _FRAME = 0.235, 0.80  # inches per layer, and for axis, title and key
_TALLEST = 100.0  # inches; a longer list of layers gets thinner rows
_MARKS: Mapping[str, Mapping[str, Any]] = {
    "at_most": {"marker": "|", "markersize": 6.5, "markeredgewidth": 1.3},
    "naive": {"marker": "x", "markersize": 3.2, "markeredgewidth": 0.8},
    "achieved": {"marker": "o", "markersize": 3.4},
}
# A dot is full or hollow, so that no camp is told by colour alone.
_FILLS = {"quantize": COLOURS["quantize"], "prune": "#ffffff"}


def ranges_canvas(
    run: BoundRun, bits: Sequence[float], layers: Sequence[str] = (), anchors: Mapping[str, str] | None = None
) -> Figure:
    """Return the picture of some bit widths side by side. Call inside `paper_style()`.

    A bar reaches from the SNR that a found point has to the SNR that no point can exceed; where the bars
    of a layer do not overlap, its verdict is proved.

    Parameters
    ----------
    layers : those to show, from the top; all of the run if empty
    anchors : ids of the layers on the page that their names lead to
    """
    layers = layers or run.layers
    height = min(_FRAME + _ROW * len(layers), _TALLEST)
    figure = canvas((PAGE, height), (1, len(bits)), sharey=True)
    for axes, shown in zip(figure.axes, bits, strict=True):
        rows = run.at(shown)
        draw_ranges([row for row in rows if row.layer in set(layers)], layers, axes)
        axes.set_xlim(*_limits(rows))  # of all layers, so that the parts of a long list can be compared
        axes.set_title(f"{width(shown)} bits per weight")
    names = figure.axes[0].set_yticks(range(len(layers)), [short(name) for name in layers], parse_math=False)
    for tick, layer in zip(names, layers, strict=True):
        if anchors:
            tick.label1.set_url(layer_link(anchors[layer], layer))
    figure.axes[0].set_ylim(len(layers) - 0.4, -0.6)
    _key(figure)
    return figure


def chunks(items: Sequence[T], most: int = 4) -> list[tuple[T, ...]]:
    """Split a list into the fewest groups of at most `most`, as even as can be.

    >>> chunks((2, 3, 4, 5, 8))
    [(2, 3, 4), (5, 8)]
    """
    groups = math.ceil(len(items) / most)
    size, larger = divmod(len(items), groups)
    starts = [i * size + min(i, larger) for i in range(groups + 1)]
    return [tuple(items[a:b]) for a, b in pairwise(starts)]


def draw_ranges(rows: Sequence[BoundRow], layers: Sequence[str], axes: Axes) -> None:
    """Draw the bars of one bit width, layer by layer from the top."""
    lines = {name: line for line, name in enumerate(layers)}
    for camp, offset in CAMPS.items():
        _draw_camp([(getattr(row, camp), lines[row.layer] + offset) for row in rows], camp, axes)
    for row in rows:
        if not _values(row):
            _note("no result", 0.5, lines[row.layer], COLOURS["grey"], axes)
    for line in range(1, len(layers), 2):
        axes.axhspan(line - 0.5, line + 0.5, color=BAND, linewidth=0, zorder=0)
    axes.set_xlabel("SNR of the output (dB)")
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)


def _draw_camp(camps: Sequence[tuple[Camp, float]], name: str, axes: Axes) -> None:
    """Draw a camp's bars: a dot at the found point, a stroke at the ceiling, a cross at the naive point."""
    colour = COLOURS[name]
    _draw_bars(camps, colour, axes)
    for key, mark in _MARKS.items():
        known = [(x, y) for camp, y in camps if (x := finite_or_none(getattr(camp, key))) is not None]
        if known:
            values, heights = zip(*known, strict=True)
            fill = _FILLS[name] if key == "achieved" else colour
            axes.plot(values, heights, color=colour, linestyle="", markerfacecolor=fill, **mark)
    for camp, y in camps:
        if camp.achieved == math.inf:
            _note("no error", 0.9, y, colour, axes)


def _draw_bars(camps: Sequence[tuple[Camp, float]], colour: str, axes: Axes) -> None:
    """Draw all bars as one line with gaps, which keeps the picture small."""
    x: list[float] = []
    heights: list[float] = []
    for camp, y in camps:
        achieved, at_most = finite_or_none(camp.achieved), finite_or_none(camp.at_most)
        if achieved is not None and at_most is not None:
            x += [achieved, at_most, math.nan]
            heights += [y, y, math.nan]
    if x:
        axes.plot(x, heights, color=colour, linewidth=4.2, alpha=0.30, solid_capstyle="butt")


def _note(text: str, x: float, y: float, colour: str, axes: Axes) -> None:
    """Write on a layer's line, at the share x of the panel's width."""
    axes.text(x, y, text, transform=axes.get_yaxis_transform(), color=colour, ha="center", va="center",
              fontsize=6.5, style="italic")  # fmt: skip


def _key(figure: Figure) -> None:
    """Write what the marks mean below the panels."""
    from matplotlib.lines import Line2D

    ink = COLOURS["grey"]
    dots = [
        Line2D([], [], color=COLOURS[camp], linewidth=4.2, marker="o", markersize=3.4,
               markerfacecolor=_FILLS[camp], label=f"{camp} (from the point reached)")
        for camp in CAMPS
    ]  # fmt: skip
    handles = [
        *dots,
        Line2D([], [], color=ink, linestyle="", marker="|", markersize=6.5, label="proved ceiling"),
        Line2D([], [], color=ink, linestyle="", marker="x", markersize=3.2, label="nearest / magnitude"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, columnspacing=1.6, handletextpad=0.5)


def _limits(rows: Sequence[BoundRow]) -> tuple[float, float]:
    """Return the ends of the axis that holds everything that is drawn of `rows`."""
    values = [value for row in rows for value in _values(row)]
    least, most = min(values, default=0.0), max(values, default=1.0)
    margin = 0.04 * (most - least) or 1.0
    return least - margin, most + margin


def _values(row: BoundRow) -> list[float]:
    known = (getattr(camp, key) for camp in (row.quantize, row.prune) for key in _MARKS)
    return [value for raw in known if (value := finite_or_none(raw)) is not None]

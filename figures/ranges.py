"""The SNR-range picture of a bound run: what each camp has reached, and what it can never exceed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pvq.arrays import finite_or_none
from pvq.figures.run import BoundRow, BoundRun, Camp
from pvq.figures.style import COLOURS, PAGE, canvas
from pvq.figures.text import short, width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["BAND", "CAMPS", "chunks", "draw_ranges", "ranges_canvas"]

CAMPS = {"quantize": -0.17, "prune": +0.17}  # distance of a camp's bar from the layer's line, in rows
BAND = "#f6f6f6"
_ROW, _FRAME = 0.235, 0.80  # inches per layer, and for axis, title and key
_TALLEST = 100.0  # inches; a longer list of layers gets thinner rows
_PER_PICTURE = 3  # bit widths side by side


def ranges_canvas(run: BoundRun, bits: Sequence[float]) -> Figure:
    """Return the picture of up to three bit widths side by side. Call inside `paper_style()`.

    A bar reaches from the SNR that a found point has to the SNR that no point can exceed; where the bars
    of a layer do not overlap, its verdict is proved.
    """
    layers = run.layers
    height = min(_FRAME + _ROW * len(layers), _TALLEST)
    figure = canvas((PAGE, height), (1, len(bits)), sharey=True, sharex=True)
    for axes, shown in zip(figure.axes, bits, strict=True):
        draw_ranges([row for row in run.rows if row.bits == shown], layers, axes)
        axes.set_title(f"{width(shown)} bits per weight")
    figure.axes[0].set_yticks(range(len(layers)), [short(name) for name in layers], parse_math=False)
    figure.axes[0].set_ylim(len(layers) - 0.4, -0.6)
    _key(figure)
    return figure


def chunks(bits: Sequence[float]) -> list[tuple[float, ...]]:
    """Split bit widths into groups that fit one picture each.

    >>> chunks((2, 3, 4, 8))
    [(2, 3, 4), (8,)]
    """
    return [tuple(bits[i : i + _PER_PICTURE]) for i in range(0, len(bits), _PER_PICTURE)]


def draw_ranges(rows: Sequence[BoundRow], layers: Sequence[str], axes: Axes) -> None:
    """Draw the bars of one bit width, layer by layer from the top."""
    lines = {name: line for line, name in enumerate(layers)}
    for row in rows:
        for camp, offset in CAMPS.items():
            _draw_camp(getattr(row, camp), lines[row.layer] + offset, COLOURS[camp], axes)
        if not _shown(row):
            _note("no result", 0.5, lines[row.layer], COLOURS["grey"], axes)
    for line in range(1, len(layers), 2):
        axes.axhspan(line - 0.5, line + 0.5, color=BAND, linewidth=0, zorder=0)
    axes.set_xlabel("SNR of the layer's output (dB)")
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)


def _draw_camp(camp: Camp, y: float, colour: str, axes: Axes) -> None:
    """Draw one bar: a dot at the found point, a bar's end at the ceiling, a cross at the naive point."""
    achieved, at_most, naive = (
        finite_or_none(camp.achieved),
        finite_or_none(camp.at_most),
        finite_or_none(camp.naive),
    )
    if achieved is not None and at_most is not None:
        axes.plot([achieved, at_most], [y, y], color=colour, linewidth=4.2, alpha=0.30, solid_capstyle="butt")
    if at_most is not None:
        axes.plot(at_most, y, "|", color=colour, markersize=6.5, markeredgewidth=1.3)
    if naive is not None:
        axes.plot(naive, y, "x", color=colour, markersize=3.2, markeredgewidth=0.8)
    if achieved is not None:
        axes.plot(achieved, y, "o", color=colour, markersize=3.4)
    if camp.achieved == math.inf:
        _note("no error", 0.9, y, colour, axes)


def _note(text: str, x: float, y: float, colour: str, axes: Axes) -> None:
    """Write on a layer's line, at the share x of the panel's width."""
    axes.text(x, y, text, transform=axes.get_yaxis_transform(), color=colour, ha="center", va="center",
              fontsize=6.5, style="italic")  # fmt: skip


def _key(figure: Figure) -> None:
    """Write what the marks mean below the panels."""
    from matplotlib.lines import Line2D

    ink = COLOURS["grey"]
    handles = [
        Line2D([], [], color=COLOURS["quantize"], linewidth=4.2, label="quantize"),
        Line2D([], [], color=COLOURS["prune"], linewidth=4.2, label="prune"),
        Line2D([], [], color=ink, linestyle="", marker="o", markersize=3.4, label="reached"),
        Line2D([], [], color=ink, linestyle="", marker="|", markersize=6.5, label="proved ceiling"),
        Line2D([], [], color=ink, linestyle="", marker="x", markersize=3.2, label="nearest / magnitude"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, columnspacing=1.6, handletextpad=0.5)


def _shown(row: BoundRow) -> bool:
    camps = (row.quantize, row.prune)
    return any(value is not None for camp in camps for value in (camp.achieved, camp.at_most))

"""The picture of kurtosis against verdict: how far quantization leads, and between which limits it must."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pvq.arrays import finite_or_none
from pvq.figures.inline_svg import layer_link
from pvq.figures.kurtosis import known
from pvq.figures.run import BoundRow, BoundRun
from pvq.figures.style import COLOURS, PAGE, canvas
from pvq.figures.text import db, width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["kurtosis_canvas"]

# Shape tells the camp, filling the certainty; colour only repeats it.
_MARKS = {
    "quantize": ("o", COLOURS["quantize"]),
    "prune": ("s", COLOURS["prune"]),
    "open": ("D", COLOURS["grey"]),
}
_TICKS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
_HEIGHT = 2.5  # inches


def kurtosis_canvas(run: BoundRun, bits: Sequence[float], anchors: Mapping[str, str]) -> Figure:
    """Return the picture of some bit widths side by side. Call inside `paper_style()`.

    A mark stands where the best points found are; its line spans what the certificates leave possible for the
    difference of the two optima. A line that does not cross zero is a proof.

    Parameters
    ----------
    anchors : ids of the layers on the page that the marks lead to
    """
    figure = canvas((PAGE, _HEIGHT), (1, len(bits)), sharey=True, sharex=True)
    for axes, shown in zip(figure.axes, bits, strict=True):
        _draw(known(run.at(shown)), anchors, axes)
        axes.set_title(f"{width(shown)} bits per weight")
        axes.set_xlabel("kurtosis (3: Gaussian)")
    _scale(figure.axes[0], [row.kurtosis or 1.0 for row in run.rows if row.kurtosis])
    figure.axes[0].set_ylabel("quantize less prune (dB)")
    _key(figure)
    return figure


def _draw(rows: Sequence[BoundRow], anchors: Mapping[str, str], axes: Axes) -> None:
    axes.axhline(0.0, color="#444444", linewidth=0.8, zorder=1)
    for camp, (_, colour) in _MARKS.items():
        _draw_ranges([row for row in rows if row.camp == camp], colour, axes)
        for proved in (True, False):
            some = [row for row in rows if row.camp == camp and row.proved == proved]
            _draw_marks(some, camp, proved, anchors, axes)


def _draw_ranges(rows: Sequence[BoundRow], colour: str, axes: Axes) -> None:
    x: list[float] = []
    y: list[float] = []
    for row in rows:
        least, most = map(finite_or_none, row.margin_range)
        if least is not None and most is not None and row.kurtosis is not None:
            x += [row.kurtosis, row.kurtosis, math.nan]
            y += [least, most, math.nan]
    if x:
        axes.plot(x, y, color=colour, linewidth=1.1, alpha=0.45, zorder=2)


def _draw_marks(
    rows: Sequence[BoundRow], camp: str, proved: bool, anchors: Mapping[str, str], axes: Axes
) -> None:
    if not rows:
        return
    marker, colour = _MARKS[camp]
    marks = axes.scatter([row.kurtosis or 0 for row in rows], [row.margin or 0 for row in rows], s=17,
                         marker=marker, facecolors=colour if proved else "#ffffff", edgecolors=colour,
                         linewidths=1.0, zorder=3)  # fmt: skip
    marks.set_urls([layer_link(anchors[row.layer], _about(row)) for row in rows])


def _about(row: BoundRow) -> str:
    numbers = f"kurtosis {row.kurtosis:.2f}, quantize less prune {db(row.margin)} dB"
    return f"{row.layer}: {row.verdict}, {numbers}"


def _scale(axes: Axes, values: Sequence[float]) -> None:
    """Choose a logarithmic axis where the kurtosis spans more than a factor of four, with plain numbers."""
    if max(values, default=1.0) <= 4 * min(values, default=1.0):
        return
    from matplotlib.ticker import NullFormatter, NullLocator, ScalarFormatter

    axes.set_xscale("log")
    axes.set_xticks([tick for tick in _TICKS if min(values) <= tick <= max(values)])
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _key(figure: Figure) -> None:
    from matplotlib.lines import Line2D

    handles = [_handle(camp, proved) for camp in ("quantize", "prune") for proved in (True, False)]
    handles.append(_handle("open", False))
    handles.append(Line2D([], [], color=COLOURS["grey"], linewidth=1.1, label="what certificates leave"))
    figure.legend(handles=handles, loc="outside lower center", ncols=6, columnspacing=1.2, handletextpad=0.3)


def _handle(camp: str, proved: bool) -> Line2D:
    from matplotlib.lines import Line2D

    marker, colour = _MARKS[camp]
    label = camp if camp == "open" else f"{camp} ({'proved' if proved else 'likely'})"
    fill = colour if proved else "#ffffff"
    return Line2D(
        [], [], linestyle="", marker=marker, markersize=4.2, color=colour, markerfacecolor=fill, label=label
    )

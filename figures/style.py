"""The paper style: colours, the style sheet, and labels that stand at the end of a curve."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pvq.arrays import F64
from pvq.errors import MissingExtra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["BAND", "COLOURS", "COLUMN", "PAGE", "canvas", "label_ends", "paper_style", "spread"]

COLUMN, PAGE = 3.4, 7.0  # inches: one column, both columns

# Okabe and Ito (2008). The two camps keep their colours in every figure and in the report.
COLOURS = {
    "quantize": "#0072B2",
    "prune": "#D55E00",
    "limit": "#000000",
    "green": "#009E73",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "orange": "#E69F00",
    "grey": "#777777",
}
BAND = "#f6f6f6"  # behind every other line of a list


def paper_style() -> AbstractContextManager[None]:
    """Return the context in which every figure is made: matplotlib's defaults, then paper.mplstyle.

    Raises
    ------
    MissingExtra : matplotlib is not installed
    """
    try:
        from matplotlib import style
    except ImportError as error:
        raise MissingExtra("matplotlib", "figures") from error
    return style.context(str(Path(__file__).with_name("paper.mplstyle")), after_reset=True)


def canvas(size: tuple[float, float], panels: tuple[int, int] = (1, 1), **subplots: Any) -> Figure:
    """Return an empty figure of `size` inches with rows x columns of axes; needs no display."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size)
    figure.subplots(*panels, squeeze=False, **subplots)
    return figure


def spread(wanted: F64, gap: float) -> F64:
    """Return the positions nearest to `wanted` in squared distance that keep `gap` between neighbours.

    Least squares under y_(i+1) - y_i >= gap is isotonic regression of y_i - i gap (pool adjacent violators).

    >>> spread(np.array([0.0, 0.0, 10.0]), 2.0)
    array([-1.,  1., 10.])
    """
    from scipy.optimize import isotonic_regression

    order = np.argsort(wanted, kind="stable")
    steps = gap * np.arange(len(wanted))
    placed = np.empty(len(wanted))
    placed[order] = isotonic_regression(wanted[order] - steps).x + steps
    return placed


def label_ends(axes: Axes, labels: Sequence[tuple[str, float, float, str]], points: float = 8.5) -> None:
    """Write (text, x, y, colour) to the right of each curve's last point, at least `points` apart.

    Call it when limits and scales are final: positions are taken from the axes as they stand.
    """
    axes.get_figure(root=True).draw_without_rendering()  # type: ignore[union-attr]
    ends = axes.transData.transform([(x, y) for _, x, y, _ in labels])
    to_points = 72.0 / axes.get_figure(root=True).dpi  # type: ignore[union-attr]
    shifts = spread(ends[:, 1] * to_points, points) - ends[:, 1] * to_points
    for (text, x, y, colour), shift in zip(labels, shifts, strict=True):
        axes.annotate(
            text, (x, y), xytext=(5, float(shift)), textcoords="offset points", color=colour,
            va="center", ha="left", fontsize=7, annotation_clip=False,
        )  # fmt: skip

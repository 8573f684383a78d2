"""The picture of a plan's Pareto curve: objective and certified bound against bits per weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pvq.figures.figure import Data, made, table
from pvq.figures.save import save_canvas, save_data
from pvq.figures.style import COLOURS, COLUMN, canvas, paper_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["curve_data", "draw_curve", "save_curve"]

LABELS = {
    "relative": "sum of error / signal",
    "absolute": "sum of squared errors",
    "hessian": "sum of mean trace x squared error",
}


def curve_data(rows: Sequence[Mapping[str, Any]], **facts: Any) -> Data:
    """Return the curve as a table ``curve``; a bound that is not certified is left out.

    Parameters
    ----------
    rows : of `pvq.empirical.compression.pareto`
    facts : model, objective and the plan's bits_per_weight and objective, for the picture
    """
    names = ["budget_bits", "bits", "bits_per_weight", "bytes", "objective", "optimal"]
    if all(row["bound"] is not None for row in rows):
        names[5:5] = ["bound", "gap"]
    return made({"curve": table(**{name: [row[name] for row in rows] for name in names})}, facts)


def save_curve(data: Data, stem: Path, picture: bool = True) -> list[Path]:
    """Write `stem`.json, `stem`.curve.csv and, if asked, `stem`.png and `stem`.svg; return the paths.

    Raises
    ------
    MissingExtra : a picture is asked for and matplotlib is not installed
    """
    paths = save_data(data, stem)
    if not picture:
        return paths
    with paper_style():
        drawn = canvas((COLUMN, 2.6))
        draw_curve(drawn.axes[0], data)
        drawn.set_layout_engine("tight")
        return paths + save_canvas(drawn, stem)


def draw_curve(axes: Axes, data: Data) -> None:
    """Draw objective and bound on a logarithmic axis, and the plan as a mark; zeros cannot be shown."""
    curve, facts = data.tables["curve"], data.facts
    shown = curve["objective"] > 0
    x, y = curve["bits_per_weight"][shown], curve["objective"][shown]
    axes.plot(x, y, "o-", color=COLOURS["quantize"], markersize=3, label="best plan")
    if "bound" in curve:
        bound = np.where(curve["bound"] > 0, curve["bound"], np.nan)[shown]
        axes.plot(
            x, bound, "--", color=COLOURS["limit"], linewidth=1, label="no plan does better (certified)"
        )
    if facts["plan_objective"] > 0:
        axes.plot(
            facts["plan_bits_per_weight"], facts["plan_objective"], "D", color=COLOURS["prune"],
            markersize=5, zorder=3, label="this plan",
        )  # fmt: skip
    axes.set(yscale="log", xlabel="bits per weight, scales and masks included")
    axes.set(ylabel=LABELS[facts["objective"]], title=facts["model"])
    axes.legend(frameon=False, fontsize=7)

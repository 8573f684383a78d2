"""The picture of a comparison: accuracy against bits per weight, before and after fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pvq.errors import PvqError
from pvq.figures.figure import Data, Table, made, table
from pvq.figures.save import save_drawn
from pvq.figures.style import COLOURS, COLUMN, PAGE, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["accuracy_canvas", "accuracy_data", "save_accuracy"]

STAGES = {"after": "accuracy", "before": "before"}  # and the field of a row
CAMP_COLOURS = {"quantize": "quantize", "prune": "prune", "both": "purple", "none": "grey"}
OTHERS = ("green", "orange", "sky", "purple")
MARKERS = "osD^vPX"
AXES = {
    "budget": "bits per weight asked for",
    "spent_bits": "bits per weight spent, scales and masks included",
}
_HEIGHT, _LINE = 2.5, 0.16  # inches: of the panels, and of a line of the key below them


def accuracy_data(content: Mapping[str, Any]) -> Data:
    """Return the table ``means``, one row per method, stage and budget.

    Accuracies are in percent. Where one seed gives no interval, low and high are the mean; spent_bits is 0
    where it was not measured.

    Parameters
    ----------
    content : of ``comparison.json``

    Raises
    ------
    PvqError : it has no accuracy
    """
    rows = content["rows"]
    means = [
        _mean(row, stage, name) for row in rows for stage, name in STAGES.items() if row[name] is not None
    ]
    if not means:
        raise PvqError("the comparison has no accuracy to draw: no run has ended")
    started = [row["uncompressed"] for row in rows if row["uncompressed"] is not None]
    facts = {
        "name": content["comparison"]["name"],
        "camps": {row["method"]: row["camp"] for row in rows},
        "uncompressed": 100 * float(np.mean(started)) if started else None,
        "spent": any(row["spent_bits"] is not None for row in rows),
    }
    return made(
        {"means": table(**{name: [row[name] for row in means] for name in means[0]})},
        facts,
        figure="accuracy",
    )


def _mean(row: Mapping[str, Any], stage: str, name: str) -> dict[str, Any]:
    mean = row[name]
    low, high = (mean if row[f"{name}_{end}"] is None else row[f"{name}_{end}"] for end in ("low", "high"))
    spent = row["spent_bits"]
    return {
        "method": row["method"],
        "stage": stage,
        "budget": row["budget"],
        "spent_bits": 0.0 if spent is None else spent,
        "accuracy": 100 * mean,
        "low": 100 * low,
        "high": 100 * high,
    }


def save_accuracy(data: Data, stem: Path) -> list[Path]:
    """Write `stem`.png and `stem`.svg, the folder made if need be; return the paths.

    Raises
    ------
    MissingExtra : matplotlib is not installed
    """
    return save_drawn(accuracy_canvas, data, stem)


def accuracy_canvas(data: Data) -> Figure:
    """Return the picture. Call inside `paper_style()`.

    All accuracies stand against the budget. A second panel shows those after fine-tuning alone against the
    bits really spent, where they are known.
    """
    panels = _panels(data)
    width = PAGE if len(panels) == 2 else COLUMN
    keys = _keys(data)
    columns = _key_columns([str(key.get_label()) for key in keys], width)
    figure = canvas((width, _HEIGHT + _LINE * -(-len(keys) // columns)), (1, len(panels)))
    for axes, (name, stages, title) in zip(figure.axes, panels, strict=True):
        _draw(axes, data, name, stages)
        axes.set(xlabel=AXES[name], title=title)
    figure.axes[0].set_ylabel("accuracy (%)")
    figure.legend(handles=keys, loc="outside lower center", ncols=columns)
    return figure


def _panels(data: Data) -> list[tuple[str, tuple[str, ...], str]]:
    """Return horizontal axis, stages and title of each panel."""
    present = set(data.tables["means"]["stage"].tolist())
    stages = tuple(stage for stage in ("before", "after") if stage in present)
    panels = [("budget", stages, str(data.facts["name"]))]
    second = "spent_bits" if data.facts["spent"] else "budget"
    if "after" in present and (second, ("after",)) != panels[0][:2]:
        panels.append((second, ("after",), "after fine-tuning"))
    return panels


def _key_columns(labels: Sequence[str], width: float) -> int:
    """Return how many entries of the key fit on a line of so many inches."""
    return max(1, min(len(labels), int(width / (0.3 + 0.055 * max(map(len, labels))))))


def _draw(axes: Axes, data: Data, name: str, stages: Sequence[str]) -> None:
    if data.facts["uncompressed"] is not None:
        axes.axhline(data.facts["uncompressed"], color=COLOURS["limit"], linestyle=":", linewidth=1)
    for method, (colour, marker) in _looks(data).items():
        for stage in stages:
            _draw_curve(axes, data.rows("means", method=method, stage=stage), name, colour, marker)
    budgets = np.unique(data.tables["means"]["budget"])
    axes.set_xscale("log", base=2)
    axes.set_xticks(budgets, [f"{bits:g}" for bits in budgets])
    axes.minorticks_off()
    axes.margins(x=0.06, y=0.08)


def _draw_curve(axes: Axes, rows: Table, name: str, colour: str, marker: str) -> None:
    """Draw means with their intervals; open marks and a broken line before fine-tuning."""
    order = [place for place in np.argsort(rows[name], kind="stable") if rows[name][place] > 0]
    if not order:
        return
    x, y, low, high = (rows[key][order] for key in (name, "accuracy", "low", "high"))
    after = bool((rows["stage"] == "after").all())
    look: dict[str, Any] = {"linestyle": "-"} if after else {"linestyle": "--", "markerfacecolor": "white"}
    axes.errorbar(
        x, y, yerr=[y - low, high - y], color=colour, marker=marker, markersize=3.5, capsize=2.5,
        elinewidth=0.9, markeredgewidth=0.9, linewidth=1.2 if after else 0.9, **look,
    )  # fmt: skip


def _looks(data: Data) -> dict[str, tuple[str, str]]:
    """Return colour and mark of each method: its camp's colour, if no method before has it."""
    looks: dict[str, tuple[str, str]] = {}
    free = list(OTHERS)
    for place, (method, camp) in enumerate(data.facts["camps"].items()):
        colour = CAMP_COLOURS.get(camp, "")
        if not colour or COLOURS[colour] in [taken for taken, _ in looks.values()]:
            colour = free.pop(0) if free else "limit"
        free = [other for other in free if other != colour]
        looks[method] = (COLOURS[colour], MARKERS[place % len(MARKERS)])
    return looks


def _keys(data: Data) -> list[Any]:
    """Return the entries of the key: the methods, then what lines and marks mean."""
    from matplotlib.lines import Line2D

    keys = [
        Line2D([], [], color=colour, marker=marker, markersize=4, label=method)
        for method, (colour, marker) in _looks(data).items()
    ]
    black, stages = COLOURS["limit"], set(data.tables["means"]["stage"].tolist())
    if "before" in stages:
        keys.append(Line2D([], [], color=black, marker="o", markersize=4, label="after fine-tuning"))
        keys.append(
            Line2D([], [], color=black, linestyle="--", marker="o", markersize=4, markerfacecolor="white",
                   label="before")
        )  # fmt: skip
    if data.facts["uncompressed"] is not None:
        keys.append(Line2D([], [], color=COLOURS["limit"], linestyle=":", label="uncompressed"))
    return keys

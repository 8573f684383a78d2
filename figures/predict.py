"""The picture of a prediction: error of layers against the loss that they cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pvq.arrays import F64
from pvq.errors import PvqError
from pvq.figures.figure import Data, Table, made, table
from pvq.figures.save import save_drawn
from pvq.figures.style import COLOURS, COLUMN, PAGE, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["predict_canvas", "predict_data", "save_predict"]

MARKERS = "os^DvPX"
DECADES = 5  # of the loss increase that are shown, from the largest down; what is below lies on the border
TITLES = {"layers": "one layer compressed", "mixes": "all layers compressed, mixed"}
LABELS = {
    "layers": "error / signal of the layer, certified to achieved",
    "mixes": "sum of error / signal, certified to achieved",
}
_HEIGHT, _LINE, _ENTRY = 2.6, 0.16, 1.6  # inches: of the panels, of a line of the key, of an entry's width
NUMBERS = ("relative_lower", "relative_upper", "loss_increase", "bits")


def predict_data(content: Mapping[str, Any]) -> Data:
    """Return a table for each of ``layers`` and ``mixes`` that has something to draw.

    Columns: camp, bits, relative_lower, relative_upper, loss_increase. Networks without a finite loss and
    layers without error are left out.

    Parameters
    ----------
    content : of ``predict.json``

    Raises
    ------
    PvqError : nothing to draw
    """
    tables, spearman = {}, {}
    for kind in TITLES:
        rows = [row for row in content["rows"] if row["set"] == kind and _drawable(row)]
        if rows:
            columns: dict[str, Any] = {name: [float(row[name]) for row in rows] for name in NUMBERS}
            tables[kind] = table(camp=[row["camp"] or "both" for row in rows], **columns)
            spearman[kind] = _spearman(content, kind)
    if not tables:
        raise PvqError("there is nothing to draw: no network has a finite loss and an error above zero")
    return made(tables, {"model": content["model"], "spearman": spearman}, figure="predict")


def _drawable(row: Mapping[str, Any]) -> bool:
    return row["loss_increase"] is not None and bool(row["relative_upper"])


def _spearman(content: Mapping[str, Any], kind: str) -> float | None:
    asked = (kind, "", None, "relative_lower", "loss_increase")
    keys = ("set", "camp", "bits", "predictor", "target")
    found = [row for row in content["correlations"] if tuple(row[key] for key in keys) == asked]
    return found[0]["spearman"] if found else None


def save_predict(data: Data, stem: Path) -> list[Path]:
    """Write `stem`.png and `stem`.svg, the folder made if need be; return the paths.

    Raises
    ------
    MissingExtra : matplotlib is not installed
    """
    return save_drawn(predict_canvas, data, stem)


def predict_canvas(data: Data) -> Figure:
    """Return the picture. Call inside `paper_style()`.

    Both axes are logarithmic. Five decades of the loss increase are shown: what is smaller or not above zero
    stands, with an open mark, on the lower border.
    """
    kinds = list(data.tables)
    keys, width = _keys(data), PAGE if len(kinds) == 2 else COLUMN
    columns = int(width / _ENTRY)
    figure = canvas((width, _HEIGHT + _LINE * -(-len(keys) // columns)), (1, len(kinds)))
    for axes, kind in zip(figure.axes, kinds, strict=True):
        _draw(axes, data, kind)
    figure.legend(handles=keys, loc="outside lower center", ncols=columns)
    return figure


def _draw(axes: Axes, data: Data, kind: str) -> None:
    rows = data.tables[kind]
    floor, least = _floor(rows["loss_increase"]), _least(rows)
    for camp, bits in sorted({*zip(rows["camp"].tolist(), _widths(data, kind).tolist(), strict=True)}):
        mine = (rows["camp"] == camp) & (_widths(data, kind) == bits)
        _draw_ranges(axes, {name: rows[name][mine] for name in rows}, floor, least, *_look(data, camp, bits))
    axes.set(xscale="log", yscale="log", xlabel=LABELS[kind], title=_title(data, kind))
    axes.set_ylabel("increase of the cross-entropy")
    axes.set_ylim(bottom=floor / 1.5)
    axes.axhline(floor, color=COLOURS["grey"], linewidth=0.6, linestyle=":", zorder=1)


def _draw_ranges(axes: Axes, rows: Table, floor: float, least: float, colour: str, marker: str) -> None:
    """Draw from the certified to the achieved error; the mark stands at what is achieved."""
    low, high = np.maximum(rows["relative_lower"], least), rows["relative_upper"]
    y = np.maximum(rows["loss_increase"], floor)
    axes.hlines(y, np.minimum(low, high), high, color=colour, linewidth=0.8, alpha=0.6)
    shown = rows["loss_increase"] > floor
    for part, face in ((shown, colour), (~shown, "white")):
        axes.plot(
            high[part], y[part], linestyle="", marker=marker, markersize=3.6, markerfacecolor=face,
            markeredgecolor=colour, markeredgewidth=0.7, zorder=3,
        )  # fmt: skip


def _floor(increases: F64) -> float:
    """Return the lower border: a power of ten five decades below the one above the largest increase."""
    largest = float(increases.max())
    return 10.0 ** (math.ceil(math.log10(largest)) - DECADES) if largest > 0 else 1e-5


def _least(rows: Table) -> float:
    """Return where ranges begin whose certified error is 0: below every other number."""
    known = np.concatenate([rows["relative_lower"], rows["relative_upper"]])
    return float(known[known > 0].min()) / 3


def _widths(data: Data, kind: str) -> F64:
    """Return the widths that decide the marks; a mix has none."""
    bits: F64 = data.tables[kind]["bits"]
    return bits if kind == "layers" else np.zeros_like(bits)


def _look(data: Data, camp: str, bits: float) -> tuple[str, str]:
    colour = COLOURS[{"both": "purple"}.get(camp, camp)]
    return colour, MARKERS[_places(data).get(bits, 0) % len(MARKERS)]


def _places(data: Data) -> dict[float, int]:
    if "layers" not in data.tables:
        return {}
    return {float(bits): place for place, bits in enumerate(np.unique(data.tables["layers"]["bits"]))}


def _title(data: Data, kind: str) -> str:
    value = data.facts["spearman"][kind]
    beside = "" if value is None else f" (Spearman {value:.2f})"
    return f"{TITLES[kind]}{beside}"


def _keys(data: Data) -> list[Any]:
    """Return the entries of the key: camps, widths, and what an open mark means."""
    from matplotlib.lines import Line2D

    look: dict[str, Any] = {"linestyle": "", "markersize": 4}
    camps = dict.fromkeys(camp for one in data.tables.values() for camp in one["camp"].tolist())
    keys = [
        Line2D([], [], color=_look(data, camp, 0.0)[0], linewidth=2, label="mix" if camp == "both" else camp)
        for camp in camps
    ]
    for bits, place in _places(data).items():
        keys.append(
            Line2D([], [], color=COLOURS["limit"], marker=MARKERS[place % len(MARKERS)],
                   label=f"{bits:g} bits", **look)
        )  # fmt: skip
    keys.append(
        Line2D([], [], color=COLOURS["limit"], marker="o", markerfacecolor="white",
               label="smaller, or not above 0", **look)
    )  # fmt: skip
    return keys

"""Pictures of `pvq represent`: each layer's distance from the original, and its place under the bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pvq.errors import PvqError
from pvq.figures.figure import Data, made, table
from pvq.figures.save import save_drawn
from pvq.figures.style import COLOURS, PAGE, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["representation_canvas", "representation_data", "save_representation"]

Row = Mapping[str, Any]
LEAST = 1e-6  # distances below this, and negative estimates, are drawn here
CAMP_COLOURS = {"quantize": "quantize", "prune": "prune", "both": "purple"}
_HEIGHT = 1.55  # inches of a row of panels


@dataclass(frozen=True)
class _Curve:
    """A column of the table: how it is drawn and what the key calls it."""

    stage: str
    name: str
    label: str
    look: Mapping[str, Any]
    colour: str = ""  # that of the camp if empty


@dataclass(frozen=True)
class _Picture:
    name: str
    label: str
    curves: tuple[_Curve, ...]
    reference: bool  # whether training without compression is drawn, too


_BEFORE = {"linestyle": "--", "marker": "o", "markersize": 2.5, "markerfacecolor": "white", "linewidth": 0.9}
_AFTER = {"linestyle": "-", "marker": "o", "markersize": 2.5, "linewidth": 1.1}
PICTURES = (
    _Picture(
        "representation",
        "1 \N{MINUS SIGN} CKA with the original",
        (
            _Curve("before", "distance", "before fine-tuning", _BEFORE),
            _Curve("after", "distance", "after", _AFTER),
        ),
        reference=True,
    ),
    _Picture(
        "bounds",
        "SNR of the layer (dB)",
        (
            _Curve("after", "at_most_db", "certified ceiling", {"linestyle": "-", "linewidth": 0.9}, "limit"),
            _Curve("after", "achieved_db", "best point", {"linestyle": ":", "linewidth": 1.1}, "limit"),
            _Curve("before", "layer_snr_db", "before fine-tuning", _BEFORE),
            _Curve("after", "layer_snr_db", "after", _AFTER),
        ),
        reference=False,
    ),
)


def representation_data(rows: Sequence[Row]) -> Data:
    """Return the table ``layers``: a row for each method, budget, stage and layer, means over seeds.

    ``distance`` is 1 - debiased CKA. A column that is not known for a row holds NaN's stand-in, and its name
    with ``_known`` tells.

    Parameters
    ----------
    rows : of `pvq.empirical.represent.represent`

    Raises
    ------
    PvqError : no row
    """
    if not rows:
        raise PvqError("there is no layer to draw")
    names = list(dict.fromkeys(row["layer"] for row in rows))
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["method"], row["budget"], row["stage"], row["layer"]), []).append(row)
    made_of = [_mean(group, names) for group in groups.values()]
    facts = {"camps": {row["method"]: row["camp"] for row in rows}, "layers": names}
    columns = {name: [row[name] for row in made_of] for name in made_of[0]}
    return made({"layers": table(**columns)}, facts, figure="representation")


def _mean(rows: Sequence[Row], names: Sequence[str]) -> dict[str, Any]:
    first = rows[0]
    found: dict[str, Any] = {
        "method": first["method"],
        "budget": 0.0 if first["budget"] is None else first["budget"],
        "stage": first["stage"],
        "layer": names.index(first["layer"]) + 1,
    }
    distances = [None if row["cka_debiased"] is None else 1 - row["cka_debiased"] for row in rows]
    columns = {key: [row[key] for row in rows] for key in ("layer_snr_db", "at_most_db", "achieved_db")}
    for key, values in {"distance": distances, **columns}.items():
        known = [value for value in values if value is not None and np.isfinite(value)]
        found[key] = float(np.mean(known)) if known else 0.0
        found[f"{key}_known"] = bool(known)
    return found


def save_representation(data: Data, folder: Path) -> list[Path]:
    """Write representation.png and .svg, and with a bound run bounds.png and .svg; return the paths.

    Raises
    ------
    MissingExtra : matplotlib is not installed
    """
    paths = []
    for picture in PICTURES:
        if _methods(data, picture):
            draw = partial(representation_canvas, name=picture.name)
            paths += save_drawn(draw, data, folder / picture.name)
    return paths


def representation_canvas(data: Data, name: str = "representation") -> Figure:
    """Return a picture, methods in rows and budgets in columns. Call inside `paper_style()`.

    Parameters
    ----------
    data : of `representation_data`
    name : ``representation`` or ``bounds``

    Raises
    ------
    PvqError : there is nothing to draw in it
    """
    (picture,) = (picture for picture in PICTURES if picture.name == name)
    methods, layers = _methods(data, picture), data.tables["layers"]
    if not methods:
        raise PvqError(f"there is nothing to draw in the picture {name!r}")
    budgets = [float(bits) for bits in np.unique(layers["budget"])[::-1] if bits > 0]
    size = (PAGE, _HEIGHT * len(methods) + 0.55)
    figure = canvas(size, (len(methods), len(budgets)), sharex=True, sharey=True)
    for place, axes in enumerate(figure.axes):
        row, column = divmod(place, len(budgets))
        _panel(axes, data, picture, methods[row], budgets[column])
        if row == 0:
            axes.set_title(f"{budgets[column]:g} bits")
        if column == 0:
            axes.set_ylabel(methods[row])
        if row == len(methods) - 1:
            axes.set_xlabel("layer")
    if picture.name == "representation":
        figure.axes[0].set_yscale("log")
    figure.supylabel(picture.label, fontsize=8)
    figure.legend(handles=_keys(data, picture), loc="outside lower center", ncols=4)
    return figure


def _methods(data: Data, picture: _Picture) -> list[str]:
    """Return the methods with a budget that have something to show; of bounds, those with a ceiling."""
    wanted = picture.curves[0].name
    layers = data.tables["layers"]
    shown = layers["method"][layers[f"{wanted}_known"] & (layers["budget"] > 0)]
    return [method for method in data.facts["camps"] if method in set(shown.tolist())]


def _panel(axes: Axes, data: Data, picture: _Picture, method: str, budget: float) -> None:
    camp = CAMP_COLOURS.get(data.facts["camps"][method], "green")
    if picture.reference:
        for other in _references(data):
            _draw(axes, data, picture.curves[-1], other, 0.0, {"linestyle": ":", "linewidth": 1.0}, "grey")
    for curve in picture.curves:
        _draw(axes, data, curve, method, budget, curve.look, curve.colour or camp)
    axes.margins(x=0.03)


def _draw(
    axes: Axes, data: Data, curve: _Curve, method: str, budget: float, look: Mapping[str, Any], colour: str
) -> None:
    rows = data.rows("layers", method=method, budget=budget, stage=curve.stage)
    known = rows[f"{curve.name}_known"]
    y = rows[curve.name][known]
    if curve.name == "distance":
        y = np.maximum(y, LEAST)
    axes.plot(rows["layer"][known], y, color=COLOURS[colour], **look)


def _references(data: Data) -> list[str]:
    """Return the methods without a budget: training alone."""
    layers = data.tables["layers"]
    return list(dict.fromkeys(layers["method"][layers["budget"] == 0].tolist()))


def _keys(data: Data, picture: _Picture) -> list[Any]:
    from matplotlib.lines import Line2D

    black = COLOURS["limit"]
    keys = [Line2D([], [], color=black, label=curve.label, **curve.look) for curve in picture.curves]
    if picture.reference and _references(data):
        keys.append(
            Line2D([], [], color=COLOURS["grey"], linestyle=":", label="training without compression")
        )
    return keys

"""Figures on disk: PNG, SVG, and the data with its provenance as CSV and JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvq.errors import PvqError
from pvq.figures.figure import FIGURES, Data, Figure, Table
from pvq.figures.style import canvas, paper_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

__all__ = ["draw_figure", "figure_name", "save_canvas", "save_data", "save_drawn", "save_figure"]

# Nothing that differs from run to run may stand in a picture.
_METADATA: dict[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


def figure_name(figure: Figure | str) -> str:
    """Return the registered name of a figure.

    Raises
    ------
    UnknownName : no such figure
    PvqError : an object of a class that is not registered

    >>> figure_name("snr-gaussian")
    'snr-gaussian'
    """
    if isinstance(figure, str):
        figure = FIGURES.build(figure)
    for name, cls in FIGURES.classes().items():
        if type(figure) is cls:
            return name
    raise PvqError(f"figure must be of a registered class, got {type(figure).__name__}")


def draw_figure(figure: Figure, data: Data) -> Canvas:
    """Return the drawn picture of `data`. Call inside `paper_style()`."""
    drawn = canvas(figure.size, figure.panels)
    figure.draw(data, drawn.axes)
    return drawn


def save_figure(figure: Figure | str, out: str | Path) -> list[Path]:
    """Compute and draw one figure; return the files written: PNG (300 dpi), SVG, JSON, one CSV per table.

    Parameters
    ----------
    figure : a figure or its spec
    out : directory, made if absent

    Raises
    ------
    UnknownName, SpecError : no such figure or option
    MissingExtra : matplotlib is not installed
    """
    name, built, folder = figure_name(figure), FIGURES.build(figure), Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    with paper_style():
        data = built.compute()
        pictures = save_canvas(draw_figure(built, data), folder / name)
    return pictures + save_data(data, folder / name)


def save_canvas(picture: Canvas, stem: Path, kinds: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Write a drawn picture as `stem`.png and `stem`.svg, the same bytes each time; return the paths."""
    paths = []
    for kind in kinds:
        paths.append(stem.with_name(f"{stem.name}.{kind}"))
        picture.savefig(paths[-1], format=kind, metadata=_METADATA[kind])
    return paths


def save_drawn(draw: Callable[[Data], Canvas], data: Data, stem: Path) -> list[Path]:
    """Draw `data` in the paper style and write `stem`.png and .svg, the folder made if need be.

    Raises
    ------
    MissingExtra : matplotlib is not installed
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    with paper_style():
        return save_canvas(draw(data), stem)


def save_data(data: Data, stem: Path) -> list[Path]:
    """Write `stem`.json (facts, provenance, tables) and `stem`.TABLE.csv for each table; return the paths."""
    whole = {
        "facts": dict(data.facts),
        "provenance": dict(data.provenance),
        "tables": {
            name: {key: column.tolist() for key, column in t.items()} for name, t in data.tables.items()
        },
    }
    paths = [stem.with_name(f"{stem.name}.json")]
    paths[0].write_text(json.dumps(whole, allow_nan=False) + "\n", encoding="utf-8")
    for name, columns in data.tables.items():
        paths.append(stem.with_name(f"{stem.name}.{name}.csv"))
        _write_csv(columns, paths[-1])
    return paths


def _write_csv(columns: Table, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))

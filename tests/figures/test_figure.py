from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from pvq.errors import PvqError, UnknownName
from pvq.figures.curves import curves
from pvq.figures.figure import Data, Table, made, table
from pvq.figures.save import figure_name, save_figure
from pvq.figures.style import COLOURS, canvas, label_ends, paper_style, spread


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (table(x=[1.0, np.nan]), "column x must be finite"),
        (table(x=[np.inf]), "column x must be finite"),
        (table(x=[1.0], y=[1.0, 2.0]), "columns of one length"),
        (table(x=[]), "non-empty"),
        (table(x=[[1.0]]), "one length"),
    ],
)
def test_what_cannot_be_shown_is_refused(columns: Table, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        made({"t": columns})


def test_data_need_a_table() -> None:
    with pytest.raises(ValueError, match="at least one table"):
        Data({}, {}, {})


def test_curves_saves_what_it_lists_and_tells_progress(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    rows = curves(
        tmp_path, ["error-density[bits=2]"], lambda done, total, label="": told.append((done, total, label))
    )
    assert {row["figure"] for row in rows} == {"error-density"}
    assert [row["kind"] for row in rows] == ["png", "svg", "json", "csv"]
    assert {Path(row["file"]) for row in rows} == set(tmp_path.iterdir())
    assert told == [(0, 1, "error-density[bits=2]"), (1, 1, "")]


def test_an_unknown_figure_stops_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean error-density"):
        curves(tmp_path / "out", ["error-density", "eror-density"])
    assert not (tmp_path / "out").exists()


@dataclass(frozen=True)
class Unregistered:
    """A figure that no registry knows."""

    size: ClassVar[tuple[float, float]] = (1, 1)
    panels: ClassVar[tuple[int, int]] = (1, 1)

    def compute(self) -> Data:
        return made({"t": table(x=[1.0])})

    def draw(self, data: Data, axes: Sequence[Any]) -> None:
        axes[0].plot(data.tables["t"]["x"])


def test_a_figure_without_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PvqError, match="registered class, got Unregistered"):
        figure_name(Unregistered())
    with pytest.raises(PvqError):
        save_figure(Unregistered(), tmp_path)


@pytest.mark.parametrize("seed", range(5))
def test_spread_keeps_gaps_order_and_mean(seed: int) -> None:
    wanted = np.random.default_rng(seed).normal(size=9)
    placed = spread(wanted, 0.3)
    order = np.argsort(wanted)
    assert (np.diff(placed[order]) >= 0.3 - 1e-12).all()
    assert placed.mean() == pytest.approx(wanted.mean())
    np.testing.assert_array_equal(spread(10 * order.astype(float), 0.3), 10 * order)


def test_labels_at_one_point_do_not_cover_each_other() -> None:
    with paper_style():
        figure = canvas((3.4, 2.6))
        axes = figure.axes[0]
        axes.set(xlim=(0, 1), ylim=(0, 1))
        label_ends(axes, [(word, 1.0, 0.5, "black") for word in "abcd"])
        figure.draw_without_rendering()
        tops = sorted(text.get_window_extent().y0 for text in axes.texts)
    assert np.diff(tops).min() >= 8.0 * 100 / 72


def test_camps_are_told_apart_in_grey() -> None:
    """Okabe and Ito's blue and vermilion: WCAG's relative luminance, so that print in grey still works."""

    def luminance(colour: str) -> float:
        channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    assert len(set(COLOURS.values())) == len(COLOURS)
    light = [luminance(COLOURS[camp]) + 0.05 for camp in ("prune", "quantize")]
    assert light[0] / light[1] > 1.2


def test_plotting_is_imported_late() -> None:
    """`pvq list figures` and the reading of a run work without matplotlib and jinja2."""
    code = (
        "import sys, pvq.figures.report, pvq.figures.curves; from pvq.figures.figure import FIGURES; "
        "FIGURES.describe(); heavy = {'matplotlib', 'jinja2', 'altair', 'pyarrow', 'torch', 'cvxpy'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

"""The picture of a prediction: what is drawn, where, and what stands on the border."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from pvq.errors import PvqError
from pvq.figures.predict import predict_canvas, predict_data, save_predict
from pvq.figures.style import COLOURS, paper_style


def row(kind: str, loss: float | None, error: float = 0.1, **changes: Any) -> dict[str, Any]:
    made = {"set": kind, "camp": "prune" if kind == "layers" else None, "bits": 4.0, "loss_increase": loss}
    return made | {"relative_lower": error / 2, "relative_upper": error} | changes


ROWS = [
    row("layers", 0.9),
    row("layers", 0.02, 0.01, camp="quantize"),
    row("layers", 0.3, 0.05, camp="quantize", bits=2.0),
    row("layers", -0.01, 0.001),
    row("layers", 1e-9, 0.002),
    row("mixes", 2.0, 1.0),
    row("mixes", None, 1.0),
]


def content(rows: list[dict[str, Any]]) -> dict[str, Any]:
    about = {
        "set": "layers",
        "camp": "",
        "bits": None,
        "predictor": "relative_lower",
        "target": "loss_increase",
    }
    return {"model": "miniature", "rows": rows, "correlations": [about | {"spearman": 0.876}]}


def drawn(rows: list[dict[str, Any]]) -> Figure:
    with paper_style():
        return predict_canvas(predict_data(content(rows)))


def marks(axes: Axes) -> set[tuple[str, str, bool, float, float]]:
    """Return colour, mark, whether filled, x and y of every mark."""
    return {
        (line.get_markeredgecolor(), line.get_marker(), line.get_markerfacecolor() != "white", x, y)
        for line in axes.lines
        if line.get_marker() not in ("None", "", None)
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }


def test_marks_stand_at_achieved_error_and_loss_and_at_the_border_where_there_is_none() -> None:
    left, right = drawn(ROWS).axes
    blue, orange, floor = COLOURS["quantize"], COLOURS["prune"], 1e-5
    assert marks(left) == {
        (orange, "s", True, 0.1, 0.9),
        (blue, "s", True, 0.01, 0.02),
        (blue, "o", True, 0.05, 0.3),
        (orange, "s", False, 0.001, floor),
        (orange, "s", False, 0.002, floor),
    }
    assert [(x, y) for *_, x, y in marks(right)] == [(1.0, 2.0)]
    assert left.get_ylim()[0] < floor
    assert (left.get_xscale(), left.get_yscale()) == ("log", "log")


def test_ranges_go_from_certified_to_achieved() -> None:
    left = drawn([row("layers", 0.9), row("layers", 0.5, 0.2, relative_lower=0.0)]).axes[0]
    (lines,) = (found for found in left.collections if isinstance(found, LineCollection))
    ends = sorted(segment[:, 0].tolist() for segment in map(np.asarray, lines.get_segments()))
    assert ends == [
        pytest.approx([0.05 / 3, 0.2]),
        pytest.approx([0.05, 0.1]),
    ]  # what is 0 begins at the left


def test_titles_have_the_correlation_where_there_is_one() -> None:
    left, right = drawn(ROWS).axes
    assert left.get_title(loc="left") == "one layer compressed (Spearman 0.88)"
    assert right.get_title(loc="left") == "all layers compressed, mixed"


def test_without_mixes_there_is_one_panel() -> None:
    assert len(drawn(ROWS[:3]).axes) == 1


def test_losses_that_only_fall_are_drawn() -> None:
    (axes,) = drawn([row("layers", -0.1), row("layers", -0.2, 0.3)]).axes
    assert {filled for _, _, filled, *_ in marks(axes)} == {False}


def test_nothing_is_drawn_of_nothing() -> None:
    with pytest.raises(PvqError, match="nothing to draw"):
        predict_data(content([row("layers", None), row("layers", 0.1, 0.0)]))


def test_the_same_data_give_the_same_bytes_and_nothing_is_cut_off(tmp_path: Path) -> None:
    data = predict_data(content(ROWS))
    first, second = (save_predict(data, tmp_path / name / "predict") for name in ("one", "two"))
    assert [path.suffix for path in first] == [".png", ".svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    figure = drawn(ROWS)
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    width, height = figure.get_size_inches() * figure.dpi
    assert 0 <= box.x0 < box.x1 <= width
    assert 0 <= box.y0 < box.y1 <= height

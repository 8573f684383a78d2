"""The picture of a comparison: what is drawn, where, and in which colour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pvq.errors import PvqError
from pvq.figures.accuracy import accuracy_canvas, accuracy_data, save_accuracy
from pvq.figures.style import COLOURS, paper_style

CAMPS = {"quantization": "quantize", "pruning": "prune"}


def row(method: str, budget: float, accuracy: float | None = 0.9, **changes: Any) -> dict[str, Any]:
    """Return a row of a comparison with the interval accuracy ± 0.02."""
    low, high = (None, None) if accuracy is None else (accuracy - 0.02, accuracy + 0.02)
    made = {
        "method": method, "budget": budget, "accuracy": accuracy, "accuracy_low": low, "accuracy_high": high,
        "before": 0.5, "before_low": 0.5, "before_high": 0.5, "uncompressed": 0.92,
        "spent_bits": budget + 0.5, "camp": CAMPS.get(method, ""),
    }  # fmt: skip
    return made | changes


def content(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"comparison": {"name": "miniature"}, "rows": rows}


ROWS = [row(method, bits) for method in CAMPS for bits in (8.0, 4.0, 2.0)]


def drawn(rows: list[dict[str, Any]]) -> Figure:
    with paper_style():
        return accuracy_canvas(accuracy_data(content(rows)))


def curves(axes: Axes) -> list[tuple[str, list[float], list[float]]]:
    """Return colour, x and y of the lines between means."""
    found = [bars.lines[0] for bars in axes.containers]
    return [(line.get_color(), list(line.get_xdata()), list(line.get_ydata())) for line in found]


def labels(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_both_camps_stand_in_their_colours_before_and_after() -> None:
    left, right = drawn(ROWS).axes
    blue, orange = COLOURS["quantize"], COLOURS["prune"]
    before, after = ([2.0, 4.0, 8.0], [50.0] * 3), ([2.0, 4.0, 8.0], [90.0] * 3)
    assert curves(left) == [(blue, *before), (blue, *after), (orange, *before), (orange, *after)]
    assert curves(right) == [(colour, [2.5, 4.5, 8.5], [90.0] * 3) for colour in (blue, orange)]


def test_intervals_reach_from_low_to_high() -> None:
    right = drawn(ROWS).axes[1]
    (bars,) = right.containers[0].lines[2]
    assert [tuple(ends[:, 1]) for ends in bars.get_segments()] == [pytest.approx((88.0, 92.0))] * 3


def test_the_uncompressed_accuracy_is_a_line_across() -> None:
    figure = drawn(ROWS)
    for axes in figure.axes:
        assert [list(line.get_ydata()) for line in axes.lines if line.get_linestyle() == ":"] == [[92.0] * 2]
    assert labels(figure) == ["quantization", "pruning", "after fine-tuning", "before", "uncompressed"]


def test_what_is_not_known_is_not_drawn() -> None:
    rows = [row("a", bits, before=None, uncompressed=None, spent_bits=None) for bits in (4.0, 2.0)]
    figure = drawn([*rows, row("a", 8.0, None, before=None, uncompressed=None, spent_bits=None)])
    (only,) = figure.axes
    assert [(x, y) for _, x, y in curves(only)] == [([2.0, 4.0], [90.0, 90.0])]
    assert labels(figure) == ["a"]


def test_a_method_without_measured_bits_is_left_out_of_their_panel() -> None:
    rows = [*ROWS, row("as it is", 4.0, spent_bits=None, camp="none")]
    left, right = drawn(rows).axes
    assert len(curves(left)) == 6
    assert len(curves(right)) == 2


def test_methods_of_one_camp_differ_in_colour_and_mark() -> None:
    figure = drawn([row(name, 4.0, camp="quantize", before=None) for name in "abcdefg"])
    looks = [
        (line.get_color(), line.get_marker()) for line in (c.lines[0] for c in figure.axes[0].containers)
    ]
    assert len(set(looks)) == 7
    assert len({colour for colour, _ in looks[:5]}) == 5


def test_where_one_seed_gives_no_interval_there_is_the_mean_alone() -> None:
    data = accuracy_data(content([row("a", 4.0, accuracy_low=None, accuracy_high=None)]))
    after = data.rows("means", stage="after")
    assert (after["low"][0], after["accuracy"][0], after["high"][0]) == (90.0, 90.0, 90.0)


def test_nothing_is_drawn_of_nothing() -> None:
    with pytest.raises(PvqError, match="no accuracy to draw"):
        accuracy_data(content([row("a", 4.0, None, before=None)]))


def test_the_same_data_give_the_same_bytes(tmp_path: Path) -> None:
    data = accuracy_data(content(ROWS))
    first, second = (save_accuracy(data, tmp_path / name / "accuracy") for name in ("one", "two"))
    assert [path.suffix for path in first] == [".png", ".svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.parametrize("name", ["quantization", "a method whose label is as long as labels get to be"])
def test_nothing_is_cut_off(name: str) -> None:
    figure = drawn([row(name, bits, spent_bits=None, before=None) for bits in (8.0, 2.0)])
    figure.draw_without_rendering()
    width, height = figure.get_size_inches() * figure.dpi
    box = figure.legends[0].get_window_extent()
    assert 0 <= box.x0 < box.x1 <= width
    assert 0 <= box.y0 < box.y1 <= height

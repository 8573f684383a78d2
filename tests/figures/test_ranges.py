from __future__ import annotations

import math

import pytest

from pvq.figures.ranges import chunks, ranges_canvas
from pvq.figures.run import BoundRow, BoundRun, Camp
from pvq.figures.style import COLOURS, paper_style


def run(*rows: BoundRow) -> BoundRun:
    return BoundRun(rows, {})


def lines(bound_run: BoundRun, colour: str) -> list[tuple[float, ...]]:
    """The x positions of everything drawn in one colour on the first panel."""
    with paper_style():
        axes = ranges_canvas(bound_run, bound_run.bits).axes[0]
    drawn = [line.get_xdata() for line in axes.lines if line.get_color() == colour]
    return [tuple(float(x) for x in xs if not math.isnan(x)) for xs in drawn]  # a gap is NaN


@pytest.mark.parametrize("camp", ["quantize", "prune"])
def test_a_bar_runs_from_reached_to_ceiling(camp: str) -> None:
    row = BoundRow("a", 4, **{camp: Camp(10.0, 14.0, 7.0)})
    assert sorted(lines(run(row), COLOURS[camp])) == [(7.0,), (10.0,), (10.0, 14.0), (14.0,)]


def test_what_is_unknown_is_not_drawn() -> None:
    row = BoundRow("a", 4, quantize=Camp(None, 14.0, None))
    assert lines(run(row), COLOURS["quantize"]) == [(14.0,)]


def test_infinity_is_written_and_not_drawn() -> None:
    row = BoundRow("a", 4, prune=Camp(math.inf, math.inf), quantize=Camp(1.0, 2.0))
    assert lines(run(row), COLOURS["prune"]) == []
    with paper_style():
        axes = ranges_canvas(run(row), (4,)).axes[0]
    assert "no error" in [text.get_text() for text in axes.texts]


def test_a_layer_without_numbers_says_so() -> None:
    with paper_style():
        axes = ranges_canvas(run(BoundRow("a", 4), BoundRow("b", 4, quantize=Camp(1.0, 2.0))), (4,)).axes[0]
    assert [text.get_text() for text in axes.texts] == ["no result"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_panels_share_the_layers_and_each_has_its_own_decibels() -> None:
    rows = (BoundRow("a", 2, quantize=Camp(1.0, 2.0)), BoundRow("a", 4, quantize=Camp(30.0, 40.0)))
    with paper_style():
        left, right = ranges_canvas(run(*rows), (2, 4)).axes
    assert left.get_ylim() == right.get_ylim()
    assert left.get_xlim()[1] < 5 < 25 < right.get_xlim()[0]
    assert left.get_ylim()[0] > left.get_ylim()[1]  # the first layer on top


def test_a_network_of_a_thousand_layers_still_fits_a_picture() -> None:
    rows = tuple(BoundRow(f"l{i}", 4, quantize=Camp(1.0, 2.0)) for i in range(1000))
    with paper_style():
        height = ranges_canvas(run(*rows), (4,)).get_figheight()
    assert height * 300 < 2**15  # pixels: more than that no viewer opens


def test_parts_of_a_long_list_share_their_decibels() -> None:
    rows = tuple(BoundRow(f"l{i}", 4, quantize=Camp(float(i), i + 1.0)) for i in range(8))
    with paper_style():
        parts = [ranges_canvas(run(*rows), (4,), part).axes[0] for part in (["l0", "l1"], ["l7"])]
    assert parts[0].get_xlim() == parts[1].get_xlim()


def test_camps_are_not_told_by_colour_alone() -> None:
    with paper_style():
        axes = ranges_canvas(run(BoundRow("a", 4, quantize=Camp(2.0), prune=Camp(1.0))), (4,)).axes[0]
    dots = {line.get_color(): line.get_markerfacecolor() for line in axes.lines if line.get_marker() == "o"}
    assert dots == {COLOURS["quantize"]: COLOURS["quantize"], COLOURS["prune"]: "#ffffff"}


@pytest.mark.parametrize(
    ("items", "groups"),
    [(range(2, 9), [(2, 3, 4, 5), (6, 7, 8)]), ((4,), [(4,)]), (range(8), [(0, 1, 2, 3), (4, 5, 6, 7)])],
)
def test_groups_are_few_and_even(items: range, groups: list[tuple[int, ...]]) -> None:
    assert chunks(tuple(items)) == groups

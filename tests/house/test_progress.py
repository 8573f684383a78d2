"""How far work is and how long it takes yet, by a clock that the test moves."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvq.cli.bar import Lines
from pvq.progress import Forecast, Outlook


@dataclass
class _Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def _one_after_the_other(
    pieces: list[tuple[str, float, float]], found: int = 0
) -> list[tuple[float, Outlook, float]]:
    """Do pieces (kind, cost, seconds), `found` of them beforehand; return what was said when."""
    clock = _Clock()
    forecast = Forecast(clock)
    for number, (kind, cost, _) in enumerate(pieces):
        forecast.expect(kind, cost, found=number < found)
    whole = sum(seconds for *_, seconds in pieces[found:])
    said = [(0.0, forecast.outlook(), whole)]
    for kind, cost, seconds in pieces[found:]:
        clock.now += seconds
        forecast.ended(kind, cost, seconds)
        said.append((clock.now, forecast.outlook(), whole - clock.now))
    return said


def test_where_seconds_are_proportional_to_cost_one_piece_tells_all() -> None:
    said = _one_after_the_other([("a", cost, 3.0 * cost) for cost in (1.0, 50.0, 7.0)])
    for _, outlook, left in said[1:]:
        assert outlook.left == pytest.approx(left)
        assert outlook.share == pytest.approx(1 - left / (3.0 * 58))


def test_nothing_is_said_of_time_before_the_first_piece_has_ended() -> None:
    assert _one_after_the_other([("a", 1.0, 1.0), ("a", 3.0, 1.0)])[0][1] == Outlook(0.0, None)
    assert _one_after_the_other([("a", 1.0, 1.0), ("a", 3.0, 1.0)], found=1)[0][1] == Outlook(0.25, None)


def test_what_was_found_done_is_work_but_no_speed() -> None:
    pieces = [("a", 1.0, 10.0)] * 10
    for _, outlook, left in _one_after_the_other(pieces, found=6)[1:]:
        assert outlook.left == pytest.approx(left)
    assert _one_after_the_other(pieces, found=6)[1][1].share == pytest.approx(0.7)


def test_kinds_have_their_own_speed() -> None:
    said = _one_after_the_other([("fast", 8.0, 1.0), ("slow", 8.0, 100.0), *[("fast", 8.0, 1.0)] * 5])
    assert said[-2][1].left == pytest.approx(1.0)


def test_pieces_of_like_cost_count_most() -> None:
    """Small pieces with an overhead that cost does not tell: large ones say little about them."""
    small, large = [("a", 1.0, 2.0)] * 4, [("a", 1000.0, 500.0)] * 2
    said = _one_after_the_other([*large, *small])
    assert said[2][1].left == pytest.approx(4 * 0.5)  # so far nobody could know better
    assert said[3][1].left == pytest.approx(3 * 2.0, rel=0.01)


@pytest.mark.parametrize("workers", [1, 4])
def test_over_orders_of_magnitude_the_time_left_is_about_right(workers: int) -> None:
    """Costs over three decades, seconds off by up to a third, the longest first on several workers."""
    rng, clock = random.Random(0), _Clock()
    costs = sorted((10 ** rng.uniform(0, 3) for _ in range(80)), reverse=True)
    took = [cost * rng.uniform(0.67, 1.33) for cost in costs]
    forecast = Forecast(clock)
    for cost in costs:
        forecast.expect("a", cost)
    free, ends = [0.0] * workers, []
    for cost, seconds in zip(costs, took, strict=True):
        start = min(free)
        free[free.index(start)] = start + seconds
        ends.append((start + seconds, cost, seconds))
    finish = max(free)
    for end, cost, seconds in sorted(ends):
        clock.now = end
        forecast.ended("a", cost, seconds, workers)
        outlook = forecast.outlook()
        assert outlook.left is not None
        if 0.2 * finish < end < 0.95 * finish:
            assert outlook.left == pytest.approx(finish - end, rel=0.25, abs=0.03 * finish)
            assert outlook.share == pytest.approx(end / finish, abs=0.1)
    assert forecast.outlook() == Outlook(1.0, 0.0)


def test_what_other_workers_have_done_of_their_pieces_counts() -> None:
    """Eight alike on eight workers: when the first has ended, the others nearly have."""
    clock = _Clock()
    forecast = Forecast(clock)
    for _ in range(8):
        forecast.expect("a", 1.0)
    clock.now = 600.0
    forecast.ended("a", 1.0, 600.0, workers=8)
    left = forecast.outlook().left
    assert left is not None
    assert left < 120


PIECES = st.lists(
    st.tuples(st.sampled_from("ab"), st.floats(1e-3, 1e12), st.floats(0, 1e6)), min_size=1, max_size=12
)


@given(PIECES, st.integers(0, 12))
def test_shares_lie_between_none_and_all_and_time_left_is_not_negative(
    pieces: list[tuple[str, float, float]], found: int
) -> None:
    for _, outlook, _ in _one_after_the_other(pieces, min(found, len(pieces))):
        assert 0 <= outlook.share <= 1
        assert outlook.left is None or outlook.left >= 0


def test_work_without_cost_is_refused() -> None:
    with pytest.raises(ValueError, match="cost must be positive and finite, got 0"):
        Forecast().expect("a", 0)


@dataclass
class _Told:
    lines: list[str] = field(default_factory=list)
    clock: _Clock = field(default_factory=_Clock)

    def show(self) -> Lines:
        return Lines("bounds", self.clock, self.lines.append)


def test_lines_come_at_most_every_tenth_and_say_how_long() -> None:
    told = _Told()
    show = told.show()
    for done in range(101):
        told.clock.now = 2.0 * done
        show(done, 100, "conv1")
    assert len(told.lines) == 11
    assert told.lines[0] == "bounds: 0/100, conv1"
    assert told.lines[1] == "bounds: 10/100, conv1, 10% of the work, 20 s elapsed, about 3 min 0 s left"
    assert told.lines[-1] == "bounds: 100/100, conv1, 3 min 20 s elapsed"


def test_a_line_is_due_after_a_minute_even_without_a_tenth() -> None:
    told = _Told()
    show = told.show()
    for done in range(6):
        told.clock.now = 25.0 * done
        show(done, 1000)
    assert [line.split(",")[0] for line in told.lines] == ["bounds: 0/1000", "bounds: 3/1000"]


def test_an_outlook_goes_before_the_count_and_resumed_steps_are_no_speed() -> None:
    told = _Told()
    show = told.show()
    show(90, 100)
    told.clock.now = 10.0
    show(91, 100, outlook=None)
    told.clock.now = 70.0
    show(92, 100)
    assert told.lines[-1].endswith("1 min 10 s elapsed, about 4 min 40 s left")
    show(93, 100, outlook=Outlook(0.99, 5.0))
    told.clock.now = 140.0
    show(94, 100, outlook=Outlook(0.99, 5.0))
    assert told.lines[-1] == "bounds: 94/100, 99% of the work, 2 min 20 s elapsed, about 5 s left"

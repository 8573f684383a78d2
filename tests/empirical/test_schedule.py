"""The learning rate: limits, monotone parts, an independent formula."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvq.empirical.schedule import rate_factor

SHARE = st.floats(0, 1)
WARMUP = st.floats(0, 0.9)
SHAPE = st.sampled_from(["cosine", "linear", "constant"])


@given(SHARE, WARMUP, SHAPE)
def test_the_rate_is_a_share_of_its_peak(progress: float, warmup: float, shape: str) -> None:
    assert 0 <= rate_factor(progress, warmup, shape) <= 1


@given(WARMUP, SHAPE)
def test_the_peak_ends_the_warmup(warmup: float, shape: str) -> None:
    assert rate_factor(warmup, warmup, shape) == 1


@given(SHARE, SHARE, WARMUP, SHAPE)
def test_the_rate_rises_then_falls(a: float, b: float, warmup: float, shape: str) -> None:
    lo, hi = sorted((a, b))
    first, second = rate_factor(lo, warmup, shape), rate_factor(hi, warmup, shape)
    if hi <= warmup:
        assert first <= second
    if lo >= warmup:
        assert first >= second - 1e-15


@given(SHARE, st.floats(0.01, 0.9))
def test_the_warmup_is_a_straight_line_from_zero(t: float, warmup: float) -> None:
    assert rate_factor(t * warmup, warmup) == pytest.approx(t, rel=1e-12)


@given(SHARE)
def test_a_cosine_is_the_square_of_half_the_angle(t: float) -> None:
    """(1 + cos x) / 2 = cos^2(x / 2)."""
    assert rate_factor(0.2 + 0.8 * t, 0.2) == pytest.approx(math.cos(math.pi * t / 2) ** 2, abs=1e-12)


@pytest.mark.parametrize(("shape", "end"), [("cosine", 0), ("linear", 0), ("constant", 1)])
def test_the_end(shape: str, end: float) -> None:
    assert rate_factor(1.0, 0.1, shape) == pytest.approx(end, abs=1e-15)


@pytest.mark.parametrize(
    ("progress", "warmup", "shape", "message"),
    [
        (1.1, 0.0, "cosine", r"progress must lie in \[0, 1\], got 1.1"),
        (math.nan, 0.0, "cosine", "progress must lie in"),
        (0.5, 1.0, "cosine", r"warmup must lie in \[0, 1\), got 1.0"),
        (0.5, 0.0, "step", "shape must be cosine, linear or constant, got 'step'"),
    ],
)
def test_refusals(progress: float, warmup: float, shape: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rate_factor(progress, warmup, shape)


@given(SHARE, WARMUP, SHAPE, st.floats(0, 0.9))
def test_a_floor_stretches_the_fall(progress: float, warmup: float, shape: str, floor: float) -> None:
    found, plain = rate_factor(progress, warmup, shape, floor), rate_factor(progress, warmup, shape)
    wanted = plain if progress < warmup else 1 - (1 - floor) * (1 - plain)
    assert found == pytest.approx(wanted, abs=1e-12)


def test_a_floor_must_be_a_share() -> None:
    assert rate_factor(1.0, 0.1, "cosine", 0.01) == pytest.approx(0.01)
    with pytest.raises(ValueError, match=r"floor must lie in \[0, 1\), got 1"):
        rate_factor(0.5, 0.0, "cosine", 1.0)

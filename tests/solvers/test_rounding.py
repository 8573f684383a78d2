"""Proofs of semidefiniteness against exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvq.arrays import F64
from pvq.solvers.rounding import _scaled, gamma, proves_psd, psd_shift, subtract_down

from .exact import gram_of_condition, is_psd, remainder

FLOATS = st.floats(-1e10, 1e10, allow_subnormal=False)


@given(st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=5))
def test_subtract_down_is_the_largest_float_below(pairs: list[tuple[float, float]]) -> None:
    a, b = (np.array(side) for side in zip(*pairs, strict=True))
    for x, y, low in zip(a, b, subtract_down(a, b), strict=True):
        exact = Fraction(float(x)) - Fraction(float(y))
        assert Fraction(float(low)) <= exact < Fraction(float(np.nextafter(low, np.inf)))


def test_gamma_bounds_a_product_of_roundings() -> None:
    assert (1 + Fraction(1, 2**53)) ** 10 - 1 <= Fraction(gamma(10))


@pytest.mark.parametrize("condition", [1e2, 1e6, 1e10, 1e14])
def test_proofs_hold_exactly(condition: float) -> None:
    """Around the edge of semidefiniteness the float proof never says more than exact arithmetic."""
    proved = refuted = 0
    for seed in range(4):
        H = gram_of_condition(7, condition, seed)
        edge = 1.0 / np.abs(np.linalg.inv(H)).sum(axis=1)
        edge /= np.linalg.eigvals(np.linalg.solve(H, np.diag(edge))).real.max()
        for share in 1.0 + np.array([-0.1, -1e-3, -1e-6, -1e-9, -1e-12, 0.0, 1e-12, 1e-9, 1e-6, 1e-3]):
            if proves_psd(H, share * edge):
                assert is_psd(remainder(H, share * edge))
                proved += 1
            else:
                refuted += 1
    assert proved > 0
    assert refuted > 0


def test_scaling_rounds_once() -> None:
    """In two steps, 1.5 * 2^-1060 would lose its bits on the way to 2^-1080 and come back as 2^-580 or 0."""
    H = np.array([[1.0, 1.5 * 2.0**-1060], [1.5 * 2.0**-1060, 1.0]])
    exponents = np.array([-20, 500], dtype=np.int32)
    expected = [[2.0**-40, 1.5 * 2.0**-580], [1.5 * 2.0**-580, 2.0**1000]]
    assert _scaled(H, exponents).tolist() == expected


def test_proofs_lose_no_more_than_the_shift() -> None:
    H = gram_of_condition(7, 1e6, seed=0)
    least = np.linalg.eigvalsh(H)[0]
    assert proves_psd(H, np.full(7, least - 4 * psd_shift(7)))
    assert not proves_psd(H, np.full(7, least + 4 * psd_shift(7)))


def test_slack_only_asks_for_more() -> None:
    H = gram_of_condition(7, 1e6, seed=0)
    d = np.full(7, np.linalg.eigvalsh(H)[0] - 1.5 * psd_shift(7) * H.diagonal().max())
    assert proves_psd(H, d)
    assert not proves_psd(H, d, slack=1e4)


@pytest.mark.parametrize(
    ("H", "d", "expected"),
    [
        (np.diag([1.0, 2.0]), [1.0, 2.0], True),  # no coupling: decided exactly
        (np.diag([1.0, 2.0]), [1.0, np.nextafter(2.0, 3.0)], False),
        (np.zeros((2, 2)), [0.0, -1.0], True),
        (np.zeros((2, 2)), [5e-324, 0.0], False),
        (np.ones((2, 2)), [0.0, 0.0], False),  # semidefinite, but not provably so in floating point
        (np.ones((2, 2)), [-1e-12, -1e-12], True),
        (np.ones((2, 2)), [np.nan, 0.0], False),
        (np.ones((2, 2)), [-np.inf, 0.0], False),
        (np.ones((2, 2)), [-1e300, -1e300], True),
        (1e-300 * np.array([[2.0, 1.0], [1.0, 2.0]]), [0.9e-300, 0.9e-300], True),
        (1e-300 * np.array([[2.0, 1.0], [1.0, 2.0]]), [1.1e-300, 1.1e-300], False),
        (np.array([[1e300, 2.0], [2.0, 1e-300]]), [0.0, 0.0], False),
        (np.array([[1e300, 2.0], [2.0, 1e-300]]), [0.0, -1e-290], True),
    ],
)
def test_edges_of_the_proof(H: F64, d: list[float], expected: bool) -> None:
    assert proves_psd(H, np.array(d)) is expected


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 5).flatmap(
        lambda n: st.tuples(
            st.lists(st.integers(-3, 3), min_size=n * n, max_size=n * n),
            st.lists(st.floats(-4, 40), min_size=n, max_size=n),
            st.lists(st.integers(-60, 60), min_size=n, max_size=n),
        )
    )
)
def test_never_proves_an_indefinite_matrix(drawn: tuple[list[int], list[float], list[int]]) -> None:
    """Small integer Grams, often singular, under a congruence by powers of two that may be extreme."""
    entries, d, exponents = drawn
    n = len(d)
    X = np.array(entries, dtype=float).reshape(n, n)
    scale = np.ldexp(1.0, np.array(exponents))
    H, diagonal = (X.T @ X) * np.outer(scale, scale), np.array(d) * scale**2
    if proves_psd(H, diagonal):
        assert is_psd(remainder(H, diagonal))

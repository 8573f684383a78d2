"""Values of single laws whose origin is known, and what the laws refuse."""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp
import numpy as np
import pytest

from pvq.arrays import F64
from pvq.errors import SpecError
from pvq.theory.cells import cell_error
from pvq.theory.distribution import WeightDistribution, kurtosis, variance
from pvq.theory.distributions.empirical import Empirical
from pvq.theory.distributions.truncated import Truncated
from pvq.theory.laws import as_law, law

INF = float("inf")


def moment(law: WeightDistribution, order: int, lo: float = -INF, hi: float = INF) -> float:
    return float(law.partial_moment(order, np.asarray(lo), np.asarray(hi)))


@pytest.mark.parametrize(
    ("unit", "scaled", "factor"),
    [
        ("gaussian", "gaussian[sigma=3]", 3),
        ("laplace", "laplace[b=0.01]", 0.01),
        ("logistic", "logistic[s=7]", 7),
        ("uniform", "uniform[low=-5,high=5]", 5),
        ("student-t[nu=3]", "student-t[nu=3,scale=0.2]", 0.2),
        ("generalized-normal[beta=0.5]", "generalized-normal[beta=0.5,alpha=4]", 4),
        ("truncated[law=laplace,r=2]", "truncated[law=laplace[b=3],r=6]", 3),
        ("clipped[law=gaussian,r=2]", "clipped[law=gaussian[sigma=0.5],r=1]", 0.5),
    ],
)
def test_scale_equivariance(unit: str, scaled: str, factor: float) -> None:
    lo, hi = np.array([-INF, -1.0, 0.2, 1.9]), np.array([-1.0, 0.2, 1.9, INF])
    p = np.array([0.0, 0.1, 0.7, 1.0])
    for order in range(3):
        expected = factor**order * law(unit).partial_moment(order, lo, hi)
        assert law(scaled).partial_moment(order, factor * lo, factor * hi) == pytest.approx(
            expected, rel=1e-12
        )
    assert law(scaled).quantile(p) == pytest.approx(factor * law(unit).quantile(p), rel=1e-12, abs=0)


def student_density(nu: str) -> Callable[[mp.mpf], mp.mpf]:
    half = (mp.mpf(nu) + 1) / 2
    peak = mp.gamma(half) / (mp.gamma(half - mp.mpf("0.5")) * mp.sqrt(mp.mpf(nu) * mp.pi))
    return lambda x: peak * (1 + x * x / mp.mpf(nu)) ** -half


# Independent densities, at 30 digits.
mp.mp.dps = 30
SHAPE = mp.mpf(0.6)
DENSITIES: dict[str, Callable[[mp.mpf], mp.mpf]] = {
    "gaussian": lambda x: mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi),
    "laplace[b=2]": lambda x: mp.exp(-abs(x) / 2) / 4,
    "logistic[s=0.5]": lambda x: mp.sech(x) ** 2 / 2,
    "generalized-normal[beta=0.6]": lambda x: mp.exp(-(abs(x) ** SHAPE)) / (2 * mp.gamma(1 + 1 / SHAPE)),
    "student-t[nu=2]": lambda x: (2 + x * x) ** mp.mpf("-1.5"),
    "student-t[nu=0.7]": student_density("0.7"),
    "student-t[nu=4.001]": student_density("4.001"),
}
CELLS = [(-0.7, 0.3), (0.0, 1e-3), (1.0, 1.001), (0.4, 40.0), (30.0, 31.0), (-6.0, -2.0)]


@pytest.mark.parametrize("order", range(5))
@pytest.mark.parametrize("spec", DENSITIES)
def test_partial_moments_against_mpmath(spec: str, order: int) -> None:
    """Narrow cells are differences of bodies: they lose the ratio of body to cell, about 1e3 ulps at 1e-3."""
    p = DENSITIES[spec]
    for lo, hi in CELLS:
        inner = {x for x in (0, 1, 4, 12, *np.linspace(30, 31, 65)) if lo < x < hi}
        points = sorted(map(mp.mpf, {lo, hi, *inner}))
        exact = float(mp.quad(lambda x: x**order * p(x), points))
        assert moment(law(spec), order, lo, hi) == pytest.approx(exact, rel=3e-12, abs=0), (lo, hi)


@pytest.mark.parametrize("order", range(5))
def test_student_t_with_two_degrees_of_freedom_in_closed_form(order: int) -> None:
    """facts A1 [C]: antiderivatives of x^k (2 + x^2)^(-3/2), k = 0, 1, 2, 4; k = 3 by the same means."""
    antiderivative = [
        lambda x: x / (2 * np.sqrt(2 + x * x)),
        lambda x: -1 / np.sqrt(2 + x * x),
        lambda x: np.arcsinh(x / np.sqrt(2)) - x / np.sqrt(2 + x * x),
        lambda x: (x * x + 4) / np.sqrt(2 + x * x),
        lambda x: (x**3 + 6 * x) / (2 * np.sqrt(x * x + 2)) - 3 * np.arcsinh(x / np.sqrt(2)),
    ][order]
    for lo, hi in [(-1.0, 2.0), (0.5, 3.0), (3.0, 200.0), (-100.0, -7.0)]:
        expected = antiderivative(hi) - antiderivative(lo)
        assert moment(law("student-t[nu=2]"), order, lo, hi) == pytest.approx(expected, rel=1e-11, abs=0)


@pytest.mark.parametrize("nu", [0.5, 1.0, 2.0, 3.0, 4.0, 4.5])
def test_student_moments_are_infinite_exactly_where_they_diverge(nu: float) -> None:
    t = law(f"student-t[nu={nu}]")
    for order in range(5):
        assert np.isfinite(moment(t, order, 1.0, INF)) == (order < nu)
        assert np.isfinite(moment(t, order, -1.0, 1e150)) or order > nu + 2
        if order % 2 == 0:
            assert moment(t, order) > 0
            assert np.isinf(moment(t, order)) == (order >= nu)
        else:
            assert np.isnan(moment(t, order)) if order >= nu else moment(t, order) == 0


@pytest.mark.parametrize("nu", [2 - 1e-9, 2.0, 2 + 1e-9, 4 - 1e-12, 4.0, 4 + 1e-12])
@pytest.mark.parametrize("order", range(5))
def test_student_moments_pass_smoothly_through_even_nu(nu: float, order: int) -> None:
    near, at = law(f"student-t[nu={nu!r}]"), law(f"student-t[nu={round(nu)}]")
    assert moment(near, order, 0.3, 50.0) == pytest.approx(moment(at, order, 0.3, 50.0), rel=1e-8, abs=0)


def test_cauchy_body_far_out_keeps_its_digits() -> None:
    """nu = 1: P(0 < X <= x) = atan(x) / pi, here to a few ulps although z = x^2/(1 + x^2) is almost 1."""
    for x in (1e3, 1e6, 1e7):
        assert moment(law("student-t[nu=1]"), 0, 0.0, x) == pytest.approx(
            np.arctan(x) / np.pi, rel=1e-15, abs=0
        )


def test_student_with_many_degrees_of_freedom_is_gaussian() -> None:
    for order in range(5):
        near, limit = (
            moment(law("student-t[nu=1e8]"), order, 0.2, 3.0),
            moment(law("gaussian"), order, 0.2, 3.0),
        )
        assert near == pytest.approx(limit, rel=1e-6, abs=0)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("gaussian", 3.0),
        ("laplace", 6.0),
        ("uniform", 1.8),
        ("logistic", 4.2),
        ("student-t[nu=5]", 9.0),
        ("student-t[nu=4]", INF),
        ("generalized-normal[beta=1]", 6.0),
    ],
)
def test_kurtosis(spec: str, expected: float) -> None:
    """Textbook values of Pearson's kurtosis."""
    assert kurtosis(law(spec)) == pytest.approx(expected, rel=1e-12, abs=0)


def test_truncated_and_clipped_differ_by_what_they_do_with_the_tails() -> None:
    truncated, clipped = law("truncated[law=gaussian,r=1]"), law("clipped[law=gaussian,r=1]")
    inside = moment(law("gaussian"), 0, -1, 1)
    assert moment(truncated, 0, -0.5, 0.5) == pytest.approx(
        moment(clipped, 0, -0.5, 0.5) / inside, rel=1e-14, abs=0
    )
    assert moment(clipped, 0, np.nextafter(1, 0), 1) == pytest.approx((1 - inside) / 2, rel=1e-13, abs=0)
    assert moment(clipped, 0, 1, INF) == 0  # an atom counts at hi, not at lo
    assert variance(clipped) > variance(truncated)


def test_an_atom_at_minus_r_belongs_to_a_truncated_law() -> None:
    values = Empirical(np.array([-2.0, -1.0, 1.0, 5.0]))
    assert moment(Truncated(values, 1.0), 0, -INF, -1.0) == 0.5
    assert moment(Truncated(values, 1.0), 2) == 1.0


def test_mixture_divides_by_the_sum_of_weights() -> None:
    assert moment(law("mixture[laws=gaussian;gaussian[sigma=2],weights=3;1]"), 2) == pytest.approx(
        1.75, rel=1e-14
    )


def test_empirical_prefix_sums_keep_digits_that_plain_sums_lose() -> None:
    rng = np.random.default_rng(1)
    w = np.concatenate([[1e8], rng.normal(size=50_000), [-1e8]])
    inside = np.sort(w)[(np.sort(w) > -3) & (np.sort(w) <= 3)]
    exact = float(mp.fsum(float(x) ** 2 for x in inside)) / w.size
    assert moment(as_law(w), 2, -3.0, 3.0) == pytest.approx(exact, rel=1e-13, abs=0)


def test_empirical_cell_error_by_prefix_sums_equals_the_direct_sum() -> None:
    w = np.random.default_rng(2).normal(size=500)
    levels = np.linspace(-3, 3, 9)
    edges = np.concatenate([[-INF], levels[:-1] + 0.375, [INF]])
    once = cell_error(as_law(w), levels, edges[:-1], edges[1:])
    many = cell_error(as_law(w), *(np.tile(x, (20, 1)) for x in (levels, edges[:-1], edges[1:])))
    assert many[7] == pytest.approx(once, rel=1e-10, abs=0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("gaussian[sigma=0]", "sigma must be positive and lie in .*, got 0.0"),
        ("laplace[b=nan]", "b must be positive and lie in .*, got nan"),
        ("logistic[s=-1]", "s must be positive and lie in .*, got -1.0"),
        ("student-t[nu=0]", "nu must be positive and lie in .*, got 0.0"),
        ("student-t[nu=2,scale=inf]", "scale must be positive and lie in .*, got inf"),
        ("student-t", "nu"),
        ("uniform[low=1,high=1]", "low < high must hold"),
        ("generalized-normal[beta=0.01]", r"beta must lie in \[0.05, 100\], got 0.01"),
        ("truncated[law=gaussian,r=0]", "r must be positive and lie in .*, got 0.0"),
        ("truncated[law=uniform[low=5,high=6],r=1]", "must leave some mass inside"),
        ("clipped[law=gaussian,r=inf]", "r must be positive and lie in .*, got inf"),
        ("mixture[laws=gaussian;laplace,weights=1]", "weights must hold one per law, got 1 for 2 laws"),
        ("mixture[laws=gaussian,weights=0]", "weights must be positive and finite"),
        ("empirical[values=3]", "cannot be given as text"),
    ],
)
def test_refusals(spec: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        law(spec)


@pytest.mark.parametrize("values", [[], [np.nan, 1.0], [np.inf]])
def test_tensors_without_usable_values_are_refused(values: F64) -> None:
    with pytest.raises(ValueError, match="values must"):
        as_law(np.array(values))

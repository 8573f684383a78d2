"""Laws that every distribution must obey, over the registry."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvq.theory.cells import Smooth, cell_error
from pvq.theory.distribution import DISTRIBUTIONS, WeightDistribution
from pvq.theory.distributions.empirical import Empirical
from pvq.theory.laws import law

SPECS = {
    "clipped": ["clipped[law=student-t[nu=2],r=5]", "clipped[law=uniform[low=-1,high=3],r=2]"],
    "gaussian": ["gaussian", "gaussian[sigma=0.02]"],
    "generalized-normal": ["generalized-normal[beta=0.6]", "generalized-normal[beta=3,alpha=2]"],
    "laplace": ["laplace[b=2]"],
    "logistic": ["logistic[s=0.5]"],
    "mixture": [
        "mixture[laws=gaussian;laplace[b=3],weights=0.9;0.1]",
        "mixture[laws=clipped[law=gaussian,r=1];uniform,weights=1;3]",
    ],
    "student-t": [
        f"student-t[nu={nu},scale={scale}]" for nu, scale in [(0.7, 3), (2, 1), (4, 0.1), (5.5, 1)]
    ],
    "truncated": ["truncated[law=student-t[nu=2],r=100]", "truncated[law=clipped[law=laplace,r=2],r=2]"],
    "uniform": ["uniform", "uniform[low=-1,high=3]"],
}
VALUES = np.array([-3.0, -1.0, -1.0, 0.0, 0.5, 0.5, 0.5, 2.0])


def laws() -> dict[str, WeightDistribution]:
    """Return the listed laws, and a new kind at its defaults where it has them."""
    found: dict[str, WeightDistribution] = {"empirical": Empirical(VALUES)}
    for name, cls in DISTRIBUTIONS.classes().items():
        for spec in SPECS.get(name, []):
            found[spec] = law(spec)
        complete = all(f.default is not dataclasses.MISSING for f in dataclasses.fields(cls) if f.init)
        if name not in SPECS and complete:
            found[name] = law(name)
    return found


LAWS = laws()

INF = float("inf")
every_law = pytest.mark.parametrize("spec", LAWS)
edge = st.one_of(st.floats(-50, 50), st.sampled_from([-INF, INF, 0.0]))


def moment(law: WeightDistribution, order: int, lo: float = -INF, hi: float = INF) -> float:
    return float(law.partial_moment(order, np.asarray(lo), np.asarray(hi)))


def test_every_registered_distribution_is_tested() -> None:
    tested = {re.split(r"\[", spec)[0] for spec in LAWS}
    assert tested == set(DISTRIBUTIONS.classes()), "list the new distribution in law_cases.SPECS"


@every_law
def test_mass_is_one(spec: str) -> None:
    assert moment(LAWS[spec], 0) == pytest.approx(1.0, abs=1e-14)


@every_law
@settings(max_examples=30, deadline=None, derandomize=True)
@given(ends=st.lists(edge, min_size=3, max_size=3).map(sorted), order=st.integers(0, 4))
def test_adjacent_cells_add_up(spec: str, ends: list[float], order: int) -> None:
    a, b, c = ends
    law = LAWS[spec]
    whole, parts = moment(law, order, a, c), moment(law, order, a, b) + moment(law, order, b, c)
    if np.isfinite(whole):
        size = sum(
            abs(moment(law, order, *cell)) for cell in [(a, min(b, 0)), (max(b, 0), c)] if cell[0] <= cell[1]
        )
        assert parts == pytest.approx(whole, rel=1e-12, abs=1e-13 * max(size, 1e-3))
    else:
        assert not np.isfinite(parts)


@every_law
@settings(max_examples=20, deadline=None, derandomize=True)
@given(ends=st.lists(edge, min_size=2, max_size=2).map(sorted))
def test_signs(spec: str, ends: list[float]) -> None:
    lo, hi = ends
    for order in range(5):
        if order % 2 == 0 or lo >= 0:
            assert moment(LAWS[spec], order, lo, hi) >= 0
        elif hi <= 0:
            assert moment(LAWS[spec], order, lo, hi) <= 0


@every_law
@settings(max_examples=20, deadline=None, derandomize=True)
@given(u=st.floats(-3, 3), ends=st.lists(edge, min_size=2, max_size=2).map(sorted))
def test_cell_error_is_the_second_moment_about_its_level(spec: str, u: float, ends: list[float]) -> None:
    law, (lo, hi) = LAWS[spec], ends
    m0, m1, m2 = (moment(law, order, lo, hi) for order in range(3))
    if np.isfinite(m2):
        size = m2 + 2 * abs(u * m1) + u * u * m0
        assert float(cell_error(law, u, lo, hi)) == pytest.approx(
            m2 - 2 * u * m1 + u * u * m0, abs=1e-13 * size
        )


@every_law
def test_quantile_is_the_smallest_x_that_reaches_p(spec: str) -> None:
    law = LAWS[spec]
    p = np.array([1e-6, 0.01, 0.125, 0.3, 0.5, 0.625, 0.99, 1 - 1e-6])
    x = law.quantile(p)
    assert (np.diff(x) >= 0).all()
    below = law.partial_moment(0, np.full(p.shape, -INF), x - 1e-9 * np.abs(x) - 1e-12)
    reached = law.partial_moment(0, np.full(p.shape, -INF), x)
    assert (reached >= p - 1e-13).all()
    assert (below <= p + 1e-8).all()


@every_law
def test_quantile_at_the_ends_is_the_support(spec: str) -> None:
    low, high = LAWS[spec].quantile(np.array([0.0, 1.0]))
    assert low < high
    assert moment(LAWS[spec], 0, -INF, np.nextafter(low, -INF)) == 0
    assert moment(LAWS[spec], 0, high, INF) == 0


@every_law
def test_sample_moments(spec: str) -> None:
    law, n = LAWS[spec], 20_000
    x = law.sample(np.random.default_rng(7), n)
    assert x.shape == (n,)
    for lo, hi in [(-INF, -0.4), (-0.4, 0.3), (0.3, 4.0)]:
        inside = (x > lo) & (x <= hi)
        share = moment(law, 0, lo, hi)
        assert inside.mean() == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / n) + 1e-12)
    if np.isfinite(moment(law, 4)):
        spread = np.sqrt(moment(law, 4) - moment(law, 2) ** 2)
        assert np.mean(x**2) == pytest.approx(moment(law, 2), abs=5 * spread / np.sqrt(n))


@pytest.mark.parametrize("order", [-1, 5])
@every_law
def test_an_order_outside_0_to_4_is_refused(spec: str, order: int) -> None:
    with pytest.raises(ValueError, match="order"):
        moment(LAWS[spec], order)


@pytest.mark.parametrize("spec", [spec for spec, law in LAWS.items() if isinstance(law, Smooth)])
def test_density_agrees_with_the_mass_of_small_cells(spec: str) -> None:
    law = LAWS[spec]
    if "clipped" in spec:
        with pytest.raises(ValueError, match=r"must (all )?have a density"):
            law.density(np.zeros(1))
        return
    x, h = np.array([-0.83, -0.31, 0.017, 0.55, 0.97]), 1e-5
    mass = law.partial_moment(0, x - h, x + h)
    assert law.density(x) == pytest.approx(mass / (2 * h), rel=2e-4, abs=1e-9)

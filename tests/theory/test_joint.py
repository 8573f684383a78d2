"""Pruning and quantization together."""

from __future__ import annotations

import numpy as np
import pytest

from pvq.theory.budget import mask_bits
from pvq.theory.distribution import DISTRIBUTIONS, WeightDistribution
from pvq.theory.joint import best_split, joint_point, split_curve
from pvq.theory.kept import Kept
from pvq.theory.quantizers.lloyd_max import LloydMax
from pvq.theory.snr import magnitude_threshold, pruning_snr, quantization_snr

LAWS = [
    "gaussian",
    "laplace",
    "uniform[-1,2]",
    "truncated[law=student-t[nu=2],r=20]",
    "clipped[law=gaussian,r=2]",
]


@pytest.fixture(params=LAWS)
def law(request: pytest.FixtureRequest) -> WeightDistribution:
    return DISTRIBUTIONS.build(request.param)


def test_kept_law_is_a_law(law: WeightDistribution) -> None:
    kept = Kept(law, magnitude_threshold(law, 0.4))
    cuts = np.linspace(-4, 4, 60)
    mass = kept.partial_moment(0, np.append(-np.inf, cuts), np.append(cuts, np.inf))
    assert mass.sum() == pytest.approx(1, abs=1e-12)
    assert kept.mass == pytest.approx(0.4, abs=1e-9)
    assert (mass >= 0).all()


def test_kept_quantiles_invert_its_mass(law: WeightDistribution) -> None:
    kept = Kept(law, magnitude_threshold(law, 0.4))
    p = np.linspace(0.01, 0.99, 45)
    x = kept.quantile(p)
    below = kept.partial_moment(0, np.full_like(x, -np.inf), np.nextafter(x, -np.inf))
    assert (below <= p + 1e-9).all()
    assert (kept.partial_moment(0, np.full_like(x, -np.inf), x) >= p - 1e-9).all()
    assert (np.abs(x) >= kept.tau).all()


def test_kept_moments_agree_with_draws() -> None:
    kept = Kept(DISTRIBUTIONS.build("laplace"), 1.0)
    x = kept.sample(np.random.default_rng(0), 200_000)
    error = kept.cell_error(np.array(2.0), np.array(1.0), np.array(3.0))
    drawn = np.where((x > 1) & (x <= 3), (x - 2.0) ** 2, 0.0)
    assert drawn.mean() == pytest.approx(float(error), abs=5 * drawn.std() / np.sqrt(x.size))


def test_ends_are_pure_pruning_and_pure_quantization(law: WeightDistribution) -> None:
    book = LloydMax(3).codebook(law)
    assert joint_point(law, 1.0, 3).snr_db == pytest.approx(quantization_snr(law, book), abs=1e-9)
    assert joint_point(law, 0.3, 16).snr_db == pytest.approx(pruning_snr(law, 0.3), abs=1e-6)
    assert joint_point(law, 1.0, 3).bits == 3


def test_uniform_law_by_hand() -> None:
    """Uniform on [-1, 1], half kept, 1 bit: removed 1/24, kept 1/48 about +-3/4."""
    point = joint_point(DISTRIBUTIONS.build("uniform"), 0.5, 1, "bitmap")
    assert point.bits == pytest.approx(1.5)
    assert 10 ** (-point.snr_db / 10) / 3 == pytest.approx(1 / 24 + 1 / 96, rel=1e-9)


@pytest.mark.parametrize("mask", ["free", "bitmap", "entropy"])
def test_a_split_spends_no_more_than_its_budget(mask: str) -> None:
    law = DISTRIBUTIONS.build("laplace")
    for point in split_curve(law, 3.5, mask, widths=(2, 3, 5, 16)):  # type: ignore[arg-type]
        expected = point.density * point.value_bits
        expected += mask_bits(point.density, mask) if point.density < 1 else 0  # type: ignore[arg-type]
        assert point.bits == pytest.approx(expected, abs=1e-9)
        assert point.bits <= 3.5 + 1e-9
        if point.value_bits > 3.5:
            assert point.bits == pytest.approx(3.5, abs=1e-9)


def test_best_split_by_law() -> None:
    """With a coded mask, pruning adds nothing to 4-bit levels on a Gaussian and much on heavy tails."""
    widths = (3, 4, 5, 6, 16)
    gaussian = best_split(DISTRIBUTIONS.build("gaussian"), 4, widths=widths)
    heavy = best_split(
        DISTRIBUTIONS.build("truncated[law=student-t[nu=2],r=30]"), 4, "entropy", "int", widths
    )
    assert (gaussian.density, gaussian.value_bits) == (1.0, 4)
    assert heavy.density < 0.7
    assert heavy.value_bits in (5, 6)


def test_the_best_is_on_the_curve_and_above_it() -> None:
    law = DISTRIBUTIONS.build("laplace")
    curve = split_curve(law, 2.5, widths=(1, 2, 3, 4, 16))
    assert best_split(law, 2.5, widths=(1, 2, 3, 4, 16)).snr_db == max(point.snr_db for point in curve)


def test_a_free_mask_is_worth_at_least_as_much_as_a_paid_one() -> None:
    law = DISTRIBUTIONS.build("gaussian")
    free, entropy, bitmap = (
        best_split(law, 2.5, mask, widths=(2, 3, 4, 16)).snr_db  # type: ignore[arg-type]
        for mask in ("free", "entropy", "bitmap")
    )
    assert free >= entropy >= bitmap


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda law: joint_point(law, 0.0, 4), "density must lie in"),
        (lambda law: split_curve(law, -1.0), "bits must be positive"),
        (lambda law: split_curve(law, 0.5, "bitmap", widths=(2,)), "pay for the bitmap mask"),
        (lambda law: split_curve(law, 2.0, widths=()), "widths must not be empty"),
        (lambda law: Kept(law, -1.0), "tau must be at least 0"),
        (lambda law: Kept(DISTRIBUTIONS.build("uniform"), 2.0), "leave some mass"),
    ],
)
def test_refusals(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(DISTRIBUTIONS.build("gaussian"))  # type: ignore[operator]

"""Shannon's limits, high-rate constants, entropy-coded quantization and the enclosed D(R)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from pvq.theory.distribution import DISTRIBUTIONS, variance
from pvq.theory.entropy_coded import entropy_coded, uniform_threshold
from pvq.theory.limits import (
    DB_PER_BIT,
    differential_entropy,
    entropy_coded_constant,
    gaussian_limit_db,
    high_rate_db,
    panter_dite_constant,
    shannon_constant,
    shannon_limit_db,
)
from pvq.theory.quantizers.lloyd_max import LloydMax
from pvq.theory.rate_distortion import rate_distortion
from pvq.theory.snr import quantization_snr

LAWS = [
    "gaussian[0.02]",
    "laplace",
    "logistic",
    "uniform",
    "student-t[nu=5]",
    "generalized-normal[beta=0.8]",
    "truncated[law=student-t[nu=2],r=30]",
]


def test_a_bit_is_worth_six_decibels() -> None:
    assert gaussian_limit_db(4) == pytest.approx(24.0824, abs=1e-4)
    assert pytest.approx(6.0206, abs=1e-4) == DB_PER_BIT


@pytest.mark.parametrize(
    ("spec", "shannon", "coded", "panter_dite"),
    [  # facts, E: closed forms
        ("gaussian[3]", 1.0, np.pi * np.e / 6, np.sqrt(3) * np.pi / 2),
        ("laplace[0.1]", np.e / np.pi, np.e**2 / 6, 4.5),
        ("uniform[-2,3]", 6 / (np.pi * np.e), 1.0, 1.0),
    ],
)
def test_constants_in_closed_form(spec: str, shannon: float, coded: float, panter_dite: float) -> None:
    law = DISTRIBUTIONS.build(spec)
    assert shannon_constant(law) == pytest.approx(shannon, rel=1e-9)
    assert entropy_coded_constant(law) == pytest.approx(coded, rel=1e-9)
    assert panter_dite_constant(law) == pytest.approx(panter_dite, rel=1e-9)


@pytest.mark.parametrize(
    ("constant", "offset"),
    [  # offsets in dB from 6.02 R: Gaussian Panter-Dite and ECSQ, Laplace SLB, ECSQ, Panter-Dite
        (np.sqrt(3) * np.pi / 2, -4.347),
        (np.pi * np.e / 6, -1.533),
        (np.e / np.pi, 0.628),
        (np.e**2 / 6, -0.904),
        (4.5, -6.532),
    ],
)
def test_published_offsets(constant: float, offset: float) -> None:
    assert high_rate_db(constant, 0) == pytest.approx(offset, abs=6e-4)


@pytest.mark.parametrize("spec", LAWS)
def test_entropy_moves_with_the_logarithm_of_the_unit(spec: str) -> None:
    law = DISTRIBUTIONS.build(spec)

    class Tripled:
        def partial_moment(self, order: int, lo: np.ndarray, hi: np.ndarray) -> np.ndarray:
            return 3.0**order * law.partial_moment(order, np.asarray(lo) / 3, np.asarray(hi) / 3)

        def quantile(self, p: np.ndarray) -> np.ndarray:
            return 3 * law.quantile(p)

        def density(self, x: np.ndarray) -> np.ndarray:
            return law.density(x / 3) / 3

        def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
            return 3 * law.sample(rng, n)

    tripled = Tripled()
    assert differential_entropy(tripled) - differential_entropy(law) == pytest.approx(np.log2(3), abs=1e-9)
    assert panter_dite_constant(tripled) == pytest.approx(panter_dite_constant(law), rel=1e-8)


@pytest.mark.parametrize("spec", LAWS)
def test_limits_stand_in_order(spec: str) -> None:
    law = DISTRIBUTIONS.build(spec)
    assert shannon_constant(law) <= 1 + 1e-9  # the Gaussian has the most entropy at its variance
    assert shannon_constant(law) < entropy_coded_constant(law) <= panter_dite_constant(law) * (1 + 1e-9)


def test_panter_dite_is_what_many_levels_reach() -> None:
    law = DISTRIBUTIONS.build("laplace")
    snr = quantization_snr(law, LloydMax(8).codebook(law))
    assert snr == pytest.approx(high_rate_db(panter_dite_constant(law), 8), abs=0.15)


@pytest.mark.parametrize(
    ("bits", "step", "snr"),
    [
        (1, 2.42162, 4.5800),
        (2, 1.08245, 10.5090),
        (3, 0.52243, 16.5289),
        (4, 0.25902, 22.5495),
        (5, 0.12924, 28.5701),
        (8, 0.01614, 46.6319),
    ],
)
def test_entropy_coded_gaussian(bits: int, step: float, snr: float) -> None:
    coded = entropy_coded(DISTRIBUTIONS.build("gaussian[2]"), bits)
    assert coded.step / 2 == pytest.approx(step, abs=5.1e-6)
    assert coded.snr_db == pytest.approx(snr, abs=5.1e-5)
    assert coded.bits == pytest.approx(bits, abs=1e-10)


@pytest.mark.parametrize("spec", LAWS)
def test_entropy_coded_approaches_its_constant_from_the_limit_side(spec: str) -> None:
    law = DISTRIBUTIONS.build(spec)
    coded = entropy_coded(law, 6)
    assert coded.snr_db == pytest.approx(
        high_rate_db(entropy_coded_constant(law), 6), abs=0.07
    )  # ends of a support cost
    assert coded.snr_db < shannon_limit_db(law, 6)


def test_wider_cells_have_less_entropy_and_more_error() -> None:
    law = DISTRIBUTIONS.build("laplace")
    rows = [uniform_threshold(law, step) for step in (0.1, 0.3, 1.0, 3.0)]
    assert all(a.bits > b.bits and a.distortion < b.distortion for a, b in pairwise(rows))


@pytest.mark.parametrize("bits", [0.1, 1.0, 2.0, 4.0])
def test_rate_distortion_encloses_the_gaussian_closed_form(bits: float) -> None:
    curve = rate_distortion(DISTRIBUTIONS.build("gaussian[0.3]"), bits)
    assert curve.lower <= 0.09 * 4.0**-bits <= curve.upper
    assert curve.resolution_db < 0.01


@pytest.mark.parametrize("spec", ["laplace", "uniform", "truncated[law=student-t[nu=2],r=5]"])
@pytest.mark.parametrize("bits", [0.5, 2.0])
def test_rate_distortion_lies_between_shannon_bound_and_entropy_coding(spec: str, bits: float) -> None:
    law = DISTRIBUTIONS.build(spec)
    curve = rate_distortion(law, bits)
    assert curve.resolution_db < 0.02
    assert entropy_coded(law, bits).snr_db < curve.snr_db - curve.resolution_db
    assert variance(law) / curve.upper <= 10 ** (shannon_limit_db(law, bits) / 10)


def test_rate_distortion_of_two_equal_atoms() -> None:
    """A fair sign: D(R) under squared error with real reproduction is 1 at 0 bits and near 0 at 1 bit."""
    sign = DISTRIBUTIONS.build("clipped[law=uniform[-1000,1000],r=1]")
    half = rate_distortion(sign, 0.5)
    # test channel +-1 -> +-m with crossover e, 1 - H2(e) = 1/2: e = 0.11003, posterior mean error 4 e (1 - e)
    assert half.lower <= 4 * 0.1100279 * (1 - 0.1100279) * (1 + 1e-3)
    assert half.upper <= 4 * 0.1100279 * (1 - 0.1100279) * (1 + 2e-2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gaussian_limit_db(-1), "bits must be at least 0"),
        (lambda: shannon_constant(DISTRIBUTIONS.build("student-t[nu=2]")), "finite variance"),
        (lambda: differential_entropy(DISTRIBUTIONS.build("clipped[law=gaussian,r=1]")), "density"),
        (lambda: entropy_coded(DISTRIBUTIONS.build("gaussian"), 0), "bits must be positive"),
        (lambda: uniform_threshold(DISTRIBUTIONS.build("gaussian"), 1e-9), "at most 2000000 cells"),
        (lambda: rate_distortion(DISTRIBUTIONS.build("gaussian"), np.nan), "bits must be positive"),
        (
            lambda: rate_distortion(DISTRIBUTIONS.build("gaussian"), 2, tolerance=0),
            "tolerance must be positive",
        ),
        (lambda: rate_distortion(DISTRIBUTIONS.build("student-t[nu=2.2]"), 6), "grid points"),
    ],
)
def test_refusals(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]

"""Lloyd-Max codebooks, and uniform grids beside them, against published tables."""

from __future__ import annotations

import numpy as np
import pytest

from pvq.theory.distributions.empirical import Empirical
from pvq.theory.laws import law
from pvq.theory.lloyd import centroid_shift, lloyd_max
from pvq.theory.quantizer import QUANTIZERS
from pvq.theory.snr import pruning_snr, quantization_error, quantization_snr

N01 = law("gaussian")
LAPLACE = f"laplace[b={0.5**0.5!r}]"  # variance 1
W = np.random.default_rng(3).standard_t(4, size=300)


def snr(spec: str, source_spec: str = "gaussian") -> float:
    source = law(source_spec)
    return quantization_snr(source, QUANTIZERS.build(spec).codebook(source))


GAUSSIAN_MSE = [0.36338023, 0.11748185, 0.034547761, 0.009501008, 0.0025046684, 6.4424e-4, 1.6348e-4]
GAUSSIAN_DB = [4.3964, 9.3003, 14.6158, 20.2223, 26.0125, 31.9095, 37.865]


@pytest.mark.parametrize("bits", range(1, 8))
def test_lloyd_max_of_the_gaussian(bits: int) -> None:
    """facts E [C]; Max 1960 (1 to 5 bits) and Jayant-Noll print .3634, .1175, .03454, .009497, .002499."""
    codebook = QUANTIZERS.build(f"lloyd-max[bits={bits}]").codebook(N01)
    assert quantization_error(N01, codebook) == pytest.approx(GAUSSIAN_MSE[bits - 1], rel=2e-5, abs=0)
    assert quantization_snr(N01, codebook) == pytest.approx(GAUSSIAN_DB[bits - 1], abs=5e-4)
    if bits <= 5:
        max_1960 = [0.3634, 0.1175, 0.03454, 0.009497, 0.002499]
        assert quantization_error(N01, codebook) == pytest.approx(max_1960[bits - 1], rel=2.5e-3, abs=0)


@pytest.mark.parametrize(
    ("spec", "source", "published"),
    [
        ("int[grid=mid-rise,bits={}]", "gaussian", [4.40, 9.25, 14.27, 19.38, 24.57, 29.83, 35.13]),
        ("lloyd-max[bits={}]", "gaussian", [4.40, 9.30, 14.62, 20.22, 26.02, 31.89, 37.81]),
        ("int[grid=mid-rise,bits={}]", LAPLACE, [3.01, 7.07, 11.44, 15.96, 20.60, 25.36, 30.23]),
        ("lloyd-max[bits={}]", LAPLACE, [3.01, 7.54, 12.64, 18.13, 23.87, 29.74, 35.69]),
    ],
)
def test_jayant_and_noll(spec: str, source: str, published: list[float]) -> None:
    """facts E, Jayant and Noll 1984: uniform and pdf-optimised; 0.01 dB up to 5 bits, then 0.06."""
    for bits, value in enumerate(published, start=1):
        assert snr(spec.format(bits), source) == pytest.approx(value, abs=0.011 if bits <= 5 else 0.06), bits


def test_gap_to_shannon_at_four_bits() -> None:
    """facts E [C]: a Gaussian at R bits allows 20 R log10(2) dB."""
    limit = 80 * np.log10(2)
    assert limit - snr("int[bits=4]") == pytest.approx(4.82, abs=6e-3)
    assert limit - snr("lloyd-max[bits=4]") == pytest.approx(3.86, abs=6e-3)
    assert limit - pruning_snr(N01, 0.25) == pytest.approx(18.5, abs=6e-2)


@pytest.mark.parametrize(
    "spec", ["gaussian", "clipped[law=student-t[nu=2],r=100]", "mixture[laws=gaussian;uniform,weights=1;1]"]
)
@pytest.mark.parametrize("count", [1, 3, 16, 100])
def test_lloyd_max_is_stationary(spec: str, count: int) -> None:
    assert centroid_shift(law(spec), lloyd_max(law(spec), count)) <= 1e-9


def test_lloyd_max_of_a_tensor() -> None:
    codebook = lloyd_max(Empirical(W), 16)
    nearest = codebook.index(np.sort(W))
    means = [np.sort(W)[nearest == k].mean() for k in np.unique(nearest)]
    assert codebook.levels[np.unique(nearest)] == pytest.approx(means, rel=1e-8, abs=0)
    assert lloyd_max(Empirical(np.array([3.0, 1.0, 3.0])), 16).levels.tolist() == [1.0, 3.0]


def test_lloyd_max_beats_every_scaled_format_of_as_many_levels() -> None:
    best = snr("lloyd-max[bits=4]")
    assert all(
        snr(spec) < best for spec in ("int", "nf4", "apot", "pot", "float[exponent=2,mantissa=1]", "affine")
    )

"""Number formats: laws over the registry, then level sets and SNRs whose origin is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pvq.errors import PvqError, SpecError
from pvq.theory.codebook import Codebook
from pvq.theory.distribution import WeightDistribution
from pvq.theory.distributions.empirical import Empirical
from pvq.theory.laws import law
from pvq.theory.pruning import natural_sparsity
from pvq.theory.quantizer import QUANTIZERS, has_free_bits, with_bits
from pvq.theory.quantizers.apot import AdditivePowersOfTwo, apot_magnitudes
from pvq.theory.quantizers.float import float_magnitudes
from pvq.theory.scale import aciq_clip, best_scale
from pvq.theory.snr import quantization_error, quantization_snr

N01 = law("gaussian")
LAPLACE = law(f"laplace[b={0.5**0.5!r}]")
every_format = pytest.mark.parametrize("name", QUANTIZERS.classes())
SCALED = [name for name, cls in QUANTIZERS.classes().items() if "scale" in cls.__dataclass_fields__]
W = np.random.default_rng(3).standard_t(4, size=300)


def snr(spec: str, source_spec: str = "gaussian") -> float:
    source = law(source_spec)
    return quantization_snr(source, QUANTIZERS.build(spec).codebook(source))


@every_format
def test_no_more_levels_than_bits_allow(name: str) -> None:
    quantizer = QUANTIZERS.build(name)
    for source in (N01, W):
        levels = quantizer.codebook(source).levels
        assert 2 ** (quantizer.bits - 1) < levels.size <= 2**quantizer.bits
        assert (np.diff(levels) > 0).all()


@every_format
def test_scaled_weights_have_a_scaled_error(name: str) -> None:
    """Not the same levels: to a float format, a shift of all exponents may make no difference."""
    for source, scaled in ((N01, law("gaussian[sigma=0.02]")), (Empirical(W), Empirical(0.02 * W))):
        errors = [quantization_error(x, QUANTIZERS.build(name).codebook(x)) for x in (source, scaled)]
        assert errors[1] == pytest.approx(0.02**2 * errors[0], rel=1e-9, abs=0)


@pytest.mark.parametrize("name", SCALED)
def test_no_other_scale_beats_the_least_error(name: str) -> None:
    for source in (N01, Empirical(W)):
        codebook = QUANTIZERS.build(name).codebook(source)
        best = quantization_error(source, codebook)
        for factor in np.geomspace(0.05, 20, 60):
            other = dataclasses.replace(codebook, levels=factor * codebook.levels)
            assert quantization_error(source, other) >= best * (1 - 1e-9)


@every_format
def test_a_law_and_a_large_sample_of_it_agree(name: str) -> None:
    sample = Empirical(N01.quantile((np.arange(20_000) + 0.5) / 20_000))
    quantizer = QUANTIZERS.build(name)
    of_law, of_sample = (quantization_snr(source, quantizer.codebook(source)) for source in (N01, sample))
    assert of_sample == pytest.approx(of_law, abs=0.02)


@every_format
def test_a_tensor_of_zeros_is_refused_in_one_line(name: str) -> None:
    with pytest.raises((ValueError, PvqError)) as caught:
        quantization_snr(Empirical(np.zeros(5)), QUANTIZERS.build(name).codebook(np.zeros(5)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("nf4", 20.044),
        ("float[exponent=2,mantissa=1]", 18.967),
        ("float[exponent=3,mantissa=0]", 14.231),
        ("apot", 19.172),
        ("float[exponent=2,mantissa=3]", 30.814),
        ("float[exponent=3,mantissa=2]", 25.581),
        ("float[exponent=2,mantissa=5]", 42.666),
        ("float[exponent=3,mantissa=4]", 37.565),
        ("float[exponent=4,mantissa=3]", 31.557),
        ("float[exponent=5,mantissa=2]", 25.582),
        ("int[bits=8]", 40.570),
    ],
)
def test_formats_on_a_gaussian(spec: str, expected: float) -> None:
    """facts E [C]: N(0, 1), one scale of least error."""
    assert snr(spec) == pytest.approx(expected, abs=6e-4)


def test_apot_scale_of_the_gaussian() -> None:
    """facts D [C]: 15 levels, alpha = 2.628."""
    assert QUANTIZERS.build("apot").codebook(N01).scale == pytest.approx(2.628, abs=5e-4)


def test_apot_level_sets() -> None:
    """facts D [V], the authors' code: 4-bit weights and 4-bit activations."""
    weights = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1])
    assert apot_magnitudes(3) == pytest.approx(weights, abs=1e-15)
    assert AdditivePowersOfTwo(4).unit_levels() == pytest.approx(np.r_[-weights[:0:-1], weights], abs=1e-15)
    a, b = [0, 1 / 2, 1 / 8, 1 / 32], [0, 1 / 4, 1 / 16, 1 / 64]
    activations = np.sort(np.add.outer(a, b).ravel()) / 0.75
    assert AdditivePowersOfTwo(4, signed=False).unit_levels() == pytest.approx(activations, abs=1e-15)
    assert activations[[1, 7, 14]] == pytest.approx([0.0208333, 0.1875, 0.75], abs=5e-8)


@pytest.mark.parametrize("bits", range(1, 9))
def test_apot_has_all_its_levels(bits: int) -> None:
    assert apot_magnitudes(bits).size == 2**bits


def test_apot_of_five_magnitude_bits() -> None:
    """The authors' code for B = 5: a, b of two bits and c = {0, 2^-5}."""
    a, b, c = [0, 2**-1, 2**-3, 2**-6], [0, 2**-2, 2**-4, 2**-7], [0, 2**-5]
    sums = np.unique(np.add.outer(np.add.outer(a, b), c))
    assert apot_magnitudes(5) == pytest.approx(sums / sums.max(), abs=1e-15)


@pytest.mark.parametrize(
    ("exponent", "mantissa", "reserved", "largest", "smallest"),
    [
        (4, 3, 1, 448.0, 2.0**-9),
        (5, 2, 4, 57344.0, 2.0**-16),
        (2, 1, 0, 6.0, 0.5),
        (2, 3, 0, 7.5, 0.125),
        (3, 2, 0, 28.0, 0.0625),
    ],
)
def test_float_formats_of_the_ocp(
    exponent: int, mantissa: int, reserved: int, largest: float, smallest: float
) -> None:
    """OCP Microscaling Formats v1.0, tables 1 to 5: largest value and smallest subnormal."""
    size = float_magnitudes(exponent, mantissa, reserved)
    assert (size[0], size[1], size[-1]) == (0.0, smallest, largest)
    assert size.size == 2 ** (exponent + mantissa) - reserved


def test_float_matches_ieee_half_precision_rules() -> None:
    """E5M2 without its reserved codes is every finite float16 whose last eight mantissa bits are zero."""
    halves = (np.arange(0x7C, dtype=np.uint16) << 8).view(np.float16).astype(np.float64)
    assert float_magnitudes(5, 2, reserved=4).tolist() == halves.tolist()


def test_float_without_exponent_is_the_symmetric_integer_grid() -> None:
    assert snr("float[exponent=0,mantissa=3]") == pytest.approx(snr("int[bits=4,grid=symmetric]"), abs=1e-9)


def test_aciq_clipping_values() -> None:
    """facts E [C], as published by Banner et al. (arXiv 1810.05723): 2 to 8 bits, Gaussian."""
    published = [1.71063515, 2.15159273, 2.55913650, 2.93620053, 3.28691416, 3.61511, 3.92403]
    assert [aciq_clip(bits) for bits in range(2, 9)] == pytest.approx(published, abs=6e-6)
    assert [aciq_clip(bits) for bits in range(2, 7)] == pytest.approx(published[:5], abs=1e-7)


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_full_load_of_a_uniform_law(bits: int) -> None:
    """facts E: 4.77 + 6.02 b - 20 log10(crest) for 2^b levels; the crest of a uniform law is sqrt 3."""
    expected = 10 * np.log10(3) + 20 * bits * np.log10(2) - 20 * np.log10(3**0.5)
    assert snr(f"int[bits={bits},grid=mid-rise,scale=absmax]", "uniform") == pytest.approx(expected, abs=1e-9)


def test_integer_levels() -> None:
    grids = {grid: QUANTIZERS.build(f"int[bits=3,grid={grid},scale=1]") for grid in
             ("twos-complement", "symmetric", "mid-rise")}  # fmt: skip
    assert grids["twos-complement"].codebook(N01).levels.tolist() == [-4, -3, -2, -1, 0, 1, 2, 3]
    assert grids["symmetric"].codebook(N01).levels.tolist() == [-3, -2, -1, 0, 1, 2, 3]
    assert grids["mid-rise"].codebook(N01).levels.tolist() == [-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5]


def test_weights_without_a_negative_value_get_an_unsigned_grid() -> None:
    """facts A1 [V]: int_min = 0 and int_max = 2^n - 1 if no value is negative."""
    levels = QUANTIZERS.build("int[bits=2,scale=absmax]").codebook(np.array([0.0, 1.0, 6.0])).levels
    assert levels.tolist() == [0, 2, 4, 6]
    levels = QUANTIZERS.build("int[bits=2,scale=absmax,unsigned=never]").codebook(np.array([0.0, 6.0])).levels
    assert levels.tolist() == [-12, -6, 0, 6]
    assert QUANTIZERS.build("int[bits=2,scale=1]").codebook(law("uniform[low=0,high=3]")).levels[0] == 0


def test_ranges() -> None:
    w = np.array([-8.0, *np.linspace(0, 1, 999)])
    absmax = QUANTIZERS.build("int[scale=absmax]").codebook(w)
    assert absmax.scale == pytest.approx(8 / 7)  # max |w| / 7, so that -8 s goes further (facts A1 [V])
    cut = QUANTIZERS.build("int[scale=percentile,percentile=99.9]").codebook(w)
    assert cut.scale == pytest.approx(1 / 7)  # 999 of 1000 magnitudes are at most 1
    mirrored = QUANTIZERS.build("int[scale=percentile,percentile=99.9]").codebook(-w)
    assert mirrored.scale == pytest.approx(1 / 7)


def test_affine_zero_point() -> None:
    spanning = QUANTIZERS.build("affine[bits=4,scale=absmax]").codebook(np.array([-1.0, 0.3, 4.0]))
    assert spanning.scale == pytest.approx(1 / 3)
    assert (spanning.levels[0], spanning.levels[-1]) == pytest.approx((-1, 4))
    assert 0.0 in spanning.levels


@pytest.mark.parametrize(("negative", "share"), [(-1, 0.2), (-4, 0.002), (-9, 0.5)])
def test_affine_finds_the_best_of_all_zero_points(negative: float, share: float) -> None:
    shifted = law(f"mixture[laws=uniform[low={negative},high=0];uniform[low=0,high=1],weights={share};1]")
    best = quantization_error(shifted, QUANTIZERS.build("affine").codebook(shifted))
    tried = [_affine_error(shifted, zero) for zero in range(16)]
    assert best == pytest.approx(min(tried), rel=1e-9, abs=0)


def _affine_error(source: WeightDistribution, zero: int) -> float:
    unit = np.arange(16.0) - zero
    return quantization_error(source, Codebook(best_scale(source, unit) * unit))


def test_power_of_two_levels() -> None:
    levels = QUANTIZERS.build("pot[bits=4,scale=1]").codebook(N01).levels
    powers = [2.0**-i for i in range(7)]
    assert levels.tolist() == [*(-x for x in powers), 0, *powers[::-1]]


def test_natural_sparsity_needs_a_level_at_zero() -> None:
    assert natural_sparsity(N01, QUANTIZERS.build("int[grid=mid-rise]").codebook(N01)) == 0


def test_bits_in_specs() -> None:
    assert with_bits("int[5]", 5) == "int[5]"
    assert with_bits("lloyd-max", 3.0) == "lloyd-max[bits=3]"
    assert has_free_bits("apot")
    assert not has_free_bits("int[5]")
    for spec, bits in (("nf4", 3), ("float", 4), ("int[bits=4]", 5), ("int", 3.5), ("int", 40)):
        with pytest.raises(SpecError, match="bits"):
            with_bits(spec, bits)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("int[bits=1]", "bits must be an integer from 2 to 16, got 1"),
        ("int[scale=0]", "scale must be positive and lie in .*, got 0.0"),
        ("int[scale=best]", "scale"),
        ("int[percentile=0]", r"percentile must lie in \(0, 100\], got 0.0"),
        ("apot[bits=9]", "bits must be an integer from 2 to 8, got 9"),
        ("pot[bits=1]", "bits must be an integer from 2 to 8, got 1"),
        ("affine[bits=0]", "bits must be an integer from 1 to 16, got 0"),
        ("lloyd-max[bits=0]", "bits must be an integer from 1 to 10, got 0"),
        ("float[exponent=6,mantissa=2]", "together 2 to 7 bits, got exponent=6, mantissa=2"),
        ("float[reserved=127]", "reserved must leave one magnitude besides zero, got 127"),
        ("nf4[bits=4]", "has no option 'bits'"),
    ],
)
def test_refusals(spec: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        QUANTIZERS.build(spec)


@pytest.mark.parametrize("spec", ["int[scale=absmax]", "affine[scale=absmax]", "nf4[scale=absmax]"])
def test_the_range_of_an_unbounded_law_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="must find a positive finite range"):
        QUANTIZERS.build(spec).codebook(N01)

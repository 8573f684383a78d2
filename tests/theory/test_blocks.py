"""Block formats: expected SNR against tables, draws and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from pvq.theory.block import BLOCK_FORMATS, BlockFormat, block_error, block_snr_db, quantize_blocks
from pvq.theory.blocks._scales import E4M3, e4m3
from pvq.theory.distribution import DISTRIBUTIONS

GAUSSIAN = DISTRIBUTIONS.build("gaussian")
NAMES = sorted(BLOCK_FORMATS.classes())

# facts, E: Monte Carlo with 2M draws of N(0, 1), dB at blocks of 16, 32, 64, 128
PUBLISHED = {
    "nf4": (21.85, 21.18, 20.73, 20.39),
    "int[4]": (21.39, 20.26, 19.36, 18.61),
    "int[8]": (46.56, 45.43, 44.53, 43.79),
    "mxfp4": (18.58, 18.79, 18.93, 18.96),
    "nvfp4": (20.44, 19.86, 19.50, 19.25),
    "mxint8": (42.78, 41.66, 41.01, 40.80),
}


def at_block(spec: str, block: int) -> BlockFormat:
    name, _, inside = spec.rstrip("]").partition("[")
    return BLOCK_FORMATS.build(f"{name}[{inside + ',' if inside else ''}block={block}]")


@pytest.mark.parametrize("spec", PUBLISHED)
def test_tables_drawn_by_monte_carlo(spec: str) -> None:
    for block, expected in zip((16, 32, 64, 128), PUBLISHED[spec], strict=True):
        # 2M draws: the SNR's standard error is below 0.003 dB, the last printed place is 0.005 dB
        assert block_snr_db(GAUSSIAN, at_block(spec, block)) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "spec", ["laplace", "uniform[-1,3]", "clipped[law=student-t[nu=2],r=5]", "truncated[law=gaussian,r=1.5]"]
)
def test_quadrature_agrees_with_draws(name: str, spec: str) -> None:
    law, fmt = DISTRIBUTIONS.build(spec), BLOCK_FORMATS.build(f"{name}[block=8]")
    w = law.sample(np.random.default_rng(7), 400_000).reshape(-1, 8)
    errors = ((w - quantize_blocks(w, fmt)) ** 2).mean(axis=1)
    assert block_error(law, fmt) == pytest.approx(errors.mean(), abs=5 * errors.std() / np.sqrt(errors.size))


class Lopsided:
    """Levels that represent +amax and not -amax."""

    block = 4
    bits = 2.0
    levels = np.array([-0.5, 0.0, 1.0])

    def scale(self, amax: np.ndarray) -> np.ndarray:
        return amax

    def jumps(self) -> None:
        return None


def test_the_sign_of_the_largest_weight_counts() -> None:
    law, fmt = DISTRIBUTIONS.build("uniform[-2,3]"), Lopsided()
    w = law.sample(np.random.default_rng(7), 400_000).reshape(-1, 4)
    errors = ((w - quantize_blocks(w, fmt)) ** 2).mean(axis=1)
    assert block_error(law, fmt) == pytest.approx(errors.mean(), abs=5 * errors.std() / np.sqrt(errors.size))


@pytest.mark.parametrize("spec", PUBLISHED)
def test_a_block_of_one_weight(spec: str) -> None:
    """The weight is its own maximum: absmax formats lose nothing, others what the scale costs."""
    fmt = at_block(spec, 1)
    error = block_error(GAUSSIAN, fmt)
    if fmt.jumps() is None:
        assert error <= 1e-20
    else:
        x = GAUSSIAN.quantile((np.arange(200_000) + 0.5) / 200_000)[:, None]
        assert error == pytest.approx(float(np.mean((x - quantize_blocks(x, fmt)) ** 2)), rel=1e-3)


@pytest.mark.parametrize("name", ["int", "nf4"])
def test_absmax_formats_have_no_unit(name: str) -> None:
    fmt = BLOCK_FORMATS.build(name)
    assert block_snr_db(DISTRIBUTIONS.build("gaussian[1e-4]"), fmt) == pytest.approx(
        block_snr_db(GAUSSIAN, fmt)
    )


@pytest.mark.parametrize("name", ["mxfp4", "mxint8"])
def test_power_of_two_scales_repeat_with_the_octave(name: str) -> None:
    fmt = BLOCK_FORMATS.build(name)
    small = block_snr_db(DISTRIBUTIONS.build(f"gaussian[{2.0**-9}]"), fmt)
    assert small == pytest.approx(block_snr_db(GAUSSIAN, fmt), abs=1e-9)


def test_tensor_scale_moves_with_the_unit() -> None:
    small = block_snr_db(
        DISTRIBUTIONS.build("gaussian[0.02]"), BLOCK_FORMATS.build("nvfp4[tensor_scale=0.02]")
    )
    assert small == pytest.approx(block_snr_db(GAUSSIAN, BLOCK_FORMATS.build("nvfp4")), abs=1e-9)


@pytest.mark.parametrize(
    ("spec", "bits"),
    [
        ("mxfp4", 4.25),
        ("nvfp4", 4.5),
        ("nf4", 4.25),
        ("int[4]", 4.5),
        ("int[8,128,8]", 8.0625),
        ("mxint8", 8.25),
    ],
)
def test_bits_count_the_scale(spec: str, bits: float) -> None:
    assert BLOCK_FORMATS.build(spec).bits == bits


@pytest.mark.parametrize("name", NAMES)
def test_rounding_keeps_shape_zero_blocks_and_fixed_points(name: str) -> None:
    fmt = BLOCK_FORMATS.build(f"{name}[block=4]")
    w = np.random.default_rng(0).normal(size=(3, 5, 10))  # the last block of a row is short
    w[0, 0] = 0.0
    once = quantize_blocks(w, fmt)
    assert once.shape == w.shape
    assert (once[0, 0] == 0).all()
    tail = quantize_blocks(w[..., 8:], fmt)
    np.testing.assert_array_equal(once[..., 8:], tail)


@pytest.mark.parametrize("name", NAMES)
def test_scales_jump_exactly_where_they_say(name: str) -> None:
    fmt = BLOCK_FORMATS.build(name)
    jumps = fmt.jumps()
    if jumps is None:
        assert fmt.scale(np.array([2.0]))[0] == pytest.approx(2 * fmt.scale(np.array([1.0]))[0])
        return
    inside = np.sqrt(jumps[:-1] * jumps[1:])
    np.testing.assert_array_equal(fmt.scale(jumps[:-1] * (1 + 1e-9)), fmt.scale(inside))
    np.testing.assert_array_equal(fmt.scale(jumps[1:] * (1 - 1e-9)), fmt.scale(inside))


def test_mxfp4_by_hand() -> None:
    """OCP MX v1.0: amax 7 has exponent 2, scale 1; 7 clips to 6; 2.5 is a tie, which goes down."""
    np.testing.assert_array_equal(
        quantize_blocks([7.0, -2.5, 0.3, 0.2], BLOCK_FORMATS.build("mxfp4")), [6.0, -3.0, 0.5, 0.0]
    )


def test_e4m3_numbers() -> None:
    assert (E4M3.size, E4M3[1], E4M3[8], E4M3[-1]) == (127, 2.0**-9, 2.0**-6, 448.0)
    np.testing.assert_array_equal(e4m3(E4M3), E4M3)
    ties = 0.5 * (E4M3[1:] + E4M3[:-1])
    even = np.searchsorted(E4M3, e4m3(ties)) % 2
    assert (even == 0).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: BLOCK_FORMATS.build("mxfp4[block=0]"), "block must be at least 1"),
        (lambda: BLOCK_FORMATS.build("int[1]"), "element_bits must lie in"),
        (lambda: BLOCK_FORMATS.build("nvfp4[tensor_scale=0]"), "tensor_scale must be positive"),
        (lambda: BLOCK_FORMATS.build("nf4[scale_bits=-1]"), "scale_bits must be at least 0"),
        (
            lambda: block_error(DISTRIBUTIONS.build("student-t[nu=2]"), BLOCK_FORMATS.build("int")),
            "second moment",
        ),
        (lambda: quantize_blocks(3.0, BLOCK_FORMATS.build("int")), "at least one dimension"),
        (lambda: block_snr_db(np.zeros(4), BLOCK_FORMATS.build("int")), "signal_power"),
    ],
)
def test_refusals(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]

"""Every SNR to a relative 1e-9 against the same sum over cells in closed form at 50 digits."""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp
import pytest

from pvq.theory.cells import cell_error
from pvq.theory.codebook import Codebook
from pvq.theory.laws import law
from pvq.theory.quantizer import QUANTIZERS
from pvq.theory.snr import magnitude_threshold, pruning_error, quantization_error, quantization_snr

Moments = Callable[[mp.mpf], tuple[mp.mpf, mp.mpf, mp.mpf]]  # antiderivatives of p, x p and x^2 p


def gaussian(x: mp.mpf) -> tuple[mp.mpf, mp.mpf, mp.mpf]:
    cdf, pdf = mp.erf(x / mp.sqrt(2)) / 2, mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)
    return cdf, -pdf, cdf - (x * pdf if mp.isfinite(x) else 0)


def laplace(x: mp.mpf) -> tuple[mp.mpf, mp.mpf, mp.mpf]:
    if not mp.isfinite(x):
        return mp.sign(x) / 2, mp.mpf(0), mp.sign(x)
    a, tail = abs(x), mp.exp(-abs(x)) / 2
    return mp.sign(x) * (mp.mpf("0.5") - tail), -(1 + a) * tail, mp.sign(x) * (1 - (a * a + 2 * a + 2) * tail)


def student_2(x: mp.mpf) -> tuple[mp.mpf, mp.mpf, mp.mpf]:
    x = max(min(x, mp.mpf(100)), mp.mpf(-100))
    root, mass = mp.sqrt(2 + x * x), 100 / mp.sqrt(2 + mp.mpf(100) ** 2)
    return x / (2 * root) / mass, -1 / root / mass, (mp.asinh(x / mp.sqrt(2)) - x / root) / mass


def generalized(x: mp.mpf) -> tuple[mp.mpf, mp.mpf, mp.mpf]:
    """beta = 3/2."""
    y = abs(x) ** mp.mpf("1.5")
    body = [mp.gammainc(mp.mpf(2 * (k + 1)) / 3, 0, y) / (2 * mp.gamma(mp.mpf(2) / 3)) for k in range(3)]
    return mp.sign(x) * body[0], body[1], mp.sign(x) * body[2]


CASES: dict[str, Moments] = {
    "gaussian": gaussian,
    "laplace": laplace,
    "truncated[law=student-t[nu=2],r=100]": student_2,
    "generalized-normal[beta=1.5]": generalized,
}


def exact_error(moments: Moments, codebook: Codebook) -> tuple[mp.mpf, mp.mpf]:
    """Return error and signal power at 50 digits for the very levels and edges of `codebook`."""
    at = [moments(mp.mpf(float(edge))) for edge in codebook.edges]
    total = mp.mpf(0)
    for level, low, high in zip(codebook.levels, at, at[1:], strict=False):
        u = mp.mpf(float(level))
        m0, m1, m2 = (b - a for a, b in zip(low, high, strict=True))
        total += m2 - 2 * u * m1 + u * u * m0
    return total, at[-1][2] - at[0][2]


QUANTIZED = [
    *((spec, f"int[bits={bits}]") for spec in CASES for bits in (2, 3, 4, 5, 6, 8)),
    *((spec, f"int[bits={bits}]") for spec in CASES if "generalized" not in spec for bits in (10, 12)),
    *(
        (spec, f"{kind}[bits={bits},scale=0.7]")
        for spec in CASES
        for kind in ("int", "apot")
        for bits in (4, 7)
    ),
]


@pytest.mark.parametrize(("spec", "quantizer"), QUANTIZED)
def test_quantization_snr_against_50_digits(spec: str, quantizer: str) -> None:
    codebook = QUANTIZERS.build(quantizer).codebook(law(spec))
    with mp.workdps(50):
        error, power = exact_error(CASES[spec], codebook)
        snr = float(10 * mp.log10(power / error))
    assert quantization_error(law(spec), codebook) == pytest.approx(float(error), rel=1e-9, abs=0)
    assert quantization_snr(law(spec), codebook) == pytest.approx(snr, rel=1e-9, abs=0)


@pytest.mark.parametrize("bits", [14, 16])
def test_sixteen_bits_still_keep_nine_digits(bits: int) -> None:
    """Narrow cells one by one: the whole sum at 50 digits would take minutes."""
    step, law_ = 8 / 2**bits, law("gaussian")
    for level in (0.3, 1.7, 3.9):
        lo, hi = level - step / 2, level + step / 2
        with mp.workdps(50):
            a, b, u = gaussian(mp.mpf(lo)), gaussian(mp.mpf(hi)), mp.mpf(level)
            m0, m1, m2 = (y - x for x, y in zip(a, b, strict=True))
            exact = float(m2 - 2 * u * m1 + u * u * m0)
        assert float(cell_error(law_, level, lo, hi)) == pytest.approx(exact, rel=1e-10, abs=0)


@pytest.mark.parametrize("density", [1e-4, 0.1, 0.25, 0.5, 0.999, 1 - 1e-6])
@pytest.mark.parametrize("spec", CASES)
def test_pruning_error_against_50_digits(spec: str, density: float) -> None:
    tau = magnitude_threshold(law(spec), density)
    with mp.workdps(50):
        low, high = CASES[spec](mp.mpf(-tau)), CASES[spec](mp.mpf(tau))
        removed = high[0] - low[0]
        exact = high[2] - low[2] + mp.mpf(tau) ** 2 * (1 - mp.mpf(density) - removed)
        assert float(removed) == pytest.approx(1 - density, rel=1e-9, abs=0)
    assert pruning_error(law(spec), density) == pytest.approx(float(exact), rel=1e-9, abs=0)

"""N:M patterns, masks and natural sparsity."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from pvq.theory.budget import Budget, density_at, mask_bits, n_of_m_mask_bits
from pvq.theory.laws import as_law, law
from pvq.theory.pruning import corrected_density, n_of_m_error, n_of_m_snr, natural_sparsity
from pvq.theory.quantizer import QUANTIZERS
from pvq.theory.snr import pruning_error, pruning_snr, signal_power


def brute_force(values: np.ndarray, n: int, m: int) -> float:
    """Mean over all equally likely groups of m values, drawn independently."""
    groups = np.sort(np.array(list(product(values**2, repeat=m))), axis=1)
    return float(groups[:, : m - n].sum() / (groups.shape[0] * m))


@pytest.mark.parametrize(("n", "m"), [(1, 2), (2, 4), (1, 4), (3, 4), (4, 4)])
def test_n_of_m_of_atoms_against_all_groups(n: int, m: int) -> None:
    values = np.array([-1.0, 0.0, 0.3, 2.0, -2.0, 5.0])
    assert n_of_m_error(as_law(values), n, m) == pytest.approx(
        brute_force(values, n, m), rel=1e-12, abs=1e-15
    )


@pytest.mark.parametrize(("n", "m"), [(1, 2), (2, 4), (1, 4), (4, 8), (1, 16)])
def test_n_of_m_of_a_uniform_law_in_closed_form(n: int, m: int) -> None:
    """The j-th smallest of m uniform numbers has E U^2 = j (j + 1) / ((m + 1)(m + 2))."""
    exact = sum(j * (j + 1) / ((m + 1) * (m + 2)) for j in range(1, m - n + 1)) / m
    assert n_of_m_error(law("uniform"), n, m) == pytest.approx(exact, rel=1e-10, abs=0)


@pytest.mark.parametrize("spec", ["gaussian", "laplace", "clipped[law=gaussian,r=1]", "student-t[nu=2.5]"])
def test_n_of_m_of_a_law_against_its_quantiles(spec: str) -> None:
    source = law(spec)
    atoms = as_law(source.quantile((np.arange(40_000) + 0.5) / 40_000))
    assert n_of_m_error(source, 2, 4) == pytest.approx(n_of_m_error(atoms, 2, 4), rel=2e-4, abs=0)


def test_two_of_four_on_a_gaussian_against_samples() -> None:
    """2:4 loses against free choice of the same share, and wins over half of the weights at random."""
    w = np.sort(np.random.default_rng(0).normal(size=(200_000, 4)) ** 2, axis=1)[:, :2].sum(axis=1) / 4
    found = n_of_m_error(law("gaussian"), 2, 4)
    assert found == pytest.approx(w.mean(), abs=5 * w.std() / 200_000**0.5)
    assert pruning_snr(law("gaussian"), 0.5) > n_of_m_snr(law("gaussian"), 2, 4) > 10 * np.log10(2)


def test_large_groups_approach_free_choice() -> None:
    source = law("laplace")
    errors = [n_of_m_error(source, m // 4, m) for m in (4, 16, 64, 256)]
    assert all(np.diff(errors) < 0)
    assert errors[-1] == pytest.approx(pruning_error(source, 0.25), rel=0.02, abs=0)


@pytest.mark.parametrize(("n", "m"), [(0, 4), (5, 4)])
def test_impossible_patterns_are_refused(n: int, m: int) -> None:
    for call in (lambda: n_of_m_error(law("gaussian"), n, m), lambda: n_of_m_mask_bits(n, m)):
        with pytest.raises(ValueError, match=f"got n={n}, m={m}"):
            call()


def test_natural_sparsity_and_corrected_density() -> None:
    """facts A3 [C]: P(0) = .1344 at 4 bits; facts A1 [V]: corrected density (1 - P0) b / 16."""
    source = law("gaussian")
    codebook = QUANTIZERS.build("int[bits=4]").codebook(source)
    assert natural_sparsity(source, codebook) == pytest.approx(0.1344, abs=5e-5)
    assert corrected_density(source, codebook, 4) == pytest.approx((1 - 0.1344) / 4, abs=2e-5)
    with pytest.raises(ValueError, match=r"bits must lie in \(0, 16\], got 17"):
        corrected_density(source, codebook, 17)


def test_masks() -> None:
    assert [mask_bits(0.25, mask) for mask in ("free", "bitmap")] == [0.0, 1.0]
    assert mask_bits(0.25, "entropy") == pytest.approx(2 - 0.75 * np.log2(3))
    assert (mask_bits(0.0, "entropy"), mask_bits(1.0, "entropy")) == (0.0, 0.0)
    assert n_of_m_mask_bits(2, 4) == pytest.approx(np.log2(6) / 4)
    assert n_of_m_mask_bits(4, 4) == 0


@pytest.mark.parametrize("value_bits", [4.0, 8.0, 16.0])
@pytest.mark.parametrize("bits", [0.01, 1.5, 3.9, 7.999, 15.9999])
def test_the_entropy_coded_density_spends_the_budget(bits: float, value_bits: float) -> None:
    density = density_at(bits, "entropy", value_bits)
    if bits < value_bits:
        assert value_bits * density + mask_bits(density, "entropy") == pytest.approx(bits, rel=1e-12, abs=0)
    else:
        assert density == 1.0


def test_budgets() -> None:
    assert Budget(4).density == density_at(4) == 0.25
    assert density_at(16, "bitmap") == 1.0  # all weights kept: no mask
    assert density_at(1.0, "bitmap") == 0.0
    with pytest.raises(ValueError, match="bits must be at least 1 to pay for a bitmap"):
        density_at(0.5, "bitmap")
    with pytest.raises(ValueError, match="bits must be positive and finite"):
        density_at(0)
    with pytest.raises(ValueError, match="mask must be free, bitmap or entropy, got 'csr'"):
        mask_bits(0.5, "csr")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"density must lie in \[0, 1\], got 2"):
        mask_bits(2, "free")
    assert signal_power(law("gaussian")) == pytest.approx(1.0)

"""Errors of both camps: laws, atoms, limits and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvq.theory.codebook import Codebook
from pvq.theory.distributions.empirical import Empirical
from pvq.theory.laws import as_law, law
from pvq.theory.quadrature import integrate
from pvq.theory.snr import (
    magnitude_threshold,
    pruning_error,
    pruning_snr,
    quantization_error,
    quantization_snr,
    signal_power,
    snr_db,
)

LAWS = [
    "gaussian",
    "laplace",
    "logistic",
    "student-t[nu=3]",
    "uniform[low=-1,high=4]",
    "generalized-normal[beta=0.5]",
    "clipped[law=student-t[nu=1],r=3]",
    "mixture[laws=gaussian;uniform[low=0,high=9],weights=1;1]",
]
W = np.random.default_rng(5).standard_t(3, size=400)


@pytest.mark.parametrize("spec", LAWS)
def test_more_levels_or_more_weights_never_hurt(spec: str) -> None:
    source = law(spec)
    coarse = np.array([-3.0, -1.0, 0.0, 2.0])
    fine = np.union1d(coarse, [-0.4, 5.0])
    assert quantization_error(source, Codebook(fine)) <= quantization_error(source, Codebook(coarse))
    errors = [pruning_error(source, density) for density in np.linspace(0, 1, 21)]
    assert all(np.diff(errors) <= 1e-15)
    assert errors[0] == pytest.approx(signal_power(source), rel=1e-14, abs=0)
    assert errors[-1] == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("spec", LAWS)
def test_the_threshold_leaves_the_density(spec: str) -> None:
    source = law(spec)
    for density in (1e-6, 0.1, 0.5, 0.9, 1.0):
        tau = magnitude_threshold(source, density)
        outside = [source.partial_moment(0, np.array([-np.inf, t]), np.array([-t, np.inf])).sum()
                   for t in (np.nextafter(tau, np.inf) + 1e-9, max(tau - 1e-9, 0))]  # fmt: skip
        assert outside[0] <= density + 1e-12
        assert tau == 0 or outside[1] >= density - 1e-12


def test_pruning_without_removal_and_rounding_without_error_are_infinite_db() -> None:
    assert pruning_snr(law("gaussian"), 1.0) == np.inf
    atoms = as_law(np.array([-1.0, 2.0, 2.0]))
    assert quantization_snr(atoms, Codebook(np.array([-1.0, 2.0]))) == np.inf
    assert pruning_snr(law("gaussian"), 0.0) == 0.0


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    values=st.lists(st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0]), min_size=2, max_size=12),
    kept=st.integers(0, 12),
)
def test_pruning_of_atoms_removes_exactly_the_smallest(values: list[float], kept: int) -> None:
    w = np.array(values)
    kept = min(kept, w.size)
    removed = np.sort(np.abs(w))[: w.size - kept]
    if w.any():
        assert pruning_error(as_law(w), kept / w.size) == pytest.approx(
            np.sum(removed**2) / w.size, abs=1e-12
        )


def test_an_atom_that_straddles_the_threshold_is_split() -> None:
    w = as_law(np.array([1.0, 2.0, 2.0, 2.0, 4.0]))  # half of 5 weights: 1 and one and a half of the 2s
    assert magnitude_threshold(w, 0.5) == pytest.approx(2.0)
    assert pruning_error(w, 0.5) == pytest.approx((1 + 1.5 * 4) / 5, rel=1e-12, abs=0)
    clipped = law("clipped[law=gaussian,r=0.5]")  # 62 % of the mass sits at the ends
    at_ends = float(1 - clipped.partial_moment(0, np.asarray(-0.5), np.asarray(np.nextafter(0.5, 0))))
    inside = float(clipped.partial_moment(2, np.asarray(-0.5), np.asarray(np.nextafter(0.5, 0))))
    assert pruning_error(clipped, 0.25) == pytest.approx(inside + 0.25 * (at_ends - 0.25), rel=1e-12, abs=0)


@pytest.mark.parametrize("bits", [2, 8])
def test_a_tensor_is_priced_weight_by_weight(bits: int) -> None:
    codebook = Codebook(0.05 * 2 ** (8 - bits) * np.arange(-(2 ** (bits - 1)), 2 ** (bits - 1)))
    exact = float(np.mean((W - codebook.nearest(W)) ** 2))
    assert quantization_error(Empirical(W), codebook) == pytest.approx(exact, rel=1e-13, abs=0)


def test_the_expected_error_is_the_mean_over_samples() -> None:
    source, codebook = law("laplace"), Codebook(np.array([-3.0, -1.0, 0.2, 1.5]))
    w = source.sample(np.random.default_rng(0), 200_000)
    errors = (w - codebook.nearest(w)) ** 2
    assert quantization_error(source, codebook) == pytest.approx(
        errors.mean(), abs=5 * errors.std() / 200_000**0.5
    )


@pytest.mark.parametrize(
    "spec", ["student-t[nu=2]", "student-t[nu=1.5,scale=2]", "mixture[laws=student-t[nu=1],weights=1]"]
)
def test_infinite_second_moments_are_refused(spec: str) -> None:
    for call in (
        lambda: pruning_error(law(spec), 0.5),
        lambda: quantization_error(law(spec), Codebook(np.array([0.0]))),
    ):
        with pytest.raises(ValueError, match=r"finite second moment.*truncated\[law="):
            call()


@pytest.mark.parametrize("density", [-0.1, 1.1, float("nan")])
def test_densities_outside_0_to_1_are_refused(density: float) -> None:
    with pytest.raises(ValueError, match=r"density must lie in \[0, 1\]"):
        pruning_error(law("gaussian"), density)


def test_snr_refuses_what_is_no_ratio() -> None:
    with pytest.raises(ValueError, match="signal_power must be positive and finite, got 0"):
        snr_db(0.0, 0.0)
    with pytest.raises(ValueError, match="error must be at least 0, got nan"):
        snr_db(1.0, float("nan"))
    assert snr_db(2.0, 0.0) == np.inf


def test_integrate_resolves_a_peak_between_its_first_nodes() -> None:
    def peak(x: np.ndarray, i: np.ndarray) -> np.ndarray:
        return 1 / (1e-6 + (x - 0.3) ** 2)

    exact = (np.arctan(700.0) + np.arctan(300.0)) * 1e3
    assert integrate(peak, np.array([0.0]), np.array([1.0]))[0] == pytest.approx(exact, rel=1e-12, abs=0)


def test_integrate_skips_empty_intervals_and_ends_at_a_jump() -> None:
    jump = lambda x, i: np.where(x < 1 / 3, 1.0, 0.0)  # noqa: E731
    found = integrate(jump, np.array([0.0, 1.0]), np.array([1.0, 1.0]))
    assert found == pytest.approx([1 / 3, 0.0], abs=1e-9)

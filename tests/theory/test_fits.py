"""Maximum-likelihood fits."""

from __future__ import annotations

import numpy as np
import pytest

from pvq.theory.distribution import DISTRIBUTIONS
from pvq.theory.fits import FAMILIES, best_fit, fit, fit_all

TRUE = {
    "gaussian": "gaussian[sigma=0.05]",
    "laplace": "laplace[b=2]",
    "logistic": "logistic[s=0.3]",
    "student-t": "student-t[nu=3,scale=0.02]",
    "generalized-normal": "generalized-normal[beta=0.7,alpha=1]",
}


def draws(family: str, n: int = 20_000) -> np.ndarray:
    return DISTRIBUTIONS.build(TRUE[family]).sample(np.random.default_rng(11), n)


@pytest.mark.parametrize("family", TRUE)
def test_recovers_its_own_law(family: str) -> None:
    found, true = fit(draws(family), family), DISTRIBUTIONS.build(TRUE[family])
    for name, value in vars(true).items():
        assert getattr(found.law, name) == pytest.approx(value, rel=0.06)  # 5 standard errors at 20,000 draws
    assert found.ks < 1.95 / np.sqrt(20_000)  # exceeded with probability 1e-3


@pytest.mark.parametrize("family", TRUE)
def test_no_neighbour_is_more_likely(family: str) -> None:
    w = draws(family, 3000)
    found = fit(w, family)
    options = {name: value for name, value in vars(found.law).items() if isinstance(value, float)}
    for name, value in options.items():
        for factor in (0.97, 1.03):
            near = DISTRIBUTIONS.get(family)(**(options | {name: value * factor}))
            assert np.mean(np.log(near.density(w))) < found.log_likelihood


@pytest.mark.parametrize("family", ["laplace", "logistic", "student-t", "generalized-normal"])
def test_the_true_family_has_the_best_aic(family: str) -> None:
    best = best_fit(draws(family))
    nested = family == "laplace" and best.family == "generalized-normal"  # beta = 1 is Laplace's
    assert best.family == family or nested


def test_aic_counts_parameters() -> None:
    w = draws("gaussian", 500)
    found = fit(w, "student-t")
    assert found.parameters == 2
    assert found.aic == pytest.approx(4 - 2 * 500 * found.log_likelihood)
    assert [f.aic for f in fit_all(w)] == sorted(f.aic for f in fit_all(w))


def test_spec_names_the_law() -> None:
    found = fit(draws("laplace", 100), "laplace")
    assert DISTRIBUTIONS.build(found.spec) == found.law


def test_thinning_moves_nothing_that_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    w = draws("student-t")
    whole = fit(w, "student-t")
    monkeypatch.setattr("pvq.theory.fits.MOST_POINTS", 5000)
    thinned = fit(w, "student-t")
    assert thinned.law.nu == pytest.approx(whole.law.nu, rel=5e-3)  # type: ignore[attr-defined]
    assert thinned.ks == pytest.approx(whole.ks, abs=1 / 5000)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("unit", [1e-8, 1e8])
def test_follows_the_unit(family: str, unit: float) -> None:
    w = draws("logistic", 2000)
    a, b = fit(w, family), fit(w * unit, family)
    assert b.ks == pytest.approx(a.ks, abs=1e-6)
    assert b.log_likelihood == pytest.approx(a.log_likelihood - np.log(unit), abs=1e-6)


@pytest.mark.parametrize(
    ("w", "family", "message"),
    [
        ([1.0], "cauchy", "family must be one of"),
        ([], "gaussian", "must not be empty"),
        ([np.inf], "gaussian", "must be finite"),
        ([0.0, 0.0, 1.0], "student-t", "fewer than half zeros"),
    ],
)
def test_refusals(w: list[float], family: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(w, family)

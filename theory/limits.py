"""What no quantizer can beat, and what good ones reach at high rate: Shannon, Panter-Dite, Gish-Pierce."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np

from pvq.arrays import F64
from pvq.theory.distribution import WeightDistribution, variance

__all__ = [
    "DB_PER_BIT",
    "DensityLaw",
    "differential_entropy",
    "entropy_coded_constant",
    "gaussian_limit_db",
    "high_rate_db",
    "panter_dite_constant",
    "shannon_constant",
    "shannon_limit_db",
]

DB_PER_BIT = 20 * float(np.log10(2))  # 6.0206: a bit quarters the least distortion

_CUTS = np.array([0, 1e-9, 1e-4, 1e-2, 0.1, 0.3, 0.5, 0.7, 0.9, 1 - 1e-2, 1 - 1e-4, 1 - 1e-9, 1])


@runtime_checkable
class DensityLaw(WeightDistribution, Protocol):
    """A law of weights without atoms, that knows its density."""

    def density(self, x: F64) -> F64:
        """Return p(x), elementwise, in 1 / weight units."""
        ...


def gaussian_limit_db(bits: float) -> float:
    """Return the SNR in dB that no code of `bits` bits per weight exceeds on a Gaussian: 6.0206 bits.

    Shannon's D(R) = sigma^2 2^(-2R); it is approached by codes over long blocks.

    Raises
    ------
    ValueError : bits negative or not finite

    >>> round(gaussian_limit_db(4), 4)
    24.0824
    """
    return DB_PER_BIT * _rate(bits)


def shannon_limit_db(law: DensityLaw, bits: float) -> float:
    """Return an SNR in dB that no code of `bits` bits per weight exceeds on `law`.

    Shannon's lower bound D(R) >= 2^(2h) / (2 pi e) 2^(-2R), h the differential entropy in bits; an equality
    for a Gaussian, tight at high rate for others (`rate_distortion` has the exact curve). Not below 0 dB.

    Raises
    ------
    ValueError : bits negative; a law without finite variance or without density

    >>> from pvq.theory.distributions.gaussian import Gaussian
    >>> round(shannon_limit_db(Gaussian(0.02), 4), 4)
    24.0824
    """
    return max(0.0, high_rate_db(shannon_constant(law), bits))


def high_rate_db(constant: float, bits: float) -> float:
    """Return the SNR in dB where the distortion is constant * variance * 2^(-2 bits).

    >>> round(high_rate_db(np.sqrt(3) * np.pi / 2, 0), 3)
    -4.347
    """
    return DB_PER_BIT * _rate(bits) - 10 * float(np.log10(constant))


def differential_entropy(law: DensityLaw) -> float:
    """Return h = -integral p log2 p, in bits; depends on the unit of the weights.

    Raises
    ------
    ValueError : a law without finite variance or without density

    >>> from pvq.theory.distributions.gaussian import Gaussian
    >>> round(differential_entropy(Gaussian()), 9)  # log2(2 pi e) / 2
    2.047095585
    """
    sigma = _deviation(law)
    return _integral(law, sigma, lambda p: -p * np.log2(p) if p > 0 else 0.0) + float(np.log2(sigma))


def shannon_constant(law: DensityLaw) -> float:
    """Return c in Shannon's lower bound D(R) >= c * variance * 2^(-2R): 2^(2h) / (2 pi e variance).

    1 for a Gaussian, less for every other law; e / pi for Laplace's. `ValueError` as `differential_entropy`.
    """
    return 2 ** (2 * differential_entropy(law)) / (2 * np.pi * np.e * _deviation(law) ** 2)


def entropy_coded_constant(law: DensityLaw) -> float:
    """Return c in D = c * variance * 2^(-2H) for a fine uniform quantizer with entropy H.

    2^(2h) / (12 variance) = pi e / 6 times Shannon's, a loss of 1.533 dB (Gish and Pierce 1968).
    `ValueError` as `differential_entropy`.
    """
    return float(np.pi * np.e / 6) * shannon_constant(law)


def panter_dite_constant(law: DensityLaw) -> float:
    """Return c in D = c * variance * 2^(-2R) for the best 2^R levels at high rate.

    (integral p^(1/3))^3 / (12 variance): Panter and Dite 1951; sqrt(3) pi / 2 for a Gaussian.

    Raises
    ------
    ValueError : a law without finite variance or without density

    >>> from pvq.theory.distributions.gaussian import Gaussian
    >>> round(panter_dite_constant(Gaussian()), 9)
    2.720699046
    """
    return _integral(law, _deviation(law), np.cbrt) ** 3 / 12


def _rate(bits: float) -> float:
    if not 0 <= bits < np.inf:
        raise ValueError(f"bits must be at least 0 and finite, got {bits}")
    return float(bits)


def _deviation(law: DensityLaw) -> float:
    power = variance(law)
    if not 0 < power < np.inf:
        raise ValueError(f"law must have a positive, finite variance, got {power} for {law}")
    return float(np.sqrt(power))


def _integral(law: DensityLaw, sigma: float, of_density: Callable[[float], float]) -> float:
    """Return the integral of of_density(p(z)) over z, p the density of the law scaled to unit variance."""
    if not isinstance(law, DensityLaw):
        raise ValueError(f"law must have a density, got {law}")
    mass = _pieces(law, sigma, lambda p: p)
    if abs(mass - 1) > 1e-6:
        raise ValueError(f"law must have a density of total mass 1 (no atoms), got mass {mass:.6g} for {law}")
    return _pieces(law, sigma, of_density)


def _pieces(law: DensityLaw, sigma: float, of_density: Callable[[float], float]) -> float:
    from scipy.integrate import IntegrationWarning, quad

    cuts = np.unique(law.quantile(_CUTS)) / sigma

    def integrand(z: float) -> float:
        return float(of_density(float(sigma * law.density(np.asarray(z * sigma)))))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IntegrationWarning)  # near-empty pieces stop at rounding level
        return sum(
            float(quad(integrand, a, b, epsabs=1e-12, epsrel=1e-11, limit=200)[0]) for a, b in pairwise(cuts)
        )

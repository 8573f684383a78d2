"""Expected squared error and signal-to-noise ratio of both camps, written once on partial moments.

Any scalar compressor is a list of cells on each of which it is constant or the identity, so its expected
error is a sum over cells (Kuzmin et al., arXiv 2307.02973, equations for E_q and E_p).
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from pvq.theory.cells import cell_error
from pvq.theory.codebook import Codebook
from pvq.theory.distribution import WeightDistribution

__all__ = [
    "magnitude_threshold",
    "pruning_error",
    "pruning_snr",
    "quantization_error",
    "quantization_snr",
    "signal_power",
    "snr_db",
]

_INF = np.asarray(np.inf)
_ROUNDING = 2e-13  # of probabilities that meet in a threshold


def signal_power(law: WeightDistribution) -> float:
    """Return E W^2 in squared weight units.

    Raises
    ------
    ValueError : it is infinite, as for Student's t with nu <= 2

    >>> from pvq.theory.distributions.gaussian import Gaussian
    >>> signal_power(Gaussian(sigma=3.0))
    9.0
    """
    power = float(law.partial_moment(2, -_INF, _INF))
    if not np.isfinite(power):
        raise ValueError(
            f"law must have a finite second moment, got {law}; "
            "bound it with truncated[law=...,r=...] or clipped[law=...,r=...]"
        )
    return power


def snr_db(signal_power: float, error: float) -> float:
    """Return 10 log10(signal_power / error) in dB; inf where the error is zero.

    Raises
    ------
    ValueError : signal power not positive and finite, or a negative or NaN error

    >>> round(snr_db(1.0, 0.01), 12)
    20.0
    """
    if not 0 < signal_power < np.inf:
        raise ValueError(f"signal_power must be positive and finite, got {signal_power}")
    if not error >= 0:
        raise ValueError(f"error must be at least 0, got {error}")
    return float("inf") if error == 0 else float(10 * np.log10(signal_power / error))


def quantization_error(law: WeightDistribution, codebook: Codebook) -> float:
    """Return E (W - Q(W))^2 in squared weight units, Q rounding to the nearest level.

    >>> from pvq.theory.distributions.uniform import Uniform
    >>> quantization_error(Uniform(), Codebook(np.array([-0.5, 0.5])))  # step^2 / 12
    0.08333333333333333
    """
    signal_power(law)
    edges = codebook.edges
    return float(cell_error(law, codebook.levels, edges[:-1], edges[1:]).sum())


def quantization_snr(law: WeightDistribution, codebook: Codebook) -> float:
    """Return the SNR of quantization in dB.

    >>> from pvq.theory.distributions.uniform import Uniform
    >>> round(quantization_snr(Uniform(), Codebook(np.array([-0.5, 0.5]))), 4)
    6.0206
    """
    return snr_db(signal_power(law), quantization_error(law, codebook))


def magnitude_threshold(law: WeightDistribution, density: float) -> float:
    """Return the smallest tau >= 0 with P(|W| <= tau) >= 1 - density, in weight units.

    Pruning to `density` removes the magnitudes below tau; for a symmetric law tau = F^-1(1 - density/2).

    Raises
    ------
    ValueError : density outside [0, 1]

    >>> from pvq.theory.distributions.gaussian import Gaussian
    >>> round(magnitude_threshold(Gaussian(), 0.25), 6)
    1.150349
    """
    if not 0 <= density <= 1:
        raise ValueError(f"density must lie in [0, 1], got {density}")
    low, high = law.quantile(np.array([density / 2, 1 - density / 2]))
    if density == 0:
        return max(float(high), -float(low))
    if high >= 0 and abs(_beyond(law, float(high), density)) <= _ROUNDING:  # as for every symmetric law
        return float(high)
    return _root(law, density, max(abs(float(low)), abs(float(high))))


def _beyond(law: WeightDistribution, tau: float, density: float) -> float:
    """Return P(|W| > tau) - density."""
    below = np.nextafter(-tau, -np.inf)
    tails = law.partial_moment(0, np.array([-np.inf, tau]), np.array([below, np.inf]))
    return float(tails.sum()) - density


def _root(law: WeightDistribution, density: float, top: float) -> float:
    """Solve P(|W| > tau) = density on [0, top]; with atoms, find the place of the jump.

    Rounding must not turn "all but one weight in a thousand" into "all": density counts as slightly more.
    """
    density += _ROUNDING
    if _beyond(law, 0.0, density) <= 0:
        return 0.0
    if _beyond(law, top, density) >= 0:  # by the rounding of the quantile
        return top
    tau = brentq(lambda t: _beyond(law, t, density), 0.0, top, xtol=1e-300, rtol=8.9e-16, maxiter=500)
    return float(tau)


def pruning_error(law: WeightDistribution, density: float) -> float:
    """Return E W^2 over the removed share 1 - density of smallest magnitudes, in squared weight units.

    With tau the threshold this is the integral of x^2 over [-tau, tau] plus
    tau^2 (1 - density - P(|W| <= tau)). The last term, zero for a law without atoms, splits an atom that
    straddles the threshold; it also makes the value insensitive, to second order, to an error in tau.

    Raises
    ------
    ValueError : density outside [0, 1]; infinite second moment

    >>> from pvq.theory.distributions.gaussian import Gaussian
    >>> round(pruning_error(Gaussian(), 0.25), 6)
    0.276393
    """
    power = signal_power(law)
    tau = magnitude_threshold(law, density)
    if density == 0:
        return power
    below, above = np.nextafter(-tau, -np.inf), tau
    removed = float(cell_error(law, 0.0, below, above))
    straddling = _beyond(law, tau, density)
    return max(removed + tau * tau * straddling, 0.0)


def pruning_snr(law: WeightDistribution, density: float) -> float:
    """Return the SNR of magnitude pruning to `density` in dB; inf where nothing is removed.

    >>> from pvq.theory.distributions.gaussian import Gaussian
    >>> round(pruning_snr(Gaussian(), 0.25), 5)
    5.58473
    """
    return snr_db(signal_power(law), pruning_error(law, density))

"""Signal-to-noise ratios in dB that err only to the safe side."""

from __future__ import annotations

import math

from .rounding import UNIT

__all__ = ["snr_achieved_db", "snr_at_most_db"]


def snr_at_most_db(signal_upper: float, error_lower: float) -> float | None:
    """Return a number of dB that 10 log10(signal / error) cannot exceed.

    Parameters
    ----------
    signal_upper : at least the signal's energy, such as `LayerProblem.signal_upper`
    error_lower : at most the error's energy

    Returns
    -------
    inf where `error_lower` is 0: nothing is excluded; None where `signal_upper` is 0: there is no signal

    Raises
    ------
    ValueError : an energy that is negative or NaN

    >>> 20.0 < snr_at_most_db(1.0, 0.01) < 20.0 + 1e-12
    True
    """
    _check(signal_upper, error_lower)
    if signal_upper == 0:
        return None
    if error_lower == 0 or signal_upper == math.inf:
        return math.inf
    if error_lower == math.inf:
        return -math.inf
    return _decibel(signal_upper, error_lower, 1.0)


def snr_achieved_db(signal_lower: float, error_upper: float) -> float | None:
    """Return a number of dB that 10 log10(signal / error) reaches at least.

    Parameters
    ----------
    signal_lower : at most the signal's energy, such as `LayerProblem.signal_lower`
    error_upper : at least the error's energy

    Returns
    -------
    inf where `error_upper` is 0; -inf where it is inf: nothing is known of the error; None where
    `signal_lower` is 0: there is no signal above rounding

    Raises
    ------
    ValueError : an energy that is negative or NaN

    >>> 20.0 - 1e-12 < snr_achieved_db(1.0, 0.01) < 20.0
    True
    """
    _check(signal_lower, error_upper)
    if signal_lower == 0:
        return None
    if error_upper == math.inf:
        return -math.inf
    if error_upper == 0 or signal_lower == math.inf:
        return math.inf
    return _decibel(signal_lower, error_upper, -1.0)


def _decibel(signal: float, error: float, direction: float) -> float:
    """Return 10 log10(signal / error), moved by more than it can err.

    The quotient of the energies may leave the range of float64, the difference of their logarithms does not.
    Each logarithm errs by at most two units in the last place, 4 UNIT of its size.
    """
    a, b = math.log10(signal), math.log10(error)
    doubt = 8 * UNIT * (abs(a) + abs(b))
    return math.nextafter(10.0 * (a - b + direction * doubt), direction * math.inf)


def _check(signal: float, error: float) -> None:
    for name, energy in (("signal", signal), ("error", error)):
        if not energy >= 0:
            raise ValueError(f"the {name}'s energy must not be negative, got {energy}")

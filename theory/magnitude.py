"""The range of magnitudes whose powers up to the fourth stay clear of the ends of float64."""

from __future__ import annotations

__all__ = ["GREATEST", "LEAST", "check_magnitude"]

LEAST, GREATEST = 1e-70, 1e70  # fourth powers of 1e-280 and 1e280 leave room for the constants of every law


def check_magnitude(name: str, value: float) -> None:
    """Refuse a scale whose fourth power nears the ends of float64, and with it NaN and infinity.

    Raises
    ------
    ValueError : value outside [1e-70, 1e70], naming it

    >>> check_magnitude("sigma", 1e160)
    Traceback (most recent call last):
    ValueError: sigma must be positive and lie in [1e-70, 1e+70], got 1e+160
    """
    if not LEAST <= value <= GREATEST:
        raise ValueError(f"{name} must be positive and lie in [{LEAST:g}, {GREATEST:g}], got {value}")

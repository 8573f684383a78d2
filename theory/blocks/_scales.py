"""The stored scales of block formats: E8M0 and E4M3."""

from __future__ import annotations

import numpy as np

from pvq.arrays import F64

__all__ = ["E4M3", "checked_block", "e4m3", "e4m3_jumps", "e8m0", "e8m0_jumps"]

LOWEST, HIGHEST = -127, 127  # exponents of E8M0 (OCP Microscaling Formats, v1.0)


def checked_block(block: int) -> None:
    """Refuse a block without weights.

    Raises
    ------
    ValueError : block below 1
    """
    if block < 1:
        raise ValueError(f"block must be at least 1, got {block}")


def e8m0(amax: F64, element_exponent: int) -> F64:
    """Return 2^(floor(log2 amax) - element_exponent), the exponent kept within -127 ... 127.

    >>> e8m0(np.array([0.0, 1.0, 7.9]), 2)
    array([5.87747175e-39, 2.50000000e-01, 1.00000000e+00])
    """
    exponent = np.frexp(np.asarray(amax, float))[1].astype(np.int64) - 1 - element_exponent
    exponent = np.where(np.asarray(amax) > 0, exponent, LOWEST)
    return np.asarray(np.ldexp(1.0, np.clip(exponent, LOWEST, HIGHEST)))


def e8m0_jumps(element_exponent: int) -> F64:
    """Return the amax at which `e8m0` moves to its next value."""
    return np.ldexp(1.0, np.arange(LOWEST + 1, HIGHEST + 1) + element_exponent)


def _e4m3_values() -> F64:
    """Return 0 and the 126 positive numbers of FP8 E4M3 (bias 7, largest 448), in order of their codes."""
    code = np.arange(127)
    exponent, mantissa = code >> 3, code & 7
    normal = np.ldexp(1 + mantissa / 8, exponent - 7)
    return np.where(exponent > 0, normal, np.ldexp(mantissa / 8, -6))


E4M3 = _e4m3_values()
_MIDDLES = 0.5 * (E4M3[1:] + E4M3[:-1])


def e4m3(x: F64) -> F64:
    """Return the E4M3 number nearest to x >= 0, ties to the even code, 448 above it.

    >>> e4m3(np.array([0.0, 0.3, 1.0625, 1e6]))
    array([0.000e+00, 3.125e-01, 1.000e+00, 4.480e+02])
    """
    x = np.asarray(x, float)
    code = np.searchsorted(_MIDDLES, x)
    tie = (x == _MIDDLES[np.minimum(code, _MIDDLES.size - 1)]) & (code % 2 == 1)
    return E4M3[np.where(tie, code + 1, code)]


def e4m3_jumps() -> F64:
    """Return the x at which `e4m3` moves to its next value."""
    return _MIDDLES

"""Bits per weight: the scale on which pruning and quantization meet, and what a mask costs on it."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb, log2
from typing import Literal, TypeAlias

import numpy as np
from scipy.optimize import brentq

__all__ = ["DENSE_BITS", "Budget", "Mask", "density_at", "mask_bits", "n_of_m_mask_bits"]

DENSE_BITS = 16.0  # the FP16 baseline of Kuzmin et al. (arXiv 2307.02973)
Mask: TypeAlias = Literal["free", "bitmap", "entropy"]


@dataclass(frozen=True)
class Budget:
    """Average number of bits that one weight may cost.

    Parameters
    ----------
    bits : bits per weight, in (0, 32]
    """

    bits: float

    def __post_init__(self) -> None:
        if not 0 < self.bits <= 32:
            raise ValueError(f"bits must lie in (0, 32], got {self.bits}")

    @property
    def density(self) -> float:
        """Share of weights that pruning keeps when kept weights cost 16 bits and the mask is free.

        >>> Budget(4).density
        0.25
        """
        return min(1.0, self.bits / DENSE_BITS)

    @property
    def sparsity(self) -> float:
        """Share of weights that pruning removes: 1 - density.

        >>> Budget(4).sparsity
        0.75
        """
        return 1.0 - self.density


def mask_bits(density: float, mask: Mask) -> float:
    """Return the bits per weight that say which weights are kept.

    Parameters
    ----------
    density : share kept, in [0, 1]
    mask : ``free`` costs nothing (the convention of Kuzmin et al.), ``bitmap`` one bit per weight,
        ``entropy`` the binary entropy H2(density), which an entropy coder reaches

    Raises
    ------
    ValueError : density outside [0, 1] or an unknown mask

    >>> mask_bits(0.5, "entropy")
    1.0
    """
    if not 0 <= density <= 1:
        raise ValueError(f"density must lie in [0, 1], got {density}")
    if mask == "entropy":
        return float(-sum(p * log2(p) for p in (density, 1 - density) if p > 0))
    if mask not in ("free", "bitmap"):
        raise ValueError(f"mask must be free, bitmap or entropy, got {mask!r}")
    return 0.0 if mask == "free" else 1.0


def density_at(bits: float, mask: Mask = "free", value_bits: float = DENSE_BITS) -> float:
    """Return the share of weights that can be kept: the density d with value_bits d + mask_bits(d) = bits.

    Parameters
    ----------
    bits : total bits per weight
    mask : how the mask is stored, see `mask_bits`
    value_bits : bits of a kept weight

    Returns
    -------
    density in [0, 1], 1 where the budget pays for all weights (which then need no mask)

    Raises
    ------
    ValueError : no positive number of bits; a budget that does not pay for the mask

    >>> density_at(4.0), density_at(4.0, "bitmap"), round(density_at(4.0, "entropy"), 6)
    (0.25, 0.1875, 0.204...)
    """
    for name, value in (("bits", bits), ("value_bits", value_bits)):
        if not 0 < value < np.inf:
            raise ValueError(f"{name} must be positive and finite, got {value}")
    if bits >= value_bits:
        return 1.0
    if mask != "entropy":
        return _affordable((bits - mask_bits(0.5, mask)) / value_bits, bits)
    top = 1 / (1 + 2.0**-value_bits)  # beyond it a weight more costs less, since the mask gets cheaper
    return float(brentq(lambda d: value_bits * d + mask_bits(d, mask) - bits, 0.0, top, xtol=1e-15))


def _affordable(density: float, bits: float) -> float:
    if density < 0:
        raise ValueError(f"bits must be at least 1 to pay for a bitmap, got {bits}")
    return density


def n_of_m_mask_bits(n: int, m: int) -> float:
    """Return log2(C(m, n)) / m, the bits per weight that say which n of every m weights are kept.

    Raises
    ------
    ValueError : not 1 <= n <= m

    >>> round(n_of_m_mask_bits(2, 4), 4)
    0.6462
    """
    if not 1 <= n <= m:
        raise ValueError(f"n and m must fulfil 1 <= n <= m, got n={n}, m={m}")
    return log2(comb(m, n)) / m

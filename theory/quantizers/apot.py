"""Additive powers of two: sums of few powers, denser near the ends than single powers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np

from pvq.arrays import F64
from pvq.theory.quantizer import QUANTIZERS
from pvq.theory.scale import ScaleRule, check_scale
from pvq.theory.scaled_format import ScaledFormat

__all__ = ["AdditivePowersOfTwo", "apot_magnitudes"]


@QUANTIZERS.register("apot")
@dataclass(frozen=True)
class AdditivePowersOfTwo(ScaledFormat):
    """APoT levels (Li, Dong, Wang, arXiv 1909.13144) times one scale.

    Parameters
    ----------
    bits : 2 to 8, sign included
    signed : weights (true) use bits - 1 for the magnitude; activations (false) use all bits
    scale : ``mse`` | ``absmax`` | ``percentile`` | ``aciq`` | a number, see `choose_scale`
    percentile : of the magnitude, in percent, for ``scale=percentile``

    >>> AdditivePowersOfTwo(3, scale=1.0).codebook(np.array([1.0])).levels
    array([-1.  , -0.5 , -0.25,  0.  ,  0.25,  0.5 ,  1.  ])
    """

    bits: int = 4
    signed: bool = True
    scale: ScaleRule = "mse"
    percentile: float = 99.9

    def __post_init__(self) -> None:
        if self.bits not in range(2, 9):
            raise ValueError(f"bits must be an integer from 2 to 8, got {self.bits}")
        check_scale(self.scale, self.percentile)

    def unit_levels(self) -> F64:
        """Return the levels in [-1, 1], or [0, 1] without sign."""
        size = apot_magnitudes(self.bits - self.signed)
        return np.concatenate([-size[:0:-1], size]) if self.signed else size


def apot_magnitudes(bits: int) -> F64:
    """Return the 2^bits magnitudes from 0 to 1 that `bits` bits encode: all sums of one element per term.

    With n two-bit terms, term j = 1 ... n holds {0, 2^-j, 2^-(j+n), 2^-(j+2n)}. An odd number adds the
    one-bit term {0, 2^-(2n+1)} and moves each two-bit term's smallest element one place down, as the authors'
    code does (github.com/yhhhli/APoT_Quantization, 3 and 5 bits; 7 bits follow the same rule here).

    >>> apot_magnitudes(3)
    array([0. , 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1. ])
    """
    n, odd = divmod(bits, 2)
    terms = [np.array([0, 2.0**-j, 2.0 ** -(j + n), 2.0 ** -(j + 2 * n + odd)]) for j in range(1, n + 1)]
    if odd:
        terms.append(np.array([0, 2.0 ** -(2 * n + 1)]))
    sums = np.unique(reduce(np.add.outer, terms))
    return np.asarray(sums / sums[-1])

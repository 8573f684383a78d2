"""The weights of a tensor in order, with prefix sums: where every search over scales looks things up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import F64, I64

__all__ = ["SortedWeights"]

STRIDE = 8  # every eighth prefix sum is stored: an eighth of the memory, and at most seven terms to add


@dataclass(frozen=True, eq=False)
class SortedWeights:
    """Distinct weights in increasing order, each with the number of weights before it.

    Parameters
    ----------
    values : (n,) strictly increasing, scaled by a power of two (exact) to magnitudes of at most one
    count : (n + 1,) number of weights before each position
    anchors : prefix sums of the weights at every `STRIDE`-th position, and the sum of all
    square : the sum of squares
    exponent : the weights are ``2**exponent * values``
    """

    values: F64
    count: NDArray[np.integer]
    anchors: F64
    square: float
    exponent: int

    @classmethod
    def of(cls, ordered: F64) -> SortedWeights:
        """Return the sums of weights that are sorted already; (n,), finite, not all zero."""
        exponent = int(np.frexp(max(-ordered[0], ordered[-1]))[1])
        first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        count: NDArray[np.integer] = np.append(first, ordered.size)
        if ordered.size < 2**31:
            count = count.astype(np.int32)
        values = np.ldexp(ordered[first], -exponent)
        del first
        return cls(values, count, *_sums(values, count), exponent)

    def total(self, position: I64) -> F64:
        """Return the sum of the weights before each position, in the units of `values`.

        >>> SortedWeights.of(np.array([1.0, 3.0, 3.0, 4.0])).total(np.array([0, 2, 3])) * 8
        array([ 0.,  7., 11.])
        """
        start = position // STRIDE
        found = self.anchors[start]
        start *= STRIDE
        last = self.values.size - 1
        for step in range(STRIDE - 1):
            at = start + step
            np.minimum(at, last, out=at)
            term = self.values[at] * (self.count[at + 1] - self.count[at])
            found += np.where(start + step < position, term, 0.0)
        return found


def _sums(values: F64, count: NDArray[np.integer]) -> tuple[F64, float]:
    """Return the anchors and the sum of squares."""
    terms = np.zeros(-(-values.size // STRIDE) * STRIDE)
    np.multiply(values, np.diff(count), out=terms[: values.size])
    square = float(np.dot(terms[: values.size], values))
    return _prefix_sum(terms.reshape(-1, STRIDE).sum(axis=1)), square


def _prefix_sum(terms: F64, block: int = 4096) -> F64:
    """Return the sums of the first 0, 1, ..., n terms; summed in blocks, so that errors do not pile up."""
    padded = np.zeros(-(-terms.size // block) * block)
    padded[: terms.size] = terms
    inner = np.cumsum(padded.reshape(-1, block), axis=1)
    before = np.cumsum(np.append(0.0, inner[:-1, -1]).astype(np.longdouble)).astype(np.float64)
    return np.append(0.0, (inner + before[:, None]).ravel()[: terms.size])

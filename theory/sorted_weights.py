"""The weights of a tensor in order, with prefix sums: where every search over scales looks things up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import F64, I64, Bool

__all__ = ["SortedWeights"]

STRIDE = 8  # every eighth prefix sum is stored: an eighth of the memory, and at most seven terms to add
CHUNK = 2**20  # weights worked on at a time
FEW = 64  # repeats of a weight that are not worth taking together
FAR = 500  # exponents beyond which a scaled copy is made, so that no product leaves float64's range


@dataclass(frozen=True, eq=False)
class SortedWeights:
    """Weights in increasing order, each with the number of weights before it.

    Sums are in units of ``2**exponent``, in which the largest magnitude lies in [1/2, 1); scaling by a power
    of two is exact.

    Parameters
    ----------
    values : (n,) increasing, in units of ``2**(exponent - shift)``; distinct where `before` is given
    before : (n + 1,) number of weights before each position; None where that is the position itself
    anchors : prefix sums of the weights at every `STRIDE`-th position, and the sum of all
    square : the sum of squares
    exponent : of the unit of all sums
    shift : ``2**-shift * values`` are in that unit
    """

    values: F64
    before: NDArray[np.integer] | None
    anchors: F64
    square: float
    exponent: int
    shift: int

    @classmethod
    def of(cls, ordered: F64) -> SortedWeights:
        """Return the sums of weights that are sorted already; (n,), finite, not all zero.

        No copy is made where the weights are mostly distinct and their size is no extreme one.
        """
        exponent = int(np.frexp(max(-ordered[0], ordered[-1]))[1])
        shift = exponent if abs(exponent) < FAR else 0
        if shift != exponent:
            ordered = np.ldexp(ordered, -exponent)
        first = np.empty(ordered.size, dtype=np.bool_)
        first[0] = True
        np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
        before = _positions(first) if _repeats(first) else None
        values = ordered if before is None else ordered[before[:-1]]
        return cls(values, before, *_sums(values, before, shift), exponent, shift)

    @property
    def size(self) -> int:
        """Number of weights, repeated ones included."""
        return self.values.size if self.before is None else int(self.before[-1])

    def scaled(self, position: I64) -> F64:
        """Return the weights at positions, in the common unit."""
        return np.ldexp(self.values[position], -self.shift)

    def border(self, edges: F64) -> I64:
        """Return the position of the first weight that is not below each edge, in the common unit."""
        return np.searchsorted(self.values, np.ldexp(edges, self.shift)).astype(np.int64)

    def count(self, position: I64) -> I64:
        """Return the number of weights before each position."""
        return position if self.before is None else self.before[position].astype(np.int64)

    def number(self, position: I64) -> I64 | int:
        """Return how many weights each position stands for."""
        return 1 if self.before is None else self.count(position + 1) - self.count(position)

    def total(self, position: I64) -> F64:
        """Return the sum of the weights before each position, in the common unit.

        >>> SortedWeights.of(np.array([1.0, 3.0, 3.0, 4.0])).total(np.array([0, 2, 4])) * 8
        array([ 0.,  4., 11.])
        """
        start = position // STRIDE
        found = self.anchors[start]
        start *= STRIDE
        last = self.values.size - 1
        for step in range(STRIDE - 1):
            at = start + step
            np.minimum(at, last, out=at)
            term = self.scaled(at) * self.number(at)
            found += np.where(start + step < position, term, 0.0)
        return found


def _parts(size: int) -> Iterator[slice]:
    return (slice(start, min(start + CHUNK, size)) for start in range(0, size, CHUNK))


def _repeats(first: Bool) -> bool:
    """Return whether weights repeat so much that taking equal ones together pays."""
    if 2 * int(np.count_nonzero(first)) <= first.size:
        return True
    since = 0  # weights since the last that was new
    for part in _parts(first.size):
        new = np.flatnonzero(first[part])
        if new.size == 0:
            since += CHUNK
            continue
        longest = max(since + int(new[0]), int(np.diff(new).max(initial=0)))
        if longest > FEW:
            return True
        since = first[part].size - int(new[-1])
    return since > FEW


def _positions(first: Bool) -> NDArray[np.integer]:
    """Return where each distinct weight begins, and the end of all."""
    kind = np.int32 if first.size < 2**31 else np.int64
    found: NDArray[np.integer] = np.empty(int(np.count_nonzero(first)) + 1, dtype=kind)
    done = 0
    for part in _parts(first.size):
        new = np.flatnonzero(first[part])
        found[done : done + new.size] = new + part.start
        done += new.size
    found[-1] = first.size
    return found


def _sums(values: F64, before: NDArray[np.integer] | None, shift: int) -> tuple[F64, float]:
    """Return the anchors and the sum of squares."""
    blocks = np.zeros(-(-values.size // STRIDE))
    square = 0.0
    for part in _parts(values.size):
        scaled = np.ldexp(values[part], -shift)
        number = 1 if before is None else np.diff(before[part.start : part.stop + 1])
        terms = np.zeros(-(-scaled.size // STRIDE) * STRIDE)
        np.multiply(scaled, number, out=terms[: scaled.size])
        square += float(terms[: scaled.size] @ scaled)
        first = part.start // STRIDE
        blocks[first : first + terms.size // STRIDE] = terms.reshape(-1, STRIDE).sum(axis=1)
    return _prefix_sum(blocks), square


def _prefix_sum(terms: F64, block: int = 4096) -> F64:
    """Return the sums of the first 0, 1, ..., n terms; summed in blocks, so that errors do not pile up."""
    padded = np.zeros(-(-terms.size // block) * block)
    padded[: terms.size] = terms
    inner = np.cumsum(padded.reshape(-1, block), axis=1)
    before = np.cumsum(np.append(0.0, inner[:-1, -1]).astype(np.longdouble)).astype(np.float64)
    return np.append(0.0, (inner + before[:, None]).ravel()[: terms.size])

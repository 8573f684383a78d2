"""A grid of scales, then descent, for each row."""

from __future__ import annotations

from math import floor

import numpy as np

from pvq.arrays import F64

from .jit import kernel, summing

__all__ = ["search_scales"]

TRIED = 64
TRIED_MORE = 2**15  # over the length of a row: short rows have sharp minima, but at most 8 top
IMPROVED = 3
LOW, HIGH = 0.1, 2.2  # of max |w| / 2^(b-1)
MOST_STEPS = 50


@kernel
def search_scales(W: F64, top: float, found: F64) -> None:
    """Write the best scale found for each row of W (rows, n) into `found` (rows,); rows of zeros stay.

    Parameters
    ----------
    top : levels are -top ... top - 1 times the scale
    """
    for r in range(W.shape[0]):
        largest = 0.0
        for i in range(W.shape[1]):
            largest = max(largest, abs(W[r, i]))
        if largest > 0.0:
            found[r] = _search(W[r], top, largest / top)


@kernel
def _search(w: F64, top: float, unit: float) -> float:
    """Return the best of the descents from the best scales of a geometric grid."""
    tried = int(TRIED + min(8.0 * top, TRIED_MORE / len(w)))
    step = (HIGH / LOW) ** (1.0 / (tried - 1))
    errors = np.empty(tried)
    for k in range(tried):
        errors[k] = _error(w, top, unit * LOW * step**k)
    best_error, best = _descend(w, top, unit)
    for _ in range(IMPROVED):
        k = int(np.argmin(errors))
        errors[k] = np.inf
        error, scale = _descend(w, top, unit * LOW * step**k)
        if error < best_error:
            best_error, best = error, scale
    return best


@kernel
def _descend(w: F64, top: float, scale: float) -> tuple[float, float]:
    """Return error and scale after alternating between rounding and the best scale for what was rounded."""
    error = _error(w, top, scale)
    for _ in range(MOST_STEPS):
        A, B = 0.0, 0.0
        for i in range(len(w)):
            q = min(max(floor(w[i] / scale + 0.5), -top), top - 1.0)
            A += w[i] * q
            B += q * q
        if A <= 0.0 or B <= 0.0:
            break
        better = _error(w, top, A / B)
        if better >= error:
            break
        error, scale = better, A / B
    return error, scale


@summing
def _error(w: F64, top: float, scale: float) -> float:
    """Return the squared error of rounding w to the grid."""
    total, inverse = 0.0, 1.0 / scale
    for i in range(len(w)):
        q = min(max(floor(w[i] * inverse + 0.5), -top), top - 1.0)
        total += (w[i] - scale * q) ** 2
    return total

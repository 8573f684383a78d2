"""Exchanges of a removed and a kept weight on a swept tableau.

M holds, for the kept weights K and the removed ones S of a matrix A: -inv(A_KK), inv(A_KK) A_KS and the Schur
complement A_SS - A_SK inv(A_KK) A_KS; c holds the refitted weights on K and the multipliers on S.
"""

from __future__ import annotations

import numpy as np

from pvq.arrays import F64, I64, Bool

from .jit import kernel

__all__ = ["climb", "exchange"]

PIVOT = 1e-11  # of a unit diagonal: a Schur complement below that is rounding, the weight brings nothing


@kernel
def climb(M: F64, c: F64, inside: Bool, group: I64, starts: I64, gain: float, most: int) -> int:
    """Make the best exchange again and again, at most `most` times, in place; return how many were made.

    Parameters
    ----------
    M, c : (m, m), (m,) tableau
    inside : (m,) which weights are kept
    group, starts : (m,) and (G + 1,): weights are exchanged within ranges
    gain : an exchange must lower the error by more
    """
    fitted, spread, value = np.empty(len(c)), np.empty(len(c)), np.empty(len(c))
    for count in range(most):
        for j in range(len(c)):
            fitted[j] = c[j] if inside[j] else 1e200
            spread[j] = -M[j, j] if inside[j] else 1.0
        a, b = _best(M, c, inside, group, starts, gain, fitted, spread, value)
        if a < 0:
            return count
        exchange(M, c, inside, a, b)
    return most


@kernel
def exchange(M: F64, c: F64, inside: Bool, a: int, b: int) -> None:
    """Keep a, remove b, in place; nothing changes if A has no room for a."""
    if M[a, a] > PIVOT:
        _sweep(M, c, a, 1.0)
        _sweep(M, c, b, -1.0)
        inside[a], inside[b] = True, False


@kernel
def _sweep(M: F64, c: F64, k: int, sign: float) -> None:
    """Sweep the symmetric M and c on k (J. H. Goodnight, Am. Stat. 33, 1979), undo that with sign -1."""
    pivot = M[k, k]
    line = M[k].copy()
    top = c[k] / pivot
    for i in range(len(c)):
        if i != k:
            share = line[i] / pivot
            for j in range(len(c)):
                M[i, j] -= share * line[j]
            c[i] -= line[i] * top
            M[i, k] = sign * share
            M[k, i] = sign * share
    M[k, k] = -1.0 / pivot
    c[k] = sign * top


@kernel
def _best(
    M: F64,
    c: F64,
    inside: Bool,
    group: I64,
    starts: I64,
    gain: float,
    fitted: F64,
    spread: F64,
    value: F64,
) -> tuple[int, int]:
    """Return the removed and the kept weight whose exchange lowers the error most, -1 twice if none does."""
    best, out, into = -gain, -1, -1
    for a in range(len(c)):
        if inside[a] or M[a, a] <= PIVOT or -c[a] * c[a] / M[a, a] >= best:
            continue
        scale = 1.0 / M[a, a]
        step, drop = c[a] * scale, c[a] * c[a] * scale
        for b in range(starts[group[a]], starts[group[a] + 1]):
            rest = fitted[b] - M[a, b] * step
            value[b] = rest * rest / (spread[b] + M[a, b] * M[a, b] * scale)
        for b in range(starts[group[a]], starts[group[a] + 1]):
            if value[b] - drop < best:
                best, out, into = value[b] - drop, a, b
    return out, into

"""The common part of GPTQ and SparseGPT: settle column after column, the later ones make up for the earlier.

With the upper triangular C, C'C = H^-1, settling weight i at a distance e from its present value moves every
weight j > i by -e C_ij / C_ii: their least-squares answer. Columns go in blocks; what a block passes on to
those after it is one matrix product for all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from scipy.linalg import lapack

from pvq.arrays import F64

from ._dual.linalg import cholesky

__all__ = ["BLOCK", "inverse_factor", "propagate"]

BLOCK = 64


def inverse_factor(H: F64, damping: float) -> F64:
    """Return the upper triangular C with C'C = (H + damping mean(diag H) I)^-1, (n, n).

    Dead inputs are given the mean diagonal, which couples them to nothing. Where H is singular without it,
    the damping grows to 1e-8, 1e-4 or 1e-2. With the rows and columns of H reversed, H = L L', the reversed
    L^-1 is C: no inverse is formed.

    Raises
    ------
    numpy.linalg.LinAlgError : H is not positive definite even with one per cent damping

    >>> np.diagonal(inverse_factor(np.array([[4.0, 0.0], [0.0, 1.0]]), 0.0))
    array([0.5, 1. ])
    """
    diagonal = np.diagonal(H)
    mean = float(np.mean(diagonal[diagonal > 0])) if (diagonal > 0).any() else 1.0
    filled = np.where(diagonal > 0, 0.0, mean)
    for share in (damping, 1e-8, 1e-4, 1e-2):
        shifted = H + np.diag(filled + max(share, damping) * mean)
        lower = cholesky(np.asfortranarray(shifted[::-1, ::-1]))
        if lower is None:
            continue
        inverse, info = lapack.dtrtri(lower, lower=1)
        if info == 0 and np.isfinite(inverse).all():
            return np.ascontiguousarray(np.tril(inverse)[::-1, ::-1])
    raise np.linalg.LinAlgError("H is not positive definite even with one per cent damping")


def propagate(
    W: F64, C: F64, bounds: Sequence[int], settle: Callable[[F64, F64, F64, F64, int], None]
) -> F64:
    """Return the settled weights of all rows, (R, n).

    Parameters
    ----------
    W : (R, n) weights, columns in the order in which they are settled
    C : (n, n) from `inverse_factor`
    bounds : first columns of the blocks, and n
    settle : gets a block's weights V (R, b), its (b, b) part of C, the arrays X and E (R, b) to write what
        each weight became and (V - X) / C_ii, and the first column
    """
    V, X = W.copy(), np.empty_like(W)
    for first, last in pairwise(bounds):
        block = np.ascontiguousarray(V[:, first:last])
        settled, passed = np.empty_like(block), np.empty_like(block)
        settle(block, np.ascontiguousarray(C[first:last, first:last]), settled, passed, first)
        X[:, first:last] = settled
        V[:, last:] -= passed @ C[first:last, last:]
    return X

"""Which weights share a block of D."""

from __future__ import annotations

import numpy as np

from pvq.arrays import F64, I64

from .linalg import cholesky, inverse

__all__ = ["partition"]


def partition(A: F64, size: int) -> list[I64]:
    """Return blocks of `size` weights, the last maybe smaller, that keep large partial correlations together.

    The diagonal relaxation loses what the best change of one kept weight owes to another's removal: that is
    inv(A)_ij / sqrt(inv(A)_ii inv(A)_jj). Greedily, the pair with the largest one starts a block, and the
    weight with the largest sum of them to the block joins, until it is full.

    Parameters
    ----------
    A : (n, n) positive definite

    >>> A = np.eye(4) + 0.5 * np.eye(4)[[2, 1, 0, 3]] * [1, 0, 1, 0]
    >>> [block.tolist() for block in partition(A, 2)]
    [[0, 2], [1, 3]]
    """
    factor = cholesky(np.asfortranarray(A))
    assert factor is not None, "A is positive definite"
    Z = inverse(factor)
    root = np.sqrt(np.diagonal(Z))
    tie = np.abs(Z) / root[:, None] / root
    np.fill_diagonal(tie, -1.0)
    left, blocks = np.arange(len(A)), []
    while len(left) > size:
        block = _next_block(tie, left, size)
        left = np.setdiff1d(left, block)
        blocks.append(block)
    return [*blocks, left]


def _next_block(tie: F64, left: I64, size: int) -> I64:
    among = tie[np.ix_(left, left)]
    first, second = np.unravel_index(int(np.argmax(among)), among.shape)
    block = [int(first), int(second)][:size]
    while len(block) < size:
        pull = among[block].sum(axis=0)
        pull[block] = -np.inf
        block.append(int(np.argmax(pull)))
    return np.sort(left[block])

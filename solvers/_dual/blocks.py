"""Block-diagonal symmetric matrices: one large block, n blocks of order two, rows of n numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pvq.arrays import F64

__all__ = ["Blocks", "longest_step", "pair_inverse", "pair_product", "symmetric_product"]


class Blocks(NamedTuple):
    """One (N, N) block, n blocks [[a, b], [b, c]] stored as `pairs` (3, n), n columns of numbers (r, n)."""

    big: F64
    pairs: F64
    line: F64

    def inner(self, other: Blocks) -> float:
        """Return the sum of traces of products."""
        pairs = self.pairs * other.pairs
        lines = np.vdot(self.line, other.line)
        return float(np.vdot(self.big, other.big) + pairs.sum() + pairs[1].sum() + lines)

    def moved(self, step: float, change: Blocks) -> Blocks:
        """Return self + step * change."""
        return Blocks(*(part + step * move for part, move in zip(self, change, strict=True)))


def pair_inverse(pairs: F64) -> F64:
    """Return the inverses of the blocks of order two."""
    a, b, c = pairs
    return np.asarray(np.array([c, -b, a]) / (a * c - b * b))


def pair_product(P: F64, Q: F64, R: F64) -> F64:
    """Return the symmetric part of P Q R for symmetric blocks of order two."""
    (pa, pb, pc), (qa, qb, qc), (ra, rb, rc) = P, Q, R
    m11, m12, m21, m22 = pa * qa + pb * qb, pa * qb + pb * qc, pb * qa + pc * qb, pb * qb + pc * qc
    off = m11 * rb + m12 * rc + m21 * ra + m22 * rb
    return np.array([m11 * ra + m12 * rb, 0.5 * off, m21 * rb + m22 * rc])


def symmetric_product(P: Blocks, Q: Blocks, R: Blocks) -> Blocks:
    """Return the symmetric part of P Q R where Q's large block is a diagonal plus a last row and column."""
    arrow, n = Q.big, len(Q.big) - 1
    PQ = np.empty_like(P.big)
    PQ[:, :n] = P.big[:, :n] * np.diagonal(arrow)[:n] + np.outer(P.big[:, n], arrow[n, :n])
    PQ[:, n] = P.big @ arrow[:, n]
    product = PQ @ R.big
    return Blocks(
        0.5 * (product + product.T),
        pair_product(P.pairs, Q.pairs, R.pairs),
        P.line * Q.line * R.line,
    )


def longest_step(values: Blocks, change: Blocks) -> float:
    """Return the largest t at which the small blocks of values + t * change stay semidefinite, or inf."""
    (a, b, c), (p, q, r) = values.pairs, change.pairs
    # In the metric of the block, the step ends at 1 / (largest eigenvalue of -L^-1 change L^-T).
    root = np.sqrt(a)
    low, corner = b / root, np.sqrt(np.maximum(c - b * b / a, np.finfo(float).tiny))
    e11 = -p / a
    e12 = -(q - p * low / root) / (root * corner)
    e22 = -(r - 2.0 * q * low / root + p * (low / root) ** 2) / corner**2
    top = 0.5 * (e11 + e22) + np.hypot(0.5 * (e11 - e22), e12)
    worst = max(float(top.max()), float((-change.line / values.line).max()))
    return 1.0 / worst if worst > 0 else float("inf")

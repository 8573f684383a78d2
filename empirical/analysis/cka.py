"""Linear centred kernel alignment (CKA): how alike two sets of features of the same examples are.

    CKA(X, Y) = ||Yc' Xc||_F^2 / (||Xc' Xc||_F ||Yc' Yc||_F),

with Xc (n, p) and Yc (n, q) the features of n examples, each column centred. It lies in [0, 1], and neither
rotations of the features, nor their scale, nor a constant added to them change it (S. Kornblith et al.,
Similarity of Neural Network Representations Revisited, ICML 2019). With few examples and many features it is
biased upwards: of two independent Gaussian matrices it is about sqrt(pq) / sqrt((n + p)(n + q)).

Both ways to compute it are exact, and differ in memory: `FeatureCka` takes examples batch by batch and keeps
p x p, q x q and q x p sums; `GramCka` takes features block by block and keeps two n x n ones.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from pvq.arrays import F64, as_f64

__all__ = ["FeatureCka", "GramCka", "linear_cka"]

# A column's spread is rounding noise below this share of its size: features are float32 as a rule.
CONSTANT = 1e-6


def linear_cka(x: ArrayLike, y: ArrayLike) -> float:
    """Return the linear CKA of two matrices of features.

    Parameters
    ----------
    x : (n, p) features of n examples
    y : (n, q) others of the same examples, in the same order

    Raises
    ------
    ValueError : no matrices, not the same examples, NaN or infinity, features equal for all examples

    >>> x = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
    >>> round(linear_cka(x, -2 * x[:, ::-1] + 5), 12)
    1.0
    """
    a, b = as_f64(x, "x", 2), as_f64(y, "y", 2)
    sums: FeatureCka | GramCka = GramCka() if len(a) < max(a.shape[1], b.shape[1]) else FeatureCka()
    sums.update(a, b)
    return sums.value()


class FeatureCka:
    """Running sums over batches of examples: memory for p^2 + q^2 + p q numbers, whatever n is."""

    def __init__(self) -> None:
        self.n = 0
        self._shift: tuple[F64, F64] | None = None

    def update(self, x: ArrayLike, y: ArrayLike) -> None:
        """Add the features x (m, p) and y (m, q) of m further examples.

        Raises
        ------
        ValueError : as of `linear_cka`, or another number of features than before
        """
        a, b = _pair(x, y)
        if self._shift is None:  # near the mean, so that little cancels when the means are taken off
            self._shift = a.mean(axis=0), b.mean(axis=0)
            p, q = a.shape[1], b.shape[1]
            self._sums = np.zeros(p), np.zeros(q)
            self._products = np.zeros((p, p)), np.zeros((q, q)), np.zeros((q, p))
        for values, shift, name in zip((a, b), self._shift, "xy", strict=True):
            if values.shape[1] != len(shift):
                raise ValueError(f"{name} must have {len(shift)} features, got {values.shape[1]}")
        a, b = a - self._shift[0], b - self._shift[1]
        for total, part in zip(self._sums, (a.sum(axis=0), b.sum(axis=0)), strict=True):
            total += part
        for products, more in zip(self._products, (a.T @ a, b.T @ b, b.T @ a), strict=True):
            products += more
        self.n += len(a)

    def value(self) -> float:
        """Return the CKA of all examples so far.

        Raises
        ------
        ValueError : fewer than two examples, features that are the same for all examples
        """
        _enough(self.n)
        assert self._shift is not None
        (sa, sb), (aa, bb, ba) = self._sums, self._products
        aa, bb, ba = (
            aa - np.outer(sa, sa) / self.n,
            bb - np.outer(sb, sb) / self.n,
            ba - np.outer(sb, sa) / self.n,
        )
        for spread, shift, total, name in zip(
            (np.trace(aa), np.trace(bb)), self._shift, self._sums, "xy", strict=True
        ):
            _varies(float(spread), self.n * float(np.sum((shift + total / self.n) ** 2)), name)
        return float(np.sum(ba**2) / (np.linalg.norm(aa) * np.linalg.norm(bb)))


class GramCka:
    """Running sums over blocks of features: memory for two n x n matrices, whatever p and q are."""

    def __init__(self) -> None:
        self._grams: tuple[F64, F64] | None = None
        self._means = [0.0, 0.0]

    def update(self, x: ArrayLike, y: ArrayLike) -> None:
        """Add further features, x (n, m) and y (n, k), of the same n examples.

        Raises
        ------
        ValueError : as of `linear_cka`, or other examples than before
        """
        pair = _pair(x, y)
        n = len(pair[0])
        if self._grams is None:
            self._grams = np.zeros((n, n)), np.zeros((n, n))
        if len(self._grams[0]) != n:
            raise ValueError(f"x and y must be of {len(self._grams[0])} examples, got {n}")
        for i, values in enumerate(pair):
            mean = values.mean(axis=0)
            centred = values - mean
            self._grams[i][...] += centred @ centred.T
            self._means[i] += n * float(np.sum(mean**2))

    def value(self) -> float:
        """Return the CKA of all features so far: <K, L> / (||K|| ||L||) of the two Gram matrices.

        Raises
        ------
        ValueError : fewer than two examples, features that are the same for all examples
        """
        _enough(0 if self._grams is None else len(self._grams[0]))
        assert self._grams is not None
        one, other = self._grams
        for gram, means, name in zip(self._grams, self._means, "xy", strict=True):
            _varies(float(np.trace(gram)), means, name)
        return float(np.sum(one * other) / (np.linalg.norm(one) * np.linalg.norm(other)))


def _pair(x: ArrayLike, y: ArrayLike) -> tuple[F64, F64]:
    a, b = as_f64(x, "x", 2), as_f64(y, "y", 2)
    if len(a) != len(b):
        raise ValueError(f"x and y must be of the same examples, got {len(a)} and {len(b)}")
    return a, b


def _enough(n: int) -> None:
    if n < 2:
        raise ValueError(f"CKA needs at least 2 examples, got {n}")


def _varies(spread: float, size: float, name: str) -> None:
    """Refuse features whose squared deviations are nothing beside their squared means."""
    if not spread > CONSTANT**2 * size or not math.isfinite(spread):
        raise ValueError(f"{name} must differ between examples, got the same features for all of them")

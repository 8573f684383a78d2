"""Linear centred kernel alignment (CKA): how alike two sets of features of the same examples are.

    CKA(X, Y) = ||Yc' Xc||_F^2 / (||Xc' Xc||_F ||Yc' Yc||_F),

with Xc (n, p) and Yc (n, q) the features of n examples, each column centred. It lies in [0, 1], and neither
rotations of the features, nor their scale, nor a constant added to them change it (S. Kornblith et al.,
Similarity of Neural Network Representations Revisited, ICML 2019). With few examples and many features it is
biased upwards: of two independent Gaussian matrices it is about sqrt(pq) / sqrt((n + p)(n + q)). `debiased`
is the same ratio of unbiased estimates of its three terms, about 0 for independent features whatever n is
(L. Song et al., Feature Selection via Dependence Maximization, JMLR 13, 2012, eq. 5; T. Nguyen et al., Do
Wide and Deep Networks Learn the Same Things?, ICLR 2021). It can be slightly negative.

Both ways to compute them are exact, and differ in memory: `FeatureCka` takes examples batch by batch and
keeps p x p, q x q and q x p sums; `GramCka` takes features block by block and keeps two n x n ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from pvq.arrays import F64, as_f64

__all__ = ["FeatureCka", "GramCka", "linear_cka"]

# A column's spread is rounding noise below this share of its size: features are float32 as a rule.
CONSTANT = 1e-6
ROUNDING = 1e-12  # of a sum, as a share of its largest term


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
            p, q = a.shape[1] + 1, b.shape[1] + 1  # the last is for squared norms
            self._sums = np.zeros(p), np.zeros(q)
            self._products = np.zeros((p, p)), np.zeros((q, q)), np.zeros((q, p))
        for values, shift, name in zip((a, b), self._shift, "xy", strict=True):
            if values.shape[1] != len(shift):
                raise ValueError(f"{name} must have {len(shift)} features, got {values.shape[1]}")
        a, b = _with_norms(a - self._shift[0]), _with_norms(b - self._shift[1])
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
        sa, sb = (total[:-1] for total in self._sums)
        aa, bb, ba = (products[:-1, :-1] for products in self._products)
        aa, bb, ba = (
            aa - np.outer(sa, sa) / self.n,
            bb - np.outer(sb, sb) / self.n,
            ba - np.outer(sb, sa) / self.n,
        )
        for spread, shift, total, name in zip(
            (np.trace(aa), np.trace(bb)), self._shift, (sa, sb), "xy", strict=True
        ):
            _varies(float(spread), self.n * float(np.sum((shift + total / self.n) ** 2)), name)
        return float(np.sum(ba**2) / (np.linalg.norm(aa) * np.linalg.norm(bb)))

    def debiased(self) -> float:
        """Return the debiased CKA of all examples so far; NaN where an estimate in its denominator is 0.

        Raises
        ------
        ValueError : fewer than four examples, features that are the same for all examples
        """
        _enough(self.n, 4)
        self.value()  # refuses constant features
        (sa, sb), (aa, bb, ba) = self._sums, self._products
        return _ratio(self._unbiased(ba, sb, sa), self._unbiased(aa, sa, sa), self._unbiased(bb, sb, sb))

    def _unbiased(self, products: F64, first: F64, second: F64) -> float:
        """Return n (n - 3) times the unbiased estimate of ||y' x||^2 from sums with squared norms.

        Row i of a Gram matrix without its diagonal adds up to x_i' sum(x) - |x_i|^2, a form in x_i and its
        squared norm, so the sum over i of two such is one in the products.
        """
        kernel = float(np.sum(products[:-1, :-1] ** 2) - products[-1, -1])
        totals = [float(np.sum(total[:-1] ** 2) - total[-1]) for total in (first, second)]
        forms = [np.append(total[:-1], -1.0) for total in (first, second)]
        return _unbiased(self.n, kernel, totals, float(forms[0] @ products @ forms[1]))


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

    def debiased(self) -> float:
        """Return the debiased CKA of all features so far; NaN where an estimate in its denominator is 0.

        Raises
        ------
        ValueError : fewer than four examples, features that are the same for all examples
        """
        _enough(0 if self._grams is None else len(self._grams[0]), 4)
        self.value()  # refuses constant features
        assert self._grams is not None
        one, other = (gram - np.diag(np.diag(gram)) for gram in self._grams)
        return _ratio(*(_unbiased_of(a, b) for a, b in ((one, other), (one, one), (other, other))))


def _pair(x: ArrayLike, y: ArrayLike) -> tuple[F64, F64]:
    a, b = as_f64(x, "x", 2), as_f64(y, "y", 2)
    if len(a) != len(b):
        raise ValueError(f"x and y must be of the same examples, got {len(a)} and {len(b)}")
    return a, b


def _with_norms(x: F64) -> F64:
    """Return (n, p) features with their squared norms as one more column."""
    return np.column_stack([x, np.sum(x**2, axis=1)])


def _unbiased_of(a: F64, b: F64) -> float:
    """Return what `_unbiased` does, of two Gram matrices with a diagonal of zeros."""
    rows = a.sum(axis=1), b.sum(axis=1)
    totals = [float(row.sum()) for row in rows]
    return _unbiased(len(a), float(np.sum(a * b)), totals, float(rows[0] @ rows[1]))


def _unbiased(n: int, kernel: float, totals: Sequence[float], rows: float) -> float:
    """Return n (n - 3) times the estimate, from tr(K L), the sums of K and of L, and the sum of K L.

    What is no more than the rounding of its terms is zero.
    """
    terms = (kernel, totals[0] * totals[1] / ((n - 1) * (n - 2)), -2 * rows / (n - 2))
    total = math.fsum(terms)
    return total if abs(total) > ROUNDING * max(map(abs, terms)) else 0.0


def _ratio(both: float, one: float, other: float) -> float:
    return both / math.sqrt(one * other) if one > 0 and other > 0 else math.nan


def _enough(n: int, least: int = 2) -> None:
    if n < least:
        raise ValueError(f"CKA needs at least {least} examples, got {n}")


def _varies(spread: float, size: float, name: str) -> None:
    """Refuse features whose squared deviations are nothing beside their squared means."""
    if not spread > CONSTANT**2 * size or not math.isfinite(spread):
        raise ValueError(f"{name} must differ between examples, got the same features for all of them")

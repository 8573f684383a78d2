"""The largest weights of a layer in FP16, the others zero: ``sparse[bits=4]``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.solvers.formats.float import as_float
from pvq.solvers.stored_format import FORMATS, Cost, Decision, Storage, mask_cost
from pvq.theory.budget import DENSE_BITS, Budget

__all__ = ["Sparse", "keep_largest"]


@FORMATS.register("sparse")
@dataclass(frozen=True)
class Sparse:
    """A share bits / 16 of a layer's weights, the largest, kept in FP16; the mask costs extra.

    Keeping the largest magnitudes is optimal even after rounding to FP16: what a kept weight saves,
    w^2 - (w - v)^2 = v (2 |w| - |v|) with v the number nearest to w, grows with |w|; where v changes, at the
    midpoint of neighbours, it is continuous.

    Parameters
    ----------
    bits : payload per weight, in (0, 16]

    >>> Sparse(4).nearest(np.array([[1.0, -8.0, 3.0, 0.5]]), np.empty(0))
    array([[ 0., -8.,  0.,  0.]])
    """

    bits: float
    doubt = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.bits <= DENSE_BITS:
            raise ValueError(f"bits must lie in (0, 16], got {self.bits}")

    @property
    def camp(self) -> Decision:
        """Prune."""
        return "prune"

    def kept(self, n: int) -> int:
        """Return how many of n weights are kept: round(bits / 16 n), of halves the even one."""
        return round(Budget(self.bits).density * n)

    def scales(self, W: F64, storage: Storage) -> F64:
        """Return no scale.

        Raises
        ------
        ValueError : a weight beyond FP16's range
        """
        as_float(W, 16)
        return np.empty(0)

    def nearest(self, W: F64, scales: F64) -> F64:
        """Return the largest magnitudes of the layer rounded to FP16; of equals, the first stay."""
        return as_float(keep_largest(W, self.kept(W.size)), 16)

    def cost(self, shape: tuple[int, int], storage: Storage) -> Cost:
        """Return the bits of the kept weights and of the mask."""
        n = shape[0] * shape[1]
        return Cost(16 * self.kept(n), 0, *mask_cost(self.kept(n), n, storage.mask))


def keep_largest(W: F64, kept: int) -> F64:
    """Return W with all but its `kept` largest magnitudes zero; of equals, the first stay.

    >>> keep_largest(np.array([[2.0, -2.0], [1.0, 3.0]]), 2)
    array([[2., 0.], [0., 3.]])
    """
    if kept == 0:
        return np.zeros_like(W)
    size = np.abs(W).ravel()
    threshold = np.partition(size, size.size - kept)[size.size - kept]
    stays = size > threshold
    ties = np.flatnonzero(size == threshold)
    stays[ties[: kept - int(stays.sum())]] = True
    return np.where(stays.reshape(W.shape), W, 0.0)

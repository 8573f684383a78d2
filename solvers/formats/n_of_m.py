"""At most n of every m consecutive weights of a row, in FP16: ``n_of_m[n=2,m=4]``."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.solvers.formats.float import as_float
from pvq.solvers.stored_format import FORMATS, Cost, Decision, Storage
from pvq.theory.budget import n_of_m_mask_bits

__all__ = ["NOfM"]


@FORMATS.register("n_of_m")
@dataclass(frozen=True)
class NOfM:
    """Of each m consecutive weights of a row the n largest, kept in FP16; the last group may be shorter.

    Parameters
    ----------
    n, m : 1 <= n < m

    >>> NOfM(1, 2).nearest(np.array([[3.0, -4.0, 0.5]]), np.empty(0))
    array([[ 0. , -4. ,  0.5]])
    """

    n: int
    m: int
    doubt = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.n < self.m:
            raise ValueError(f"n and m must fulfil 1 <= n < m, got n={self.n}, m={self.m}")

    @property
    def camp(self) -> Decision:
        """Prune."""
        return "prune"

    def scales(self, W: F64, storage: Storage) -> F64:
        """Return no scale.

        Raises
        ------
        ValueError : a weight beyond FP16's range
        """
        as_float(W, 16)
        return np.empty(0)

    def nearest(self, W: F64, scales: F64) -> F64:
        """Return the n largest magnitudes of each group rounded to FP16; of equals, the first stay."""
        rows, length = W.shape
        padded = np.zeros((rows, -(-length // self.m) * self.m))
        padded[:, :length] = W
        groups = padded.reshape(rows, -1, self.m)
        order = np.argsort(-np.abs(groups), axis=2, kind="stable")
        np.put_along_axis(groups, order[:, :, self.n :], 0.0, axis=2)
        return as_float(groups.reshape(rows, -1)[:, :length], 16)

    def cost(self, shape: tuple[int, int], storage: Storage) -> Cost:
        """Return the bits of the kept weights and of their places in the groups.

        Of a full group log2 C(m, n) bits, all such groups together rounded up, or a bitmap's m; of a last
        group of r > n weights likewise.
        """
        rows, length = shape
        full, rest = divmod(length, self.m)
        kept = rows * (full * self.n + min(rest, self.n))
        places = _places(rows * full, self.n, self.m)
        if rest > self.n:
            places += _places(rows, self.n, rest)
        bitmap = rows * (full * self.m + (rest if rest > self.n else 0))
        coded = min(bitmap, places)
        if storage.mask == "bitmap":
            return Cost(16 * kept, 0, bitmap, "bitmap" if bitmap else "none")
        return Cost(16 * kept, 0, coded, "entropy" if coded else "none")


def _places(groups: int, n: int, m: int) -> int:
    """Return groups log2 C(m, n) rounded up; exact where that is whole, at most one bit more elsewhere."""
    choices = math.comb(m, n)
    if choices & (choices - 1) == 0:
        return groups * (choices.bit_length() - 1)
    return math.ceil(groups * m * n_of_m_mask_bits(n, m) * (1 + 1e-12))

"""Gram matrices as the tasks of a process share them: read once per layer.

What methods prepare of H (its factors, the analytic centre) is kept for as long as its `Gram` lives.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pvq.arrays import F64
from pvq.empirical.store import ArrayStore, content_key
from pvq.errors import PvqError
from pvq.solvers.gram import Gram

__all__ = ["LayerGrams", "layer_grams"]

LAYERS = 2  # kept per process: the layer at hand, and the one before, whose last rows others still solve


class LayerGrams:
    """The Gram matrices of a layer's groups, each checked when it is first asked for.

    Parameters
    ----------
    matrices : (groups, n, n)

    >>> import numpy as np
    >>> grams = LayerGrams(np.eye(2)[None])
    >>> grams[0] is grams[0]
    True
    """

    def __init__(self, matrices: F64) -> None:
        self._matrices = matrices
        self._made: dict[int, Gram] = {}

    def __getitem__(self, group: int) -> Gram:
        """Return the matrix of one group."""
        if group not in self._made:
            self._made[group] = Gram(self._matrices[group])
        return self._made[group]


@lru_cache(maxsize=LAYERS)
def layer_grams(folder: Path, key: str, digest: str) -> LayerGrams:
    """Return the Gram matrices that a folder holds under a key.

    Parameters
    ----------
    digest : content hash that they must have

    Raises
    ------
    PvqError : they are gone, damaged or others
    """
    stored = ArrayStore(folder).get(key)
    if stored is None:
        raise PvqError(f"the Gram matrices {key[:12]} are missing or damaged; run again")
    if content_key({}, stored["grams"]) != digest:
        raise PvqError(f"the Gram matrices {key[:12]} are no longer those that were planned with; run again")
    return LayerGrams(stored["grams"])

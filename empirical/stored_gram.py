"""A layer's Gram matrices on disk: at hand is what planning asks of them, they themselves when wanted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pvq.empirical.store import ArrayStore, content_key
from pvq.errors import PvqError

if TYPE_CHECKING:
    from pvq.empirical.activations import LayerGram

__all__ = ["StoredGram"]


@dataclass(frozen=True)
class StoredGram:
    """Where a layer's Gram matrices lie, and what is known of them.

    Parameters
    ----------
    folder, key, digest : of the store, the name in it, and the hash of the content
    groups, n : there are `groups` matrices of n x n
    positions : number of output positions that were averaged over
    dead : number of inputs, over all groups, that were zero at every position
    finite : no matrix holds NaN or infinity
    """

    folder: Path
    key: str
    digest: str
    groups: int
    n: int
    positions: int
    dead: int
    finite: bool

    @classmethod
    def of(cls, gram: LayerGram, folder: Path, key: str) -> StoredGram:
        """Return what a folder holds under a key; the matrices are not kept."""
        groups, n, _ = gram.grams.shape
        finite = bool(np.isfinite(gram.grams).all())
        return cls(folder, key, content_key({}, gram.grams), groups, n, gram.positions, gram.dead, finite)

    @property
    def value(self) -> LayerGram:
        """The matrices, read from disk; those of the last layer asked for are kept.

        Raises
        ------
        PvqError : they are gone, damaged or others
        """
        return _read(self.folder, self.key, self.digest)


@lru_cache(maxsize=1)
def _read(folder: Path, key: str, digest: str) -> LayerGram:
    from pvq.empirical.activations import LayerGram

    stored = ArrayStore(folder).get(key)
    if stored is None or content_key({}, stored["grams"]) != digest:
        raise PvqError(f"the Gram matrices {key[:12]} in {folder} are gone or damaged; run again")
    return LayerGram(stored["grams"], int(stored["positions"]))

"""A scalar codebook: its levels, the cells that round to them, and rounding itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64, I64, as_f64

__all__ = ["Codebook"]


@dataclass(frozen=True)
class Codebook:
    """The values that a quantized weight may take.

    Parameters
    ----------
    levels : (L,) strictly increasing, in weight units
    scale : the step or scale factor the levels were made with, nan where a format has none
    """

    levels: F64
    scale: float = float("nan")

    def __post_init__(self) -> None:
        levels = as_f64(self.levels, "levels", ndim=1)
        if (np.diff(levels) <= 0).any():
            raise ValueError(f"levels must be strictly increasing, got {levels}")
        object.__setattr__(self, "levels", levels)

    @property
    def edges(self) -> F64:
        """Cell edges, shape (L + 1,): midpoints between neighbours, -inf and inf outside.

        >>> Codebook(np.array([0.0, 1.0])).edges
        array([-inf,  0.5,  inf])
        """
        inner = self.levels[:-1] + 0.5 * np.diff(self.levels)
        return np.concatenate([[-np.inf], inner, [np.inf]])

    def index(self, w: F64) -> I64:
        """Return the index of the level nearest to each weight; a tie takes the lower level."""
        return np.searchsorted(self.edges[1:-1], w, side="left").astype(np.int64)

    def nearest(self, w: F64) -> F64:
        """Return the level nearest to each weight.

        >>> Codebook(np.array([0.0, 1.0])).nearest(np.array([0.2, 7.0]))
        array([0., 1.])
        """
        return self.levels[self.index(w)]

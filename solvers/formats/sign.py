"""One bit a weight, its sign, times a scale: ``sign``, ``sign[per=row]``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pvq.arrays import F64
from pvq.solvers.formats.int import stored_scale
from pvq.solvers.stored_format import FORMATS, Cost, Decision, Storage

__all__ = ["Sign"]


@FORMATS.register("sign")
@dataclass(frozen=True)
class Sign:
    """Every weight plus or minus a scale, the mean magnitude, which has the least squared error.

    M. Rastegari and others, XNOR-Net, arXiv 1603.05279, section 3.1.

    Parameters
    ----------
    per : one scale for the ``tensor``, or one for each ``row`` (output channel)

    >>> Sign().scales(np.array([[1.0, -3.0]]), Storage())
    array([2.])
    """

    per: Literal["tensor", "row"] = "tensor"
    doubt = 0.0

    @property
    def camp(self) -> Decision:
        """Quantize."""
        return "quantize"

    def scales(self, W: F64, storage: Storage) -> F64:
        """Return the scales, shape (1,) or (rows,); the least positive ones where all weights are zero.

        Raises
        ------
        ValueError : weights so small or large that their scale is no normal number of the format
        """
        magnitude = np.abs(W)
        best = magnitude.mean(axis=1) if self.per == "row" else np.array([magnitude.mean()])
        least = float(np.finfo(np.float32 if storage.scale_bits == 32 else np.float16).tiny)
        return stored_scale(np.where(best == 0, least, best), 1, storage.scale_bits)

    def nearest(self, W: F64, scales: F64) -> F64:
        """Return the scale with the sign of each weight; zero takes the lower level."""
        per_row = scales[:, None] if self.per == "row" else scales
        return np.where(W > 0, per_row, -per_row)

    def cost(self, shape: tuple[int, int], storage: Storage) -> Cost:
        """Return the bits of the signs and of the scales."""
        number = shape[0] if self.per == "row" else 1
        return Cost(shape[0] * shape[1], number * storage.scale_bits)

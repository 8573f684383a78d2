"""Weights kept as they are, as floating-point numbers: ``float[bits=16]``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.solvers.stored_format import FORMATS, Cost, Decision, Storage

__all__ = ["Float", "as_float"]

_TYPES = {16: np.float16, 32: np.float32}


@FORMATS.register("float")
@dataclass(frozen=True)
class Float:
    """All weights in IEEE half or single precision: FP16, the baseline, or FP32.

    Parameters
    ----------
    bits : 16 or 32

    >>> Float(16).cost((2, 8), Storage()).bits
    256
    """

    bits: int = 16
    doubt = 0.0

    def __post_init__(self) -> None:
        if self.bits not in _TYPES:
            raise ValueError(f"bits must be 16 or 32, got {self.bits}")

    @property
    def camp(self) -> Decision:
        """Nothing is compressed beyond the baseline."""
        return "keep"

    def scales(self, W: F64, storage: Storage) -> F64:
        """Return no scale.

        Raises
        ------
        ValueError : a weight beyond the format's range
        """
        as_float(W, self.bits)
        return np.empty(0)

    def nearest(self, W: F64, scales: F64) -> F64:
        """Return the weights rounded to the format."""
        return as_float(W, self.bits)

    def cost(self, shape: tuple[int, int], storage: Storage) -> Cost:
        """Return the bits of all weights."""
        return Cost(self.bits * shape[0] * shape[1])


def as_float(W: F64, bits: int) -> F64:
    """Return each weight rounded to the nearest number of the format, as float64.

    Raises
    ------
    ValueError : a weight beyond the format's range

    >>> as_float(np.array([1 / 3]), 16)
    array([0.33325195])
    """
    with np.errstate(over="ignore"):
        rounded = W.astype(_TYPES[bits]).astype(np.float64)
    if not np.isfinite(rounded).all():
        raise ValueError(f"weights must fit in FP{bits}, got one of magnitude {np.abs(W).max():.3g}")
    return rounded

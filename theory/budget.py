"""Bits per weight: the scale on which pruning and quantization meet."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DENSE_BITS", "Budget"]

DENSE_BITS = 16.0  # the FP16 baseline of Kuzmin et al. (arXiv 2307.02973)


@dataclass(frozen=True)
class Budget:
    """Average number of bits that one weight may cost.

    Parameters
    ----------
    bits : bits per weight, in (0, 32]
    """

    bits: float

    def __post_init__(self) -> None:
        if not 0 < self.bits <= 32:
            raise ValueError(f"bits must lie in (0, 32], got {self.bits}")

    @property
    def density(self) -> float:
        """Share of weights that pruning keeps when kept weights cost 16 bits and the mask is free.

        >>> Budget(4).density
        0.25
        """
        return min(1.0, self.bits / DENSE_BITS)

    @property
    def sparsity(self) -> float:
        """Share of weights that pruning removes: 1 - density.

        >>> Budget(4).sparsity
        0.75
        """
        return 1.0 - self.density

"""Where pruning and quantization are equally good: in the plane of kurtosis and bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from pvq.arrays import F64, as_f64
from pvq.theory.budget import Budget
from pvq.theory.distribution import WeightDistribution, kurtosis
from pvq.theory.matched import Family, bounded_student, law_of_kurtosis
from pvq.theory.quantizer import Quantizer
from pvq.theory.snr import pruning_snr, quantization_snr
from pvq.theory.tensors import quantizer_at

__all__ = ["Crossover", "RegionMap", "advantage_db", "crossover", "region_map"]

WIDEST = 1e6  # of r, at least a kurtosis of 1e9
HEAVIEST = 1e6  # of kurtosis, for the family without r: nu = 4.000006


@dataclass(frozen=True)
class Crossover:
    """The tail at which both camps reach the same SNR; below it quantization wins, above it pruning.

    Parameters
    ----------
    bits : bits per weight
    kurtosis : Pearson's, inf where quantization wins however heavy the tail
    r : bound of the support in units of Student's scale, nan for the family without one
    snr_db : the common SNR, nan where there is no tie
    """

    bits: float
    kurtosis: float
    r: float
    snr_db: float


@dataclass(frozen=True)
class RegionMap:
    """SNRs over a grid of kurtosis (rows) and bits (columns), in dB.

    Parameters
    ----------
    kurtosis : (K,)
    bits : (B,)
    quant_snr_db, prune_snr_db : (K, B)
    """

    kurtosis: F64
    bits: F64
    quant_snr_db: F64
    prune_snr_db: F64

    @property
    def advantage_db(self) -> F64:
        """Return quantization minus pruning, (K, B): positive where quantization wins."""
        return self.quant_snr_db - self.prune_snr_db


def advantage_db(law: WeightDistribution, bits: float, quantizer: str | Quantizer = "int") -> float:
    """Return the SNR of quantization minus that of pruning at the same bits per weight, in dB.

    Raises
    ------
    ValueError : bits at 16 and more, where pruning removes nothing; a width that the quantizer refuses

    >>> from pvq.theory.distributions.gaussian import Gaussian
    >>> round(advantage_db(Gaussian(), 4), 3)
    13.673
    """
    return float(np.subtract(*_both(law, bits, quantizer)))


def crossover(
    bits: float, quantizer: str | Quantizer = "int", family: Family = "truncated", nu: float = 2.0
) -> Crossover:
    """Return where the family's law makes both camps equal at `bits` bits per weight.

    Parameters
    ----------
    bits : below 16
    quantizer : spec or quantizer
    family : ``truncated``, ``clipped`` or ``matched-nu``, see `law_of_kurtosis`
    nu : degrees of freedom of the first two

    Raises
    ------
    ValueError : bits refused; pruning wins even on the lightest tail of the family

    >>> tie = crossover(4)
    >>> round(tie.r, 2), round(tie.kurtosis, 2)
    (29.37, 28.35)
    """
    if isinstance(quantizer, str):
        return _of_spec(float(bits), quantizer, family, float(nu))
    return _crossover(float(bits), quantizer, family, float(nu))


@lru_cache(maxsize=256)
def _of_spec(bits: float, quantizer: str, family: Family, nu: float) -> Crossover:
    return _crossover(bits, quantizer, family, nu)


def _crossover(bits: float, quantizer: str | Quantizer, family: Family, nu: float) -> Crossover:
    from scipy.optimize import brentq

    def law(log_tail: float) -> WeightDistribution:
        tail = float(np.exp(log_tail))
        return (
            law_of_kurtosis(3 + tail, family) if family == "matched-nu" else bounded_student(tail, family, nu)
        )

    def advantage(log_tail: float) -> float:
        return advantage_db(law(log_tail), bits, quantizer)

    low, most = np.log(0.5), np.log(HEAVIEST if family == "matched-nu" else WIDEST)
    if advantage(low) <= 0:
        raise ValueError(f"bits must let quantization win on light tails, got {bits} bits with {quantizer}")
    high = low + 1
    while high < most and advantage(high) > 0:
        low, high = high, high + 1
    if high >= most:
        return Crossover(bits, float("inf"), float("nan"), float("nan"))
    root = float(brentq(advantage, low, high, xtol=1e-10))
    tie = law(root)
    r = float("nan") if family == "matched-nu" else float(np.exp(root))
    return Crossover(bits, kurtosis(tie), r, _both(tie, bits, quantizer)[1])


def region_map(
    kurtoses: ArrayLike,
    bits: Sequence[float],
    quantizer: str | Quantizer = "int",
    family: Family = "truncated",
    nu: float = 2.0,
) -> RegionMap:
    """Return both SNRs of the family's laws over a grid of kurtosis and bits.

    With one width this is the curve of pruning SNR against quantization SNR that theory draws through the
    scatter of real tensors.

    Parameters
    ----------
    kurtoses : (K,) at least 1, see `law_of_kurtosis` for what low values mean
    bits : B widths below 16
    quantizer, family, nu : as for `crossover`

    Raises
    ------
    ValueError : an empty grid, a kurtosis that the family does not have, bits refused

    >>> region_map([3.0, 160.0], [4]).advantage_db.round(1)
    array([[14.3],
           [-5.2]])
    """
    grid, widths = as_f64(kurtoses, "kurtoses", ndim=1), as_f64(bits, "bits", ndim=1)
    both = [[_both(law_of_kurtosis(float(k), family, nu), float(b), quantizer) for b in widths] for k in grid]
    quant, prune = np.moveaxis(np.array(both), -1, 0)
    return RegionMap(grid, widths, quant, prune)


def _both(law: WeightDistribution, bits: float, quantizer: str | Quantizer) -> tuple[float, float]:
    density = Budget(bits).density
    if density >= 1:
        raise ValueError(f"bits must be below 16, where pruning removes something, got {bits}")
    codebook = quantizer_at(quantizer, bits).codebook(law)
    return quantization_snr(law, codebook), pruning_snr(law, density)

"""Pruning and quantization together: how to split a budget between the mask and the values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pvq.theory.budget import DENSE_BITS, Mask, density_at, mask_bits
from pvq.theory.cells import cell_error
from pvq.theory.distribution import WeightDistribution
from pvq.theory.kept import Kept
from pvq.theory.quantizer import Quantizer
from pvq.theory.snr import magnitude_threshold, quantization_error, signal_power, snr_db
from pvq.theory.tensors import quantizer_at

__all__ = ["JointPoint", "best_split", "joint_point", "split_curve"]

WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8, 16)


@dataclass(frozen=True)
class JointPoint:
    """A share of weights kept at some width each.

    Parameters
    ----------
    density : share of weights kept
    value_bits : bits of a kept weight; 16 is the unquantized baseline
    bits : total bits per weight, mask included
    snr_db : expected SNR, in dB
    """

    density: float
    value_bits: int
    bits: float
    snr_db: float


def joint_point(
    law: WeightDistribution,
    density: float,
    value_bits: int,
    mask: Mask = "entropy",
    quantizer: str | Quantizer = "lloyd-max",
) -> JointPoint:
    """Return cost and SNR of keeping the largest magnitudes and quantizing them.

    E = integral of x^2 over |x| <= tau + density * E[(X - Q(X))^2 | |X| > tau], Q made for the law of the
    kept weights; closed form wherever the law's partial moments are. Nothing pruned needs no mask.

    Parameters
    ----------
    law : law of the weights; where an atom straddles the threshold, all of it is pruned
    density : share kept, in (0, 1]
    value_bits : bits of a kept weight, 16 for no quantization
    mask : how the mask is stored, see `mask_bits`
    quantizer : spec or quantizer for the kept weights

    Raises
    ------
    ValueError : density outside (0, 1], a width the quantizer refuses, infinite second moment

    >>> from pvq.theory.distributions.gaussian import Gaussian
    >>> round(joint_point(Gaussian(), 0.25, 16, "free").snr_db, 4)
    5.5847
    """
    if not 0 < density <= 1:
        raise ValueError(f"density must lie in (0, 1], got {density}")
    power = signal_power(law)
    kept = Kept(law, magnitude_threshold(law, density)) if density < 1 else None
    share = kept.mass if kept else 1.0
    pruned = float(cell_error(law, 0.0, np.nextafter(-kept.tau, -np.inf), kept.tau)) if kept else 0.0
    rounded = 0.0
    if value_bits < DENSE_BITS:
        source = kept or law
        rounded = share * quantization_error(source, quantizer_at(quantizer, value_bits).codebook(source))
    total = share * value_bits + (mask_bits(share, mask) if kept else 0.0)
    return JointPoint(share, value_bits, total, snr_db(power, pruned + rounded))


def split_curve(
    law: WeightDistribution,
    bits: float,
    mask: Mask = "entropy",
    quantizer: str | Quantizer = "lloyd-max",
    widths: Sequence[int] = WIDTHS,
) -> tuple[JointPoint, ...]:
    """Return, for each width, the point that spends `bits` bits per weight at the highest density.

    Pure quantization is the point of density 1, pure pruning that of width 16. Widths that the budget cannot
    reach (a bitmap costs one bit) are left out; a width below the budget keeps all and spends less.

    Raises
    ------
    ValueError : bits not positive or not enough for any width; widths empty; as `joint_point`
    """
    if not 0 < bits < np.inf:
        raise ValueError(f"bits must be positive and finite, got {bits}")
    if not widths:
        raise ValueError("widths must not be empty, got none")
    densities = {width: _density(bits, mask, width) for width in widths}
    reached = {width: density for width, density in densities.items() if density > 0}
    if not reached:
        raise ValueError(f"bits must pay for the {mask} mask, got {bits}")
    return tuple(joint_point(law, density, width, mask, quantizer) for width, density in reached.items())


def best_split(
    law: WeightDistribution,
    bits: float,
    mask: Mask = "entropy",
    quantizer: str | Quantizer = "lloyd-max",
    widths: Sequence[int] = WIDTHS,
) -> JointPoint:
    """Return the point of `split_curve` with the highest SNR; the cheaper one at equal SNR.

    Raises
    ------
    ValueError : as `split_curve`
    """
    curve = split_curve(law, bits, mask, quantizer, widths)
    return max(curve, key=lambda point: (point.snr_db, -point.bits))


def _density(bits: float, mask: Mask, width: int) -> float:
    if mask == "bitmap" and bits < min(1.0, width):
        return 0.0
    return density_at(bits, mask, float(width))

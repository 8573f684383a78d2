"""Entropy-coded scalar quantization: equal cells, centroid levels, ideal entropy coder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.theory.distribution import WeightDistribution, variance

__all__ = ["EntropyCoded", "entropy_coded", "uniform_threshold"]

TAIL = 1e-15  # mass beyond the outermost equal cell on either side, gathered in one cell
MOST_CELLS = 2_000_000


@dataclass(frozen=True)
class EntropyCoded:
    """A uniform threshold quantizer as seen by an ideal entropy coder.

    Parameters
    ----------
    step : cell width, in weight units
    bits : entropy of the cell index, in bits per weight
    distortion : mean squared error with centroid levels, in squared weight units
    snr_db : variance over distortion, in dB
    """

    step: float
    bits: float
    distortion: float
    snr_db: float


def uniform_threshold(law: WeightDistribution, step: float) -> EntropyCoded:
    """Return entropy and error of cells ((k - 1/2) step, (k + 1/2) step], each rounded to its centroid.

    Cells that begin beyond the 1e-15 quantiles are merged into one on either side.

    Raises
    ------
    ValueError : step not positive; no finite variance; more than two million cells

    >>> from pvq.theory.distributions.gaussian import Gaussian
    >>> round(uniform_threshold(Gaussian(), 1.08245).bits, 4)
    2.0
    """
    power = variance(law)
    if not 0 < power < np.inf:
        raise ValueError(f"law must have a positive, finite variance, got {power} for {law}")
    edges = _edges(law, step)
    m0, m1, m2 = (law.partial_moment(order, edges[:-1], edges[1:]) for order in (0, 1, 2))
    filled = m0 > 0
    m0, m1, m2 = m0[filled], m1[filled], m2[filled]
    distortion = float(np.maximum(m2 - m1 * m1 / m0, 0.0).sum())
    snr = 10 * float(np.log10(power / distortion)) if distortion > 0 else float("inf")
    return EntropyCoded(step, float(-(m0 * np.log2(m0)).sum()), distortion, snr)


def entropy_coded(law: WeightDistribution, bits: float) -> EntropyCoded:
    """Return the uniform threshold quantizer whose index has an entropy of `bits` bits.

    Raises
    ------
    ValueError : bits not positive, or above what the law's atoms allow; as `uniform_threshold`

    >>> from pvq.theory.distributions.gaussian import Gaussian
    >>> round(entropy_coded(Gaussian(), 1).snr_db, 4)
    4.58
    """
    from scipy.optimize import brentq

    if not 0 < bits < np.inf:
        raise ValueError(f"bits must be positive and finite, got {bits}")
    start = float(np.sqrt(variance(law))) * 2.0 ** (1.5 - bits)

    def excess(log_step: float) -> float:
        return uniform_threshold(law, start * 2.0**log_step).bits - bits

    log_step = float(brentq(excess, *_bracket(excess), xtol=1e-13, rtol=1e-13))
    return uniform_threshold(law, start * 2.0**log_step)


def _edges(law: WeightDistribution, step: float) -> F64:
    if not 0 < step < np.inf:
        raise ValueError(f"step must be positive and finite, got {step}")
    low, high = law.quantile(np.array([TAIL, 1 - TAIL]))
    first, last = np.floor(low / step - 0.5), np.ceil(high / step + 0.5)
    if last - first > MOST_CELLS:
        raise ValueError(f"step must give at most {MOST_CELLS} cells, got {last - first:.3g} at step {step}")
    return np.concatenate([[-np.inf], (np.arange(first, last) + 0.5) * step, [np.inf]])


def _bracket(excess: Callable[[float], float]) -> tuple[float, float]:
    """Return log steps with too much and too little entropy; entropy falls as cells widen."""
    fine, coarse = -1.0, 1.0
    while excess(fine) < 0:
        fine -= 1.0
        if fine < -12:
            raise ValueError("bits must be within what the law can spend: finer cells add no entropy")
    while excess(coarse) > 0:
        coarse += 1.0
    return fine, coarse

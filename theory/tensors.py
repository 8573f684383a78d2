"""Exact statistics of given weights: kurtosis, and the SNR of quantizing and of pruning them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pvq.arrays import F64, as_f64, finite_or_none
from pvq.theory.budget import Budget
from pvq.theory.codebook import Codebook
from pvq.theory.optimal_scale import optimal_scale
from pvq.theory.quantizer import QUANTIZERS, Quantizer, with_bits
from pvq.theory.snr import snr_db
from pvq.theory.winner import winner

__all__ = [
    "kurtosis",
    "optimal_scale",
    "quantizer_at",
    "tensor_pruning_snr",
    "tensor_snr",
    "weights_row",
    "zero_fraction",
]


def kurtosis(w: ArrayLike) -> float:
    """Return Pearson's kurtosis mean((w - m)^4) / mean((w - m)^2)^2, 3 for a Gaussian; nan if constant.

    Sums run in float64 whatever the input's type, and on weights scaled to magnitude one, so that neither
    half precision nor denormal weights distort them. The population formula, not the unbiased estimate.

    Raises
    ------
    ValueError : no element, NaN or infinity

    >>> kurtosis(np.array([-1, 1], dtype=np.float16))
    1.0
    """
    weights = _unit_range(as_f64(w, "w").ravel())
    if weights.min() == weights.max():
        return float("nan")
    centred = _unit_range(weights - weights.mean())
    square = centred * centred
    return float(np.mean(square * square) / np.mean(square) ** 2)


def tensor_snr(w: ArrayLike, codebook: Codebook) -> float:
    """Return the SNR in dB of rounding every weight to its nearest level; inf where all are levels.

    Raises
    ------
    ValueError : no element, NaN or infinity, all weights zero

    >>> round(tensor_snr([0.0, 0.9, -2.1], Codebook(np.arange(-2.0, 2.0))), 3)
    24.166
    """
    weights = as_f64(w, "w").ravel()
    return _snr(weights, weights - codebook.nearest(weights))


def zero_fraction(w: ArrayLike, codebook: Codebook) -> float:
    """Return the share of weights that round to zero: the quantizer's natural sparsity.

    Raises
    ------
    ValueError : no element, NaN or infinity

    >>> zero_fraction([0.1, 0.9], Codebook(np.array([0.0, 1.0])))
    0.5
    """
    return float(np.mean(codebook.nearest(as_f64(w, "w").ravel()) == 0))


def tensor_pruning_snr(w: ArrayLike, density: float) -> float:
    """Return the SNR in dB of zeroing exactly floor((1 - density) n) weights of smallest magnitude.

    inf where nothing but zeros is removed.

    Raises
    ------
    ValueError : density outside [0, 1]; no element, NaN or infinity, all weights zero

    >>> round(tensor_pruning_snr([1.0, 2.0, 3.0, 4.0], 0.5), 3)  # 30 / 5
    7.782
    """
    if not 0 <= density <= 1:
        raise ValueError(f"density must lie in [0, 1], got {density}")
    weights = as_f64(w, "w").ravel()
    removed = int((1 - density) * weights.size * (1 + 1e-13))  # 0.3 of 10 is 3, not 2.9999999999999996
    magnitude = np.abs(weights)
    error = np.partition(magnitude, removed - 1)[:removed] if 0 < removed < weights.size else magnitude
    return _snr(weights, error if removed else np.zeros(1))


def quantizer_at(quantizer: str | Quantizer, bits: float) -> Quantizer:
    """Return the quantizer of a spec, `bits` filled in where it leaves them open; a quantizer as it is.

    Raises
    ------
    SpecError, UnknownName : a spec that cannot be read, or that has another width

    >>> quantizer_at("int[grid=symmetric]", 3).bits
    3
    """
    return QUANTIZERS.build(with_bits(quantizer, bits)) if isinstance(quantizer, str) else quantizer


def weights_row(w: ArrayLike, bits: float, quantizer: str | Quantizer = "int") -> dict[str, Any]:
    """Return what weights alone say about one tensor at `bits` bits per weight.

    Parameters
    ----------
    w : weights of any shape and number type
    bits : budget per weight; pruning keeps bits/16 of the weights
    quantizer : spec or quantizer; the spec's `bits` is filled in where it has none

    Returns
    -------
    kurtosis, bits, scale, quant_snr_db, prune_snr_db, prune_snr_db_corrected, quant_zero_fraction, winner
        (of the plain SNRs) and note. A number that does not exist is None, and note says why; note is None
        where all is well

    Raises
    ------
    ValueError : bits or quantizer refused; never on account of the weights

    >>> row = weights_row(np.array([0.1, -0.2, 0.4, 0.8]), 4)
    >>> row["winner"], round(row["prune_snr_db"], 2)
    ('quantize', 6.07)
    """
    chosen = quantizer_at(quantizer, bits)
    density = Budget(bits).density
    row: dict[str, Any] = dict.fromkeys(_FIELDS) | {"bits": bits}
    weights = np.asarray(w)
    row["note"] = _defect(weights)
    if row["note"] is not None:
        return row
    weights = as_f64(weights, "w").ravel()
    codebook = chosen.codebook(weights)
    rounded = codebook.nearest(weights)
    zeros = float(np.mean(rounded == 0))
    quant, prune = _snr(weights, weights - rounded), tensor_pruning_snr(weights, density)
    corrected = tensor_pruning_snr(weights, density * (1 - zeros))  # as in the release of Kuzmin et al.
    return row | {
        "kurtosis": kurtosis(weights),
        "scale": finite_or_none(codebook.scale),
        "quant_snr_db": finite_or_none(quant),
        "prune_snr_db": finite_or_none(prune),
        "prune_snr_db_corrected": finite_or_none(corrected),
        "quant_zero_fraction": zeros,
        "winner": winner(quant, prune),
        "note": _lossless(quant, prune),
    }


_FIELDS = (
    "kurtosis",
    "bits",
    "scale",
    "quant_snr_db",
    "prune_snr_db",
    "prune_snr_db_corrected",
    "quant_zero_fraction",
    "winner",
    "note",
)


def _defect(w: NDArray[Any]) -> str | None:
    """Return why a tensor has no row, None if it has one."""
    if w.size == 0:
        return "no weights"
    bad = int((~np.isfinite(w)).sum())
    if bad:
        return f"{bad} of {w.size} weights are NaN or infinite"
    if not w.any():
        return "all weights are zero"
    if w.min() == w.max():
        return f"all weights are equal to {float(w.flat[0]):g}"
    return None


def _lossless(quant: float, prune: float) -> str | None:
    exact = [name for name, snr in (("quantization", quant), ("pruning", prune)) if np.isinf(snr)]
    return f"no error at all from {' and '.join(exact)}: infinite SNR" if exact else None


def _unit_range(w: F64) -> F64:
    """Return `w` times the power of two that brings the largest magnitude to [1/2, 1); exact."""
    return np.ldexp(w, -int(np.frexp(np.abs(w).max())[1]))


def _snr(weights: F64, error: F64) -> float:
    """Return the ratio of the sums of squares in dB, safe from overflow and underflow."""
    exponent = -int(np.frexp(np.abs(weights).max())[1])
    signal, noise = (float(np.square(np.ldexp(x, exponent)).sum()) for x in (weights, error))
    return snr_db(signal, noise)

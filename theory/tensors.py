"""Exact statistics of given weights: kurtosis, and the SNR of quantizing and of pruning them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pvq.arrays import F64, I64, as_f64, finite_or_none
from pvq.theory.budget import Budget
from pvq.theory.codebook import Codebook
from pvq.theory.distributions.empirical import Empirical
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
    "weights_rows",
    "zero_fraction",
]


CHUNK = 2**17  # weights worked on at a time: a megabyte, which stays in the cache


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
    weights = as_f64(w, "w").ravel()
    low, high = float(weights.min()), float(weights.max())
    if low == high:
        return float("nan")
    unit = _exponent(weights)
    mean = sum(float(np.ldexp(part, unit).sum()) for part in _chunks(weights)) / weights.size
    far = -int(np.frexp(max(math.ldexp(high, unit) - mean, mean - math.ldexp(low, unit)))[1])
    second = fourth = 0.0
    for part in _chunks(weights):
        square = np.square(np.ldexp(np.ldexp(part, unit) - mean, far))
        second += float(square.sum())
        fourth += float(np.square(square).sum())
    return weights.size * fourth / second**2


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
    removed = _removed(weights.size, density)
    magnitude = np.abs(weights)
    error = np.partition(magnitude, removed - 1)[:removed] if 0 < removed < weights.size else magnitude
    return _snr(weights, error if removed else np.zeros(1))


def _removed(size: int, density: float) -> int:
    return int((1 - density) * size * (1 + 1e-13))  # 0.3 of 10 is 3, not 2.9999999999999996


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
    """Return what weights alone say about one tensor at `bits` bits per weight, see `weights_rows`.

    >>> row = weights_row(np.array([0.1, -0.2, 0.4, 0.8]), 4)
    >>> row["winner"], round(row["prune_snr_db"], 2)
    ('quantize', 6.07)
    """
    return weights_rows(w, [bits], quantizer)[0]


def weights_rows(
    w: ArrayLike, widths: Sequence[float], quantizer: str | Quantizer = "int"
) -> list[dict[str, Any]]:
    """Return what weights alone say about one tensor, one row per width; sorting is done once for all.

    Parameters
    ----------
    w : weights of any shape and number type
    widths : budgets in bits per weight; pruning keeps bits/16 of the weights
    quantizer : spec or quantizer; the spec's `bits` is filled in where it has none

    Returns
    -------
    kurtosis, bits, scale, quant_snr_db, prune_snr_db, prune_snr_db_corrected, quant_zero_fraction, winner
        (of the plain SNRs) and note. A number that does not exist is None, and note says why; note is None
        where all is well

    Raises
    ------
    ValueError : bits or quantizer refused; never on account of the weights
    """
    chosen = [(bits, quantizer_at(quantizer, bits), Budget(bits).density) for bits in widths]
    weights = np.asarray(w)
    defect = _defect(weights)
    if defect is not None:
        return [dict.fromkeys(_FIELDS) | {"bits": bits, "note": defect} for bits in widths]
    tensor = _Measured.of(weights)
    return [_row(tensor, *choice) for choice in chosen]


class _Measured(NamedTuple):
    """What one tensor needs once, whatever the bits."""

    law: Empirical
    kurtosis: float
    square: float
    exponent: int

    @classmethod
    def of(cls, weights: NDArray[Any]) -> _Measured:
        law = Empirical(weights)
        exponent = _exponent(law.values)
        return cls(law, kurtosis(law.values), _square(law.values, exponent), exponent)

    def snr(self, error_square: float) -> float:
        return snr_db(self.square, error_square)

    def pruning_snr(self, density: float) -> float:
        removed = _nearest_zero(self.law.values, _removed(self.law.values.size, density))
        return self.snr(_square(self.law.values[removed], self.exponent))

    def rounding(self, codebook: Codebook) -> tuple[float, float]:
        """Return the SNR of rounding to the nearest level, and the share of weights that become zero."""
        values = self.law.values
        borders = np.searchsorted(values, codebook.edges[1:-1], side="right")  # a tie takes the lower level
        cells = np.diff(np.concatenate([[0], borders, [values.size]]))
        error = 0.0
        for part, level in _runs(cells, codebook.levels):
            error += _square(values[part] - level, self.exponent)
        zeros = float(cells[codebook.levels == 0].sum() / values.size)
        return self.snr(error), zeros


def _row(tensor: _Measured, bits: float, quantizer: Quantizer, density: float) -> dict[str, Any]:
    codebook = quantizer.codebook(tensor.law)
    quant, zeros = tensor.rounding(codebook)
    prune = tensor.pruning_snr(density)
    corrected = tensor.pruning_snr(density * (1 - zeros))  # as in the release of Kuzmin et al.
    return {
        "kurtosis": tensor.kurtosis,
        "bits": bits,
        "scale": finite_or_none(codebook.scale),
        "quant_snr_db": finite_or_none(quant),
        "prune_snr_db": finite_or_none(prune),
        "prune_snr_db_corrected": finite_or_none(corrected),
        "quant_zero_fraction": zeros,
        "winner": winner(quant, prune),
        "note": _lossless(quant, prune),
    }


def _nearest_zero(values: F64, number: int) -> slice:
    """Return where so many weights of smallest magnitude lie: side by side, as weights are in order."""
    first, last = 0, values.size - number
    while first < last:
        middle = (first + last) // 2
        if -values[middle] > values[middle + number]:
            first = middle + 1
        else:
            last = middle
    return slice(first, first + number)


def _runs(cells: I64, levels: F64) -> Iterator[tuple[slice, F64]]:
    """Yield sorted weights part by part, with the level of each: no array as long as the tensor is made."""
    ends = np.cumsum(cells)
    for start in range(0, int(ends[-1]), CHUNK):
        stop = min(start + CHUNK, int(ends[-1]))
        inside = np.diff(np.concatenate([[start], np.clip(ends, start, stop)]))
        yield slice(start, stop), np.repeat(levels, inside)


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


def _exponent(w: F64) -> int:
    """Return the power of two that brings the largest magnitude to [1/2, 1), negative for large weights."""
    return -int(np.frexp(max(-float(w.min()), float(w.max())))[1])


def _chunks(w: F64) -> Iterator[F64]:
    return (w[start : start + CHUNK] for start in range(0, w.size, CHUNK))


def _square(w: F64, exponent: int) -> float:
    """Return the sum of squares of 2^exponent w, safe from overflow and underflow."""
    return float(sum(np.square(np.ldexp(part, exponent)).sum() for part in _chunks(w)))


def _snr(weights: F64, error: F64) -> float:
    """Return the ratio of the sums of squares in dB."""
    exponent = _exponent(weights)
    return snr_db(_square(weights, exponent), _square(error, exponent))

"""Block formats: every few weights share a scale that follows from the largest of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from pvq.arrays import F64, as_f64
from pvq.registry import Registry
from pvq.theory.cells import cell_error
from pvq.theory.codebook import Codebook
from pvq.theory.distribution import WeightDistribution
from pvq.theory.snr import signal_power, snr_db

__all__ = ["BLOCK_FORMATS", "BlockFormat", "block_error", "block_snr_db", "quantize_blocks"]

INF = np.asarray(np.inf)
LOG_ODDS_STEP = 0.5  # of the distribution function of the largest magnitude


@runtime_checkable
class BlockFormat(Protocol):
    """A number format whose scale is a function of the largest magnitude in a block."""

    block: int

    @property
    def bits(self) -> float:
        """Bits per weight, the block's share of the scale included."""
        ...

    @property
    def levels(self) -> F64:
        """The levels at unit scale, strictly increasing, shape (L,)."""
        ...

    def scale(self, amax: F64) -> F64:
        """Return the scale of blocks with these largest magnitudes, elementwise; 0 rounds all to 0."""
        ...

    def jumps(self) -> F64 | None:
        """Return the increasing amax from which a new scale holds; None if the scale is continuous."""
        ...


BLOCK_FORMATS: Registry[BlockFormat] = Registry("block format", "pvq.theory.blocks", BlockFormat)


def quantize_blocks(w: ArrayLike, fmt: BlockFormat) -> F64:
    """Return `w` rounded in blocks of consecutive weights along the last axis; a short last block is whole.

    Raises
    ------
    ValueError : NaN, infinity, no element, or a single number

    >>> quantize_blocks([[0.1, 0.9, -6.1, 2.4]], BLOCK_FORMATS.build("mxfp4"))
    array([[ 0.,  1., -6.,  2.]])
    """
    weights = as_f64(w, "w")
    if np.ndim(w) == 0:
        raise ValueError("w must have at least one dimension, got a single number")
    rows = weights.reshape(-1, weights.shape[-1])
    padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % fmt.block)))  # zeros leave the largest magnitude
    blocks = padded.reshape(rows.shape[0], -1, fmt.block)
    scale = fmt.scale(np.abs(blocks).max(axis=-1, keepdims=True))
    unit = np.divide(blocks, scale, out=np.zeros_like(blocks), where=scale > 0)
    rounded = (Codebook(fmt.levels).nearest(unit) * scale).reshape(padded.shape)
    return rounded[:, : rows.shape[1]].reshape(weights.shape)


def block_snr_db(source: WeightDistribution | ArrayLike, fmt: BlockFormat) -> float:
    """Return the SNR in dB of independent weights of a law (expected), or of given weights, in this format.

    Raises
    ------
    ValueError : a law without finite second moment; weights all zero, NaN or infinite

    >>> from pvq.theory.distributions.gaussian import Gaussian
    >>> round(block_snr_db(Gaussian(), BLOCK_FORMATS.build("mxfp4")), 2)
    18.79
    """
    if isinstance(source, WeightDistribution):
        return snr_db(signal_power(source), block_error(source, fmt))
    weights = as_f64(source, "w")
    return snr_db(float(np.mean(weights**2)), float(np.mean((weights - quantize_blocks(weights, fmt)) ** 2)))


def block_error(law: WeightDistribution, fmt: BlockFormat) -> float:
    """Return the expected squared error per weight of a block of independent weights, in squared units.

    Let M be the largest magnitude of the B weights, G(m) = P(|X| <= m), and T(m; s) the error of rounding X
    at scale s where |X| <= m, counted 0 elsewhere.

    *A scale that moves in jumps.* {M <= m} means that every |X_i| <= m, so the error of the whole block on
    m0 < M <= m1, where the scale is s, is B (T(m1; s) G(m1)^(B-1) - T(m0; s) G(m0)^(B-1)): exact.

    *A continuous scale.* Given M = m, one weight is +m or -m and the others follow the law within [-m, m]:
    the error is e(m) + (B - 1) T(m; s(m)) / G(m). It is integrated over U = G(M)^B, uniform on (0, 1), by
    the trapezoidal rule in the log odds of U, which converges exponentially for smooth laws, apart on either
    side of the law's `breakpoints`. An atom at the end of the support, as of a clipped law, is taken exactly,
    as a jump. (Atoms elsewhere are not: for given weights ask `block_snr_db` directly.)

    Raises
    ------
    ValueError : a law without finite second moment
    """
    signal_power(law)
    jumps = fmt.jumps()
    total = _continuous(law, fmt) if jumps is None else _in_jumps(law, fmt, jumps)
    return max(0.0, total) / fmt.block


def _in_jumps(law: WeightDistribution, fmt: BlockFormat, jumps: F64) -> float:
    middles = np.concatenate([[0.5 * jumps[0]], np.sqrt(jumps[:-1] * jumps[1:]), [2 * jumps[-1]]])
    scale = fmt.scale(middles)
    before = np.nextafter(jumps, 0.0)  # at the jump itself the new scale holds
    low, high = np.append(0.0, before), np.append(before, np.inf)
    filled = _mass(law, high) > _mass(law, low)
    scale, low, high = scale[filled], low[filled], high[filled]
    power = fmt.block - 1
    upto_high = _error(law, fmt.levels, scale, high) * _mass(law, high) ** power
    upto_low = _error(law, fmt.levels, scale, low) * _mass(law, low) ** power
    return fmt.block * float((upto_high - upto_low).sum())


def _continuous(law: WeightDistribution, fmt: BlockFormat) -> float:
    inside, from_atom = _end_atom(law, fmt)
    bends = np.abs(np.array(getattr(law, "breakpoints", ()), dtype=float))
    shares = np.minimum(_mass(law, bends), inside) ** fmt.block
    ends = np.unique([0.0, *shares, inside**fmt.block])
    return sum(_over(law, fmt, *piece) for piece in pairwise(ends) if np.ptp(piece) > 1e-14) + from_atom


def _over(law: WeightDistribution, fmt: BlockFormat, low: float, high: float) -> float:
    """Return the integral of a block's error over U = G(M)^B from `low` to `high`."""
    z = np.arange(-36.0, 30.0, LOG_ODDS_STEP)
    weight = (high - low) * LOG_ODDS_STEP / (2 + 2 * np.cosh(z))
    missing = np.minimum((1 - high) + (high - low) / (1 + np.exp(z)), 1 - 2.0**-53)  # 1 - U
    m = _magnitude_quantile(law, -np.expm1(np.log1p(-missing) / fmt.block))
    weight, m = weight[m > 0], m[m > 0]
    scale = fmt.scale(m)
    others = (fmt.block - 1) * _error(law, fmt.levels, scale, m) / _mass(law, m)
    positive = _share_positive(law, m)
    largest = positive * _rounding_error(fmt, scale, m) + (1 - positive) * _rounding_error(fmt, scale, -m)
    return float(weight @ (others + largest))


def _end_atom(law: WeightDistribution, fmt: BlockFormat) -> tuple[float, float]:
    """Return the mass short of the largest magnitude r that the law knows, and the error where M = r."""
    end = np.abs(law.quantile(np.array([0.0, 1.0]))).max(keepdims=True)
    if not np.isfinite(end[0]):
        return 1.0, 0.0
    before, scale = np.nextafter(end, 0.0), fmt.scale(end)
    inside = float(_mass(law, before)[0])
    if inside > 1 - 1e-12:
        return 1.0, 0.0
    whole, part = (_error(law, fmt.levels, scale, m)[0] for m in (end, before))
    return inside, fmt.block * float(whole - part * inside ** (fmt.block - 1))


def _magnitude_quantile(law: WeightDistribution, beyond: F64) -> F64:
    """Return m with P(|X| > m) = beyond, by bisection between the quantiles of either tail."""
    left, right = -law.quantile(beyond / 2), law.quantile(np.minimum(1 - beyond / 2, 1 - 2.0**-53))
    low, high = np.maximum(np.minimum(left, right), 0.0), np.maximum(left, right)
    for _ in range(60):
        middle = 0.5 * (low + high)
        below = np.nextafter(-middle, -np.inf)
        outside = law.partial_moment(0, -INF, below) + law.partial_moment(0, middle, INF)
        low, high = np.where(outside > beyond, middle, low), np.where(outside > beyond, high, middle)
        if (high - low <= 1e-12 * high).all():
            break
    return high


def _share_positive(law: WeightDistribution, m: F64) -> F64:
    """Return P(X > 0 | |X| about m), from the masses within a thousandth."""
    near, far = m * (1 - 5e-4), m * (1 + 5e-4)
    right, left = law.partial_moment(0, near, far), law.partial_moment(0, -far, -near)
    return np.divide(right, right + left, out=np.full_like(m, 0.5), where=right + left > 0)


def _rounding_error(fmt: BlockFormat, scale: F64, x: F64) -> F64:
    unit = np.divide(x, scale, out=np.zeros_like(x), where=scale > 0)
    return np.asarray((x - scale * Codebook(fmt.levels).nearest(unit)) ** 2)


def _mass(law: WeightDistribution, m: F64) -> F64:
    """Return G(m)."""
    return law.partial_moment(0, np.nextafter(-m, -np.inf), m)


def _error(law: WeightDistribution, levels: F64, scale: F64, m: F64) -> F64:
    """Return T(m; scale), elementwise."""
    edges = Codebook(levels).edges
    with np.errstate(invalid="ignore"):  # 0 * inf
        stretched = np.where(scale[:, None] > 0, scale[:, None] * edges, np.copysign(np.inf, edges))
    below = np.nextafter(-m, -np.inf)[:, None]  # cells are (lo, hi]: -m itself counts
    cells = np.clip(stretched, below, m[:, None])
    return np.asarray(cell_error(law, scale[:, None] * levels, cells[:, :-1], cells[:, 1:]).sum(axis=1))

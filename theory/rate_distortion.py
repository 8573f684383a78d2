"""Shannon's distortion-rate function of any law, enclosed by Blahut-Arimoto on a fine grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pvq.arrays import F64
from pvq.theory.distribution import WeightDistribution, variance

__all__ = ["DistortionRate", "rate_distortion"]

RESOLUTION = 0.1  # grid spacing in units of sqrt(1 / (2 beta)), about the root of the distortion
WINDOW = 40.0  # a kernel value below exp(-40) is left out and accounted for in the bound
MOST_POINTS = 100_000
MOST_STEPS = 20_000
MOST_SLOPES = 12
RATE_SLACK = 1e-4  # bits; a slope whose rate is that near the demanded one is the last


@dataclass(frozen=True)
class DistortionRate:
    """An enclosure of D(R), the least mean squared error of any code at `bits` bits per weight.

    Parameters
    ----------
    bits : the rate R
    lower, upper : lower <= D(R) <= upper, in squared weight units; discretisation and unfinished
        iteration are inside the bracket, floating-point rounding is not
    snr_db : variance over the middle of the bracket, in dB
    resolution_db : half the width of the bracket, in dB
    """

    bits: float
    lower: float
    upper: float
    snr_db: float
    resolution_db: float


def rate_distortion(law: WeightDistribution, bits: float, tolerance: float = 3e-4) -> DistortionRate:
    """Return D(R) of `law` at R = bits, with its numerical uncertainty.

    Blahut-Arimoto at slopes dD/dR = -ln 2 / beta whose rates close in on `bits`; source and reproduction live
    on one grid of spacing 0.1 / sqrt(2 beta).

    *Upper end*: a channel found acts on the cell of a weight; its error is priced with the exact first and
    second moment of the law in each cell. Two channels may share the time.

    *Lower end*: Csiszar's dual, D(R) >= (E ln lambda(X) - R ln 2) / beta for every lambda > 0 with
    c(y) = E lambda(X) exp(-beta (X - y)^2) <= 1 at all real y. lambda is constant on cells; the integrals
    over cells are bounded by Taylor's formula with the largest curvature, and since c'' >= -2 beta c, the
    maximum between points of a twice finer grid exceeds theirs at most by 1 / cos(spacing sqrt(beta / 8)).

    Parameters
    ----------
    law : any law with finite variance, atoms allowed
    bits : rate, positive
    tolerance : the iteration stops when the dual gap in nats falls below it; 1e-4 nats are 0.001 dB

    Raises
    ------
    ValueError : bits or tolerance not positive; no finite variance; a tail so heavy, or a rate so high, that
        the grid would exceed 100,000 points

    >>> from pvq.theory.distributions.gaussian import Gaussian
    >>> curve = rate_distortion(Gaussian(), 2)
    >>> bool(curve.lower <= 2.0**-4 <= curve.upper), curve.resolution_db < 0.02
    (True, True)
    """
    power = variance(law)
    if not 0 < power < np.inf:
        raise ValueError(f"law must have a positive, finite variance, got {power} for {law}")
    if not 0 < bits < np.inf:
        raise ValueError(f"bits must be positive and finite, got {bits}")
    if not tolerance > 0:
        raise ValueError(f"tolerance must be positive, got {tolerance}")
    lower, upper = _enclose(law, power, bits, tolerance)
    middle = 0.5 * (lower + upper)
    half = 5 * float(np.log10(upper / lower)) if lower > 0 else float("inf")
    return DistortionRate(bits, lower, upper, 10 * float(np.log10(power / middle)), half)


class _Grid(NamedTuple):
    """A law on equal cells, and the Gaussian kernel at one slope."""

    beta: float
    x: F64  # (N,) cell centres, which are the reproduction points too
    p: F64  # (N,) masses, the tails in the end cells
    m1: F64  # (N,) integral of (X - x_i) over the cell
    m2: F64  # (N,) integral of (X - x_i)^2 over the cell
    t: F64  # (K,) offsets of the kernel
    f: F64  # (K,) exp(-beta t^2)


def _grid(law: WeightDistribution, beta: float) -> _Grid:
    spacing = RESOLUTION / np.sqrt(2 * beta)
    low, high = _reach(law, beta)
    first, last = np.floor(low / spacing), np.ceil(high / spacing)
    if not last - first < MOST_POINTS:
        raise ValueError(
            f"law and bits must fit on {MOST_POINTS} grid points, got {last - first:.3g} for {law}"
        )
    x = np.arange(first, last + 1) * spacing
    edges = np.concatenate([[-np.inf], x[:-1] + 0.5 * spacing, [np.inf]])
    p, m1, m2 = (law.partial_moment(order, edges[:-1], edges[1:]) for order in (0, 1, 2))
    reach = np.ceil(np.sqrt(WINDOW / beta) / spacing)
    t = np.arange(-reach, reach + 1) * spacing
    about = np.maximum(m2 - 2 * x * m1 + x * x * p, 0.0)
    return _Grid(beta, x, np.maximum(p, 0.0), m1 - x * p, about, t, np.exp(-beta * t * t))


def _reach(law: WeightDistribution, beta: float) -> tuple[float, float]:
    """Return ends outside which the second moment is negligible: 1e-4 / beta, 0.001 dB of the bound."""
    for tail in 10.0 ** -np.arange(5.0, 16.0):
        low, high = law.quantile(np.array([tail, 1 - tail]))
        ends = np.array([-np.inf, high]), np.array([low, np.inf])
        m0, m1, m2 = (law.partial_moment(order, *ends) for order in (0, 1, 2))
        inner = np.array([low, high])
        if (m2 - 2 * inner * m1 + inner**2 * m0).sum() < 1e-4 / beta:
            break
    return float(low), float(high)


def _enclose(law: WeightDistribution, power: float, bits: float, tolerance: float) -> tuple[float, float]:
    """Return the bracket of D(bits), from slopes whose rates close in on `bits`."""
    lower, points = 0.0, [(0.0, power)]  # the channel that says nothing
    slopes: list[tuple[float, float]] = []  # (ln beta, rate)
    last: tuple[F64, F64] | None = None
    log_beta = float(bits * np.log(4) - np.log(2 * power))
    for _ in range(MOST_SLOPES):
        grid = _grid(law, float(np.exp(log_beta)))
        start = grid.p if last is None else np.interp(grid.x, *last) + 0.01 * grid.p
        q = _iterate(grid, start / start.sum(), tolerance)
        last = grid.x, q
        points.append(_priced(grid, q))
        slopes.append((log_beta, points[-1][0]))
        lower = max(lower, _dual_bound(law, grid, q, bits))
        if abs(points[-1][0] - bits) <= RATE_SLACK:
            break
        log_beta = _next_slope(slopes, bits)
    return lower, _time_shared(points, bits)


def _next_slope(slopes: list[tuple[float, float]], bits: float) -> float:
    """Return ln beta by secants inside the bracket; by the slope at high rate, 2 ln 2 per bit, before it."""
    below = max((point for point in slopes if point[1] < bits), default=None)
    above = min((point for point in slopes if point[1] >= bits), default=None)
    if below is None or above is None:
        log_beta, rate = slopes[-1]
        return log_beta + 2 * float(np.log(2)) * (bits - rate + float(np.copysign(RATE_SLACK, bits - rate)))
    share = (bits - below[1]) / (above[1] - below[1])
    return below[0] + float(np.clip(share, 0.02, 0.98)) * (above[0] - below[0])


def _time_shared(points: list[tuple[float, float]], bits: float) -> float:
    """Return the least error at `bits` of the channels, (rate, error) each, and mixtures of two."""
    reach = [error for rate, error in points if rate <= bits]
    for rate, error in points:
        reach += [
            error + (bits - rate) / (other - rate) * (less - error)
            for other, less in points
            if rate <= bits < other
        ]
    return min(reach)


def _iterate(grid: _Grid, q: F64, tolerance: float) -> F64:
    """Return the output law after Blahut-Arimoto steps; the dual gap is max ln c."""
    for _ in range(MOST_STEPS):
        c = _smooth(grid.p / _smooth(q, grid.f), grid.f)
        if np.log(c.max()) < tolerance:
            break
        q = q * c
        q = np.maximum(q / q.sum(), 1e-200)
    return q


def _smooth(values: F64, kernel: F64) -> F64:
    """Return the convolution on the same grid."""
    full = np.convolve(values, kernel)
    half = kernel.size // 2
    return full[half : half + values.size]


def _priced(grid: _Grid, q: F64) -> tuple[float, float]:
    """Return rate in bits and mean squared error of the channel q_j f_ij / Z_i on the law itself."""
    Z = _smooth(q, grid.f)
    shift = -_smooth(q, grid.t * grid.f) / Z  # E[Y | cell] - x_i: kernels see x_i - y_j
    square = _smooth(q, grid.t**2 * grid.f) / Z
    on_grid = float(grid.p @ square)
    rate = -grid.beta * on_grid - float(grid.p @ np.log(Z))
    return rate / float(np.log(2)), on_grid - 2 * float(grid.m1 @ shift) + float(grid.m2.sum())


def _dual_bound(law: WeightDistribution, grid: _Grid, q: F64, bits: float) -> float:
    """Return the proved lower end of D(R); see `rate_distortion`."""
    spacing = float(grid.x[1] - grid.x[0])
    cells = _finite_cells(law, grid, spacing)
    multiplier = 1 / _smooth(q, grid.f)
    largest = max(_constraint(grid, cells * multiplier, spacing, shift).max() for shift in (0.0, 0.5))
    outside = 1.0 - float(cells[0].sum())  # lambda = 1 there, and the kernel is at most 1
    left_out = np.exp(-WINDOW) * float(grid.p @ multiplier)
    between = np.cos(spacing * np.sqrt(grid.beta / 8))  # points of the doubled grid are spacing / 2 apart
    log_scale = np.log((largest + outside + left_out) / between)
    return float((cells[0] @ np.log(multiplier) - log_scale - bits * np.log(2)) / grid.beta)


def _finite_cells(law: WeightDistribution, grid: _Grid, spacing: float) -> F64:
    """Return mass, first and second moment about the centre of the cells, tails left out; shape (3, N)."""
    low, high = grid.x - 0.5 * spacing, grid.x + 0.5 * spacing
    p, m1, m2 = (law.partial_moment(order, low, high) for order in (0, 1, 2))
    about = np.maximum(m2 - 2 * grid.x * m1 + grid.x**2 * p, 0.0)
    return np.stack([np.maximum(p, 0.0), m1 - grid.x * p, about])


def _constraint(grid: _Grid, weighted: F64, spacing: float, shift: float) -> F64:
    """Return bounds from above on c(y) at y = x + shift * spacing, from the weighted moments (3, N)."""
    u = -grid.t - shift * spacing  # x_i - y_j
    g, beta = np.exp(-grid.beta * u * u), grid.beta
    largest_curvature = np.maximum(_curvature(u - 0.5 * spacing, beta), _curvature(u + 0.5 * spacing, beta))
    peak = np.abs(np.abs(u) - np.sqrt(1.5 / beta)) <= 0.5 * spacing
    largest_curvature[peak] = 4 * beta * np.exp(-1.5)
    kernels = (g, -2 * beta * u * g, 0.5 * largest_curvature)
    parts = [_smooth(moment, kernel) for moment, kernel in zip(weighted, kernels, strict=True)]
    return parts[0] + parts[1] + parts[2]


def _curvature(u: F64, beta: float) -> F64:
    """Second derivative of exp(-beta u^2)."""
    return np.asarray((4 * beta**2 * u * u - 2 * beta) * np.exp(-beta * u * u))

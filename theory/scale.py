"""The scale of a number format: the globally best one, the range, a percentile, ACIQ's, or a given number."""

from __future__ import annotations

from math import exp, exp2, pi, sqrt
from typing import Literal, TypeAlias

import numpy as np
from scipy.optimize import brentq
from scipy.special import erfc

from pvq.arrays import F64
from pvq.theory.cells import cell_error
from pvq.theory.codebook import Codebook
from pvq.theory.distribution import WeightDistribution, variance
from pvq.theory.distributions.empirical import Empirical
from pvq.theory.magnitude import check_magnitude
from pvq.theory.optimal_scale import optimal_scale
from pvq.theory.snr import magnitude_threshold, signal_power

__all__ = ["ScaleRule", "aciq_clip", "best_scale", "check_scale", "choose_scale", "scaled"]

ScaleRule: TypeAlias = Literal["mse", "absmax", "percentile", "aciq"] | float

_FIRST = 96  # scales of the first look, and intervals halved together
_TOLERANCE = 1e-4  # share of the error by which no other scale may be better
_ALLOWANCE = 1 << 19  # cells of all codebooks tried
_CHUNK = 1 << 18  # cells evaluated together


def check_scale(scale: ScaleRule, percentile: float) -> None:
    """Refuse a scale that is no rule and no number in [1e-70, 1e70], and a percentile outside (0, 100].

    Raises
    ------
    ValueError : naming the argument
    """
    if not isinstance(scale, str):
        check_magnitude("scale", scale)
    if not 0 < percentile <= 100:
        raise ValueError(f"percentile must lie in (0, 100], got {percentile}")


def scaled(law: WeightDistribution, levels: F64, top: float, rule: ScaleRule, percentile: float) -> Codebook:
    """Return the codebook ``scale * levels`` with the scale that `rule` chooses for `law`."""
    scale = choose_scale(law, levels, top, rule, percentile)
    return Codebook(scale * levels, scale)


def choose_scale(
    law: WeightDistribution, levels: F64, top: float, rule: ScaleRule, percentile: float
) -> float:
    """Return the factor on unit `levels`, in weight units.

    Parameters
    ----------
    law : law of the weights
    levels : (L,) strictly increasing, at unit scale, such as -8 ... 7
    top : the unit magnitude that a clipping range is put on: 7 for -8 ... 7
    rule : ``mse`` least expected squared error (global); ``absmax`` largest magnitude / top; ``percentile``
        that percentile of the magnitude / top; ``aciq`` the Gaussian clip of `aciq_clip` / top; a number is
        the scale itself
    percentile : in percent, for the rule ``percentile``

    Raises
    ------
    ValueError : ``absmax`` of a law with unbounded support; a range of zero; infinite second moment
    """
    if not isinstance(rule, str):
        return float(rule)
    if rule == "mse":
        return best_scale(law, levels)
    reach = _reach(law, levels, rule, percentile) / top
    if not 0 < reach < np.inf:
        raise ValueError(f"scale={rule} must find a positive finite range, got {reach * top} for {law}")
    return reach


def _reach(law: WeightDistribution, levels: F64, rule: str, percentile: float) -> float:
    if rule == "aciq":
        return aciq_clip(float(np.log2(levels.size))) * sqrt(variance(law))
    return magnitude_threshold(law, 0.0 if rule == "absmax" else 1 - percentile / 100)


def aciq_clip(bits: float) -> float:
    """Return ACIQ's clipping value for N(0, 1), in standard deviations.

    It minimises (a^2 + 1) erfc(a/sqrt 2) + a^2 / (3 * 4^bits) - sqrt(2/pi) a exp(-a^2/2), clipping plus
    uniform rounding noise (Banner et al., arXiv 1810.05723); the root of its derivative is returned.

    >>> round(aciq_clip(4), 7)
    2.5591365
    """

    def slope(a: float) -> float:
        noise = a / (3 * exp2(2 * bits))
        clipped = a * float(erfc(a / sqrt(2)))
        return noise + clipped - sqrt(2 / pi) * exp(-a * a / 2)

    return float(brentq(slope, 1e-3, 40.0, xtol=1e-14))


def best_scale(law: WeightDistribution, levels: F64) -> float:
    """Return a global minimiser over s > 0 of E(s) = E (W - s nearest(W/s))^2.

    Raises
    ------
    ValueError : infinite second moment, or a law that is zero for certain

    Notes
    -----
    *Why the minimum is global.* Every assignment of weights to levels makes E a parabola in s, and E is the
    least of them, so its kinks bend downwards; as s grows, the levels in use shrink, so that on [a, b] no
    parabola in use curves more than the one at a, by E (Q_a/a)^2 with Q_a the rounded weight. Hence
    E(s) - s^2 E (Q_a/a)^2 is concave on [a, b] and lies above its chord; E (Q_a)^2 is at most
    (sqrt(E W^2) + sqrt(E(a)))^2.
    Intervals whose bound lies below (1 - 1e-4) of the best error are halved, the lowest first, until none is
    left: so no scale does better by more than 0.0005 dB, and the stationary point next to the best scale is
    then solved for to full accuracy. Beyond about 9 bits the search ends at its allowance, before the proof.
    Below the first scale all levels are under 1e-3 of the root mean square and above the last all but 1e-9 of
    the weights round to the level nearest zero: E is near E W^2 there. For a tensor see `optimal_scale`.
    """
    if isinstance(law, Empirical):
        return optimal_scale(_not_all_zero(law).ordered, levels)
    power = signal_power(law)
    scales = np.geomspace(*_search_range(law, levels), _FIRST)
    errors = _errors(law, levels, scales)
    while scales.size * levels.size <= _ALLOWANCE:
        bound = _interval_bounds(scales, errors, power)
        worst = np.argsort(bound)[:_FIRST]
        worst = worst[bound[worst] < (1 - _TOLERANCE) * errors.min()]
        if worst.size == 0:
            break
        middle = np.sqrt(scales[worst] * scales[worst + 1])
        scales, errors = _merge(scales, errors, middle, _errors(law, levels, middle))
    best = int(np.argmin(errors))
    low, high = scales[max(best - 1, 0)], scales[min(best + 1, scales.size - 1)]
    return _stationary(law, levels, float(low), float(scales[best]), float(high))


def _not_all_zero(law: Empirical) -> Empirical:
    if law.values[0] == law.values[-1] == 0:
        raise ValueError("w must hold a weight that is not zero: at all zeros every scale is as good")
    return law


def _interval_bounds(scales: F64, errors: F64, power: float) -> F64:
    """Return a lower bound of the error between neighbouring scales: the chord less a parabola.

    On [a, b] with t = (s - a)/(b - a) it is (1-t) E(a) + t E(b) - c t (1-t), c = E (Q_a)^2 (b/a - 1)^2.
    """
    left, right = errors[:-1], errors[1:]
    c = (np.sqrt(power) + np.sqrt(left)) ** 2 * (scales[1:] / scales[:-1] - 1) ** 2
    t = np.clip(0.5 - (right - left) / (2 * c), 0.0, 1.0)
    return np.asarray((1 - t) * left + t * right - c * t * (1 - t))


def _merge(scales: F64, errors: F64, more_scales: F64, more_errors: F64) -> tuple[F64, F64]:
    all_scales, all_errors = np.concatenate([scales, more_scales]), np.concatenate([errors, more_errors])
    order = np.argsort(all_scales)
    return all_scales[order], all_errors[order]


def _search_range(law: WeightDistribution, levels: F64) -> tuple[float, float]:
    size = np.abs(levels[levels != 0])
    if size.size == 0:
        raise ValueError(f"levels must hold one that is not zero, got {levels}")
    rms = sqrt(signal_power(law))
    if rms == 0:
        raise ValueError(f"law must not be zero for certain, got {law}")
    far = magnitude_threshold(law, 1e-9)
    return 1e-3 * rms / float(size.max()), 2 * far / float(size.min())


def _errors(law: WeightDistribution, levels: F64, scales: F64) -> F64:
    """Return the expected squared error at each scale, shape of `scales`."""
    step = max(1, _CHUNK // levels.size)
    edges = Codebook(levels).edges
    parts = []
    for start in range(0, scales.size, step):
        s = scales[start : start + step, None]
        parts.append(cell_error(law, s * levels, s * edges[:-1], s * edges[1:]).sum(axis=1))
    return np.concatenate(parts)


def _stationary(law: WeightDistribution, levels: F64, low: float, best: float, high: float) -> float:
    """Solve dE/ds = -2 sum of l (M1 - s l M0) over the cells = 0 near `best`, from < 0 to > 0."""
    edges = Codebook(levels).edges

    def slope(s: float) -> float:
        m0, m1 = (law.partial_moment(order, s * edges[:-1], s * edges[1:]) for order in (0, 1))
        return float((levels * (s * levels * m0 - m1)).sum())

    if not slope(low) < 0 < slope(high):  # an edge of the support inside: the kink at `best` is the minimum
        return best
    root = float(brentq(slope, low, high, xtol=1e-300, rtol=4e-15))
    errors = _errors(law, levels, np.array([root, best]))
    return root if errors[0] <= errors[1] else best

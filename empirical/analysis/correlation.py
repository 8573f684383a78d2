"""Rank correlation with a confidence interval: whether one number puts things in the order of another."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from pvq.arrays import F64, I64, as_f64

__all__ = ["LEAST", "Interval", "Lead", "Measure", "RankCorrelation", "rank_correlation", "rank_lead"]

Measure = Literal["spearman", "kendall"]
Interval = Literal["bootstrap", "fisher"]
# Standard error of atanh(r): Spearman's by Bonett & Wright, Psychometrika 65, 2000; Kendall's by Fieller,
# Hartley & Pearson, Biometrika 44, 1957.
_ERRORS: dict[Measure, Callable[[float, int], float]] = {
    "spearman": lambda r, n: math.sqrt((1 + r**2 / 2) / (n - 3)),
    "kendall": lambda r, n: math.sqrt(0.437 / (n - 4)),
}
LEAST = 5  # pairs


@dataclass(frozen=True)
class RankCorrelation:
    """A rank correlation and how far it can be trusted.

    Parameters
    ----------
    measure : ``spearman`` (rho) or ``kendall`` (tau-b)
    estimate : in [-1, 1]
    low, high : ends of the interval
    confidence : which it has
    interval : how it was made
    p_value : of no association, two-sided; Kendall's is exact for few pairs without ties; NaN with groups,
        whose pairs are not independent
    n : number of pairs
    """

    measure: Measure
    estimate: float
    low: float
    high: float
    confidence: float
    interval: Interval
    p_value: float
    n: int

    def __str__(self) -> str:
        """Return ``spearman 0.90, 95 % interval 0.61 to 0.98 (n = 12, p = 0.0001)``."""
        ends = f"{self.low:.2f} to {self.high:.2f}"
        share = f"{100 * self.confidence:g} % interval {ends}"
        return f"{self.measure} {self.estimate:.2f}, {share} (n = {self.n}, p = {self.p_value:.2g})"


@dataclass(frozen=True)
class Lead:
    """How much better one number puts things in order than another.

    Parameters
    ----------
    estimate : difference of the two absolute values of Spearman's rho
    low, high : ends of the interval
    """

    estimate: float
    low: float
    high: float


def rank_correlation(
    x: ArrayLike,
    y: ArrayLike,
    measure: Measure = "spearman",
    interval: Interval = "bootstrap",
    confidence: float = 0.95,
    rng: np.random.Generator | None = None,
    resamples: int = 2000,
    groups: ArrayLike | None = None,
) -> RankCorrelation:
    """Return a rank correlation with its confidence interval.

    Parameters
    ----------
    x, y : (n,) paired values, n >= 5; ties share their mean rank
    measure : ``spearman`` or ``kendall``
    interval : ``bootstrap``, the percentiles of `resamples` draws of n pairs with replacement; or ``fisher``,
        tanh(atanh(r) +- z s) with s for Gaussian ranks
    confidence : in (0, 1)
    rng : draws the pairs; needed for ``bootstrap``
    resamples : at least 100
    groups : (n,) labels; pairs of one group are not independent, so the bootstrap draws whole groups, as many
        as there are, with replacement (the cluster bootstrap; A. C. Davison and D. V. Hinkley, Bootstrap
        Methods and their Application, 1997, section 3.8)

    A perfect order gives an interval of one point from either: it then says nothing, and the p-value counts.
    Resamples in which all x or all y are equal have no correlation and are left out.

    Raises
    ------
    ValueError : not the same number of values, fewer than 5, NaN or infinity, all values equal, an option
        out of range, no `rng` where one is needed, a single group, groups without ``bootstrap``

    >>> found = rank_correlation([1, 2, 3, 4, 5, 6], [1, 3, 2, 5, 4, 6], interval="fisher")
    >>> round(found.estimate, 4), round(found.low, 2), round(found.high, 2)
    (0.8857, 0.07, 0.99)
    """
    a, b = as_f64(x, "x", 1), as_f64(y, "y", 1)
    _check(a, b, measure, interval, confidence, resamples)
    members = None if groups is None else _members(groups, len(a), interval)
    estimate, p_value = _test(a, b, measure)
    if interval == "fisher":
        low, high = _fisher(estimate, len(a), measure, confidence)
    elif rng is None:
        raise ValueError("rng must be given for a bootstrap interval, got None")
    else:
        low, high = _bootstrap(a, b, measure, confidence, _draws(len(a), members, rng, resamples))
    p_value = p_value if members is None else math.nan
    return RankCorrelation(measure, estimate, low, high, confidence, interval, p_value, len(a))


def rank_lead(
    x: ArrayLike,
    other: ArrayLike,
    y: ArrayLike,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 2000,
    groups: ArrayLike | None = None,
) -> Lead:
    """Return |Spearman(x, y)| - |Spearman(other, y)| with a paired bootstrap: both on the same draws.

    Parameters and errors are those of `rank_correlation`; a resample without one of the two is left out.

    >>> x, y = [1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 7]
    >>> rank_lead(x, x, y, np.random.default_rng(0))
    Lead(estimate=0.0, low=0.0, high=0.0)
    """
    a, b, c = as_f64(x, "x", 1), as_f64(other, "other", 1), as_f64(y, "y", 1)
    for values in (a, b):
        _check(values, c, "spearman", "bootstrap", confidence, resamples)
    members = None if groups is None else _members(groups, len(a), "bootstrap")
    leads = [_leads(a[part], b[part], c[part]) for part in _draws(len(a), members, rng, resamples)]
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(np.concatenate(leads), [tail, 1 - tail])
    return Lead(float(_leads(a[None], b[None], c[None])[0]), float(low), float(high))


def _leads(x: F64, other: F64, y: F64) -> F64:
    leads: F64 = np.abs(_spearmans(x, y)) - np.abs(_spearmans(other, y))
    return leads


def _check(x: F64, y: F64, measure: Measure, interval: Interval, confidence: float, resamples: int) -> None:
    if len(x) != len(y) or len(x) < LEAST:
        raise ValueError(f"x and y must be at least {LEAST} pairs, got {len(x)} and {len(y)} values")
    for name, values in (("x", x), ("y", y)):
        if (values == values[0]).all():
            raise ValueError(f"{name} must not be constant, got {len(values)} times {values[0]:g}")
    for name, value, known in (("measure", measure, Measure), ("interval", interval, Interval)):
        if value not in get_args(known):
            raise ValueError(f"{name} must be one of {', '.join(get_args(known))}, got {value!r}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), got {confidence}")
    if resamples < 100:
        raise ValueError(f"resamples must be at least 100, got {resamples}")


def _test(x: F64, y: F64, measure: Measure) -> tuple[float, float]:
    """Return the correlation and its p-value."""
    from scipy import stats

    found: Any = stats.spearmanr(x, y) if measure == "spearman" else stats.kendalltau(x, y)
    estimate = float(found.statistic)
    perfect = 1 - abs(estimate) < 1e-12  # but for rounding
    return math.copysign(1.0, estimate) if perfect else estimate, float(found.pvalue)


def _fisher(r: float, n: int, measure: Measure, confidence: float) -> tuple[float, float]:
    from scipy.special import ndtri

    if abs(r) == 1:
        return r, r
    margin = float(ndtri((1 + confidence) / 2)) * _ERRORS[measure](r, n)
    return math.tanh(math.atanh(r) - margin), math.tanh(math.atanh(r) + margin)


def _members(groups: ArrayLike, n: int, interval: Interval) -> list[I64]:
    """Return the places of the pairs of each group."""
    labels = np.asarray(groups)
    if labels.shape != (n,):
        raise ValueError(f"groups must be one label for each of {n} pairs, got shape {labels.shape}")
    if interval != "bootstrap":
        raise ValueError(f"groups must go with interval bootstrap, got {interval!r}")
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    if len(members) < 2:
        raise ValueError(f"groups must be at least 2, got {len(members)}")
    return members


def _draws(n: int, members: list[I64] | None, rng: np.random.Generator, resamples: int) -> list[I64]:
    """Return the places of all resamples, one a row; those of one length stand in one array."""
    if members is None:
        return [rng.integers(n, size=(resamples, n))]
    chosen = rng.integers(len(members), size=(resamples, len(members)))
    rows = [np.concatenate([members[group] for group in row]) for row in chosen]
    lengths = np.array([len(row) for row in rows])
    return [np.stack([rows[i] for i in np.flatnonzero(lengths == k)]) for k in np.unique(lengths)]


def _bootstrap(x: F64, y: F64, measure: Measure, confidence: float, draws: list[I64]) -> tuple[float, float]:
    estimates = _spearmans if measure == "spearman" else _kendalls
    found = np.concatenate([estimates(x[chosen], y[chosen]) for chosen in draws])
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(found, [tail, 1 - tail])
    return float(low), float(high)


def _spearmans(x: F64, y: F64) -> F64:
    """Return Spearman's rho of each row; NaN where a row is constant."""
    from scipy.stats import rankdata

    a, b = rankdata(x, axis=1), rankdata(y, axis=1)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    return _ratio((a * b).sum(axis=1), (a**2).sum(axis=1) * (b**2).sum(axis=1))


def _kendalls(x: F64, y: F64) -> F64:
    """Return Kendall's tau-b of each row; NaN where a row is constant."""
    found = np.empty(len(x))
    for i, (row, other) in enumerate(zip(x, y, strict=True)):
        a, b = np.sign(row[:, None] - row), np.sign(other[:, None] - other)
        found[i] = _ratio(np.sum(a * b), np.sum(a**2) * np.sum(b**2))
    return found


def _ratio(covariance: F64, variances: F64) -> F64:
    root = np.sqrt(variances)
    ratio: F64 = np.divide(covariance, root, out=np.full(np.shape(root), np.nan), where=root > 0)
    return ratio

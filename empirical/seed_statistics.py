"""Statistics over seeds: spread of one method, paired difference of two, and correction for many tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64

__all__ = ["CONFIDENCE", "Paired", "Spread", "holm", "paired", "sign_flip_p", "spread"]

CONFIDENCE = 0.95
MOST_FLIPPED = 20  # 2^20 sums take a few milliseconds
ROUNDING = 1e-12  # accuracies are multiples of 1/images: what differs by less is equal


@dataclass(frozen=True)
class Spread:
    """Mean of a sample and what is known of it.

    Parameters
    ----------
    n : size of the sample
    mean : of the sample
    sd : standard deviation with n - 1 in the denominator; None for n = 1
    low, high : the interval of Student's t for the expectation; None for n = 1
    """

    n: int
    mean: float
    sd: float | None
    low: float | None
    high: float | None

    @property
    def half_width(self) -> float | None:
        """Half the length of the interval; None if there is none."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


@dataclass(frozen=True)
class Paired:
    """Two methods under the same seeds: statistics of the differences first - second.

    Parameters
    ----------
    difference : their mean, spread and interval
    p_t : two-sided p-value of the paired t-test; None for one seed, and where all differences are equal
    p_flip : exact two-sided p-value if each difference's sign were tossed; None beyond 20 seeds
    p_flip_least : the smallest value that `p_flip` can have for so many seeds, 2^(1 - n)
    constant : all differences are equal, so the seeds say nothing about chance
    """

    difference: Spread
    p_t: float | None
    p_flip: float | None
    p_flip_least: float
    constant: bool

    @property
    def certain(self) -> bool:
        """Whether an interval of positive length excludes zero."""
        d = self.difference
        return not self.constant and d.low is not None and d.high is not None and (d.low > 0 or d.high < 0)


def spread(sample: Sequence[float], confidence: float = CONFIDENCE) -> Spread:
    """Return mean, standard deviation and t-interval mean ± t sd / sqrt(n), t with n - 1 degrees of freedom.

    Parameters
    ----------
    sample : n values
    confidence : of the interval, in (0, 1)

    Raises
    ------
    ValueError : an empty sample, values that are not finite, a confidence outside (0, 1)

    >>> one = spread([1.0, 2.0, 3.0])
    >>> one.mean, one.sd, round(one.half_width, 4)
    (2.0, 1.0, 2.4841)
    """
    from scipy.special import stdtrit

    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), got {confidence}")
    x = _values("sample", sample)
    n, mean = len(x), math.fsum(x) / len(x)
    if n == 1:
        return Spread(1, mean, None, None, None)
    sd = 0.0 if _constant(x) else math.sqrt(math.fsum((x - mean) ** 2) / (n - 1))
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * sd / math.sqrt(n)
    return Spread(n, mean, sd, mean - half, mean + half)


def paired(first: Sequence[float], second: Sequence[float], confidence: float = CONFIDENCE) -> Paired:
    """Return the statistics of first - second, whose i-th values were got under the same seed.

    With three seeds no exact test can give less than 0.25, which is why verdicts rest on the interval.

    Raises
    ------
    ValueError : samples of different or no length, values that are not finite

    >>> result = paired([0.92, 0.91, 0.93], [0.90, 0.90, 0.90])
    >>> round(result.difference.mean, 3), round(result.p_t, 4), result.p_flip, result.p_flip_least
    (0.02, 0.0742, 0.25, 0.25)
    """
    x, y = _values("first", first), _values("second", second)
    if len(x) != len(y):
        raise ValueError(f"both samples must be of one length, got {len(x)} and {len(y)}")
    d = x - y
    if _constant(d):
        d = np.full(len(d), math.fsum(d) / len(d))
    found = spread(d.tolist(), confidence)
    constant = len(d) > 1 and found.sd == 0
    return Paired(found, _p_t(found), sign_flip_p(d.tolist()), 2.0 ** (1 - len(d)), constant)


def sign_flip_p(differences: Sequence[float]) -> float | None:
    """Return the share of all 2^n choices of signs whose sum is at least as far from zero as the given one.

    None beyond 20 differences.

    >>> sign_flip_p([1.0, 2.0, 3.0]), sign_flip_p([1.0, 2.0, -3.0])
    (0.25, 1.0)
    """
    d = _values("differences", differences)
    if len(d) > MOST_FLIPPED:
        return None
    sums = np.zeros(1)
    for value in d:
        sums = np.concatenate([sums + value, sums - value])
    slack = ROUNDING * (1 + float(np.abs(d).sum()))
    return float(np.mean(np.abs(sums) >= abs(math.fsum(d)) - slack))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return Holm's adjusted p-values, in the order given; None stays None and counts as no test.

    The k-th smallest of m is multiplied by m - k + 1; none may be smaller than one before it, nor exceed 1.
    Rejecting what is below alpha keeps the chance of any wrong rejection below alpha.

    Raises
    ------
    ValueError : a value outside [0, 1]

    >>> holm([0.25, 0.5, None])
    [0.5, 0.5, None]
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        if not 0 <= p <= 1:
            raise ValueError(f"p-values must lie in [0, 1], got {p}")
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        adjusted[place] = largest
    return adjusted


def _values(name: str, sample: Sequence[float]) -> F64:
    x = np.asarray(sample, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0 or not np.isfinite(x).all():
        raise ValueError(f"{name} must hold at least one value, all finite, got {list(sample)}")
    return x


def _constant(x: F64) -> bool:
    return bool(np.ptp(x) <= ROUNDING * (1 + float(np.abs(x).max())))


def _p_t(difference: Spread) -> float | None:
    """Return 2 P(T > |mean| sqrt(n) / sd), T of Student's law with n - 1 degrees of freedom."""
    from scipy.special import stdtr

    if not difference.sd:
        return None
    t = abs(difference.mean) * math.sqrt(difference.n) / difference.sd
    return float(2 * stdtr(difference.n - 1, -t))

"""Heavy-tailed laws with a given kurtosis: the model that theory puts beside a real tensor."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from pvq.theory.distribution import WeightDistribution, kurtosis
from pvq.theory.distributions.clipped import Clipped
from pvq.theory.distributions.gaussian import Gaussian
from pvq.theory.distributions.student_t import StudentT
from pvq.theory.distributions.truncated import Truncated
from pvq.theory.distributions.uniform import Uniform

__all__ = ["Family", "Reading", "bounded_student", "law_of_kurtosis", "r_of_kurtosis"]

Reading: TypeAlias = Literal["truncated", "clipped"]
Family: TypeAlias = Literal["truncated", "clipped", "matched-nu"]
UNIFORM_KURTOSIS = 1.8
GAUSSIAN_NU = 1e7  # from here on Student's t is a Gaussian in float64 as far as SNRs go


def bounded_student(r: float, reading: Reading = "truncated", nu: float = 2.0) -> WeightDistribution:
    """Return Student's t on [-r, r], renormalised (``truncated``) or with point masses at +-r (``clipped``).

    Kuzmin et al. (arXiv 2307.02973) take nu = 2; their text truncates, their FP8 code clips.

    Raises
    ------
    ValueError : another reading; r or nu not positive and finite

    >>> round(kurtosis(bounded_student(100, "clipped")), 3)
    251.956
    """
    if reading not in ("truncated", "clipped"):
        raise ValueError(f"reading must be truncated or clipped, got {reading!r}")
    return (Truncated if reading == "truncated" else Clipped)(StudentT(nu), r)


def r_of_kurtosis(target: float, reading: Reading = "truncated", nu: float = 2.0) -> float:
    """Return the r at which `bounded_student` has this kurtosis, which grows with r.

    Raises
    ------
    ValueError : kurtosis not above the limit for r -> 0 (1.8 truncated, 1 clipped), not finite, or beyond
        the limit for r -> inf that nu > 4 has

    >>> round(r_of_kurtosis(159.6657), 2)
    100.0
    """
    from scipy.optimize import brentq

    least = UNIFORM_KURTOSIS if reading == "truncated" else 1.0
    if not least < target < np.inf:
        raise ValueError(f"kurtosis must lie in ({least}, inf) for the {reading} law, got {target}")

    def excess(log_r: float) -> float:
        return kurtosis(bounded_student(float(np.exp(log_r)), reading, nu)) - target

    low, high = -1.0, 1.0
    while excess(low) > 0 and low > -12:
        low -= 1
    while excess(high) < 0 and high < 60:
        high += 1
    if excess(low) > 0 or excess(high) < 0:
        raise ValueError(f"kurtosis must be one that the {reading} law with nu={nu} reaches, got {target}")
    return float(np.exp(brentq(excess, low, high, xtol=1e-13, rtol=1e-13)))


def law_of_kurtosis(target: float, family: Family = "truncated", nu: float = 2.0) -> WeightDistribution:
    """Return the family's law with this kurtosis, scale one.

    ``truncated`` and ``clipped``: Student's t with `nu` degrees of freedom on [-r, r], r chosen; a kurtosis
    at or below 1.8, which truncation only has in the limit r -> 0, gives the uniform law, that limit.
    ``matched-nu``: Student's t on the whole line with nu = 4 + 6 / (kurtosis - 3); at or below 3, where there
    is none, the Gaussian, its limit.

    Raises
    ------
    ValueError : kurtosis below 1 (no law has it) or not finite; clipped: at 1

    >>> law_of_kurtosis(9.0, "matched-nu")
    StudentT(nu=5.0, scale=1.0)
    """
    if not 1 <= target < np.inf:
        raise ValueError(f"kurtosis must be at least 1 and finite, got {target}")
    if family == "matched-nu":
        matched = 4 + 6 / (target - 3) if target > 3 else np.inf
        return StudentT(matched) if matched < GAUSSIAN_NU else Gaussian()
    if family == "truncated" and target <= UNIFORM_KURTOSIS * (1 + 1e-9):
        return Uniform()
    return bounded_student(r_of_kurtosis(target, family, nu), family, nu)

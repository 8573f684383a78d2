"""From a spec, a file or a tensor to a law of weights."""

from __future__ import annotations

import numpy as np

from pvq.arrays import F64
from pvq.theory.distribution import DISTRIBUTIONS, WeightDistribution
from pvq.theory.distributions.empirical import Empirical

__all__ = ["as_law", "law"]


def law(spec: str) -> WeightDistribution:
    """Return the law that `spec` names: a registered name with options, or ``file:PATH`` for a stored tensor.

    Raises
    ------
    SpecError, UnknownName : a spec that cannot be read
    ValueError, OSError : a file without usable weights, or no file

    >>> law("truncated[law=student-t[nu=2],r=100]")
    Truncated(law=StudentT(nu=2.0, scale=1.0), r=100.0)
    """
    return DISTRIBUTIONS.build(spec)


def as_law(source: WeightDistribution | F64) -> WeightDistribution:
    """Return a law as it is, and a tensor as the law of its values.

    Raises
    ------
    ValueError : an empty tensor, NaN or infinity

    >>> float(as_law(np.array([1.0, 3.0])).quantile(np.asarray(1.0)))
    3.0
    """
    return source if isinstance(source, WeightDistribution) else Empirical(np.asarray(source))

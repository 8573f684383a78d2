"""The error of a point without any rounding."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import F64

from .rounding import TINY

if TYPE_CHECKING:
    from .problem import LayerProblem

__all__ = ["error_down", "error_up"]


def error_down(problem: LayerProblem, x: F64) -> float:
    """Return the largest float at most max(0, (x - w)' H (x - w)), computed in integers.

    >>> from pvq.solvers.problem import LayerProblem
    >>> error_down(LayerProblem(np.eye(1), np.array([0.1])), np.zeros(1)) < 0.1 * 0.1
    True
    """
    exact = _exact(problem, x)
    rounded = float(exact)
    return rounded if Fraction(rounded) <= exact else float(np.nextafter(rounded, -np.inf))


def error_up(problem: LayerProblem, x: F64) -> float:
    """Return the smallest normal float at least max(0, (x - w)' H (x - w)), computed in integers.

    >>> from pvq.solvers.problem import LayerProblem
    >>> error_up(LayerProblem(np.ones((2, 2)), np.array([0.5, 0.5])), np.array([0.0, 1.0]))
    0.0
    """
    exact = _exact(problem, x)
    rounded = float(exact)
    upper = rounded if Fraction(rounded) >= exact else float(np.nextafter(rounded, np.inf))
    return max(upper, TINY) if exact > 0 else 0.0


def _exact(problem: LayerProblem, x: F64) -> Fraction:
    H, h = _integers(problem.H)
    both, v = _integers(np.array([x, problem.w]))
    change = both[0] - both[1]
    return max(Fraction(0), Fraction(int(change @ (H @ change))) * Fraction(2) ** (h + 2 * v))


def _integers(values: F64) -> tuple[NDArray[Any], int]:
    """Return Python integers and an exponent e with values = integers * 2^e exactly."""
    mantissa, exponent = np.frexp(values)
    whole = np.ldexp(mantissa, 53).astype(np.int64).astype(object)
    used = np.where(values == 0, np.iinfo(np.int32).max, exponent)
    least = int(used.min()) if (values != 0).any() else 0
    shift = np.where(values == 0, 0, exponent - least).astype(object)
    return whole << shift, least - 53

"""Array types and the checks that every public entry makes on arrays."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["F64", "I64", "Bool", "as_f64", "finite_or_none"]

F64: TypeAlias = NDArray[np.float64]
I64: TypeAlias = NDArray[np.int64]
Bool: TypeAlias = NDArray[np.bool_]


def as_f64(values: ArrayLike, name: str, ndim: int | None = None) -> F64:
    """Return `values` as a finite, non-empty, contiguous float64 array.

    Parameters
    ----------
    values : anything that NumPy can read as numbers
    name : the argument's name, for the message
    ndim : the demanded number of dimensions, any if None

    Raises
    ------
    ValueError : wrong dimension, no element, NaN or infinity

    >>> as_f64([1, 2], "w", ndim=1)
    array([1., 2.])
    """
    try:
        array = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers, got {type(values).__name__}") from error
    if ndim is not None and np.ndim(values) != ndim:
        raise ValueError(f"{name} must have {ndim} dimension(s), got shape {np.shape(values)}")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(
            f"{name} must be finite, got {int((~np.isfinite(array)).sum())} NaN or infinite value(s)"
        )
    return array


def finite_or_none(value: float | None) -> float | None:
    """Return `value` as a float, None where it is NaN, infinite or None: what JSON can hold.

    >>> finite_or_none(float("inf")) is None, finite_or_none(1.0)
    (True, 1.0)
    """
    return float(value) if value is not None and np.isfinite(value) else None

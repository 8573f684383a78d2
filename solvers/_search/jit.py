"""The decorator of kernels on whose rounding no proof depends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

__all__ = ["summing_kernel"]

F = TypeVar("F", bound=Callable[..., Any])


def summing_kernel(function: F) -> F:
    """Return the function compiled so that sums are taken in any order, several terms at a time."""
    return cast(F, numba.njit(cache=True, error_model="numpy", fastmath={"reassoc"})(function))

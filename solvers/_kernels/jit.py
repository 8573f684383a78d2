"""The one decorator of all kernels here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

__all__ = ["kernel"]

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Return the function compiled at its first call, kept on disk; division by zero gives inf or NaN."""
    return cast(F, numba.njit(cache=True, error_model="numpy")(function))

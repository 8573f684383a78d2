"""The one decorator of all kernels here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

__all__ = ["kernel", "summing"]

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Return the function compiled at its first call, kept on disk; division by zero gives inf or NaN."""
    return cast(F, numba.njit(cache=True, error_model="numpy")(function))


def summing(function: F) -> F:
    """Return the function compiled like `kernel`, its sums in any order, for arguments without NaN.

    Sums then run on several lanes at once; their last digits depend on the processor.
    """
    flags = {"reassoc", "nnan", "nsz", "contract"}
    return cast(F, numba.njit(cache=True, error_model="numpy", fastmath=flags)(function))

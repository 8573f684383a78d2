"""Cholesky routines of SciPy's LAPACK for kernels that are compiled and kept on disk.

The routines' addresses change from run to run; kernels therefore call names, which are bound when this module
is imported, before any kernel is.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numba import types
from numba.extending import get_cython_function_address

from pvq.arrays import F64
from pvq.solvers._kernels.jit import kernel

__all__ = ["factor", "invert", "invert_lower", "solve"]


def _bind(name: str, arguments: int) -> Any:
    symbol = f"pvq_{name}"
    llvm.add_symbol(symbol, get_cython_function_address("scipy.linalg.cython_lapack", name))
    return types.ExternalFunction(symbol, types.void(*([types.voidptr] * arguments)))


_dpotrf, _dpotri, _dpotrs = _bind("dpotrf", 5), _bind("dpotri", 5), _bind("dpotrs", 8)


@kernel
def factor(M: F64) -> bool:
    """Write the lower Cholesky factor over the lower part of M (n, n), if there is one; return whether."""
    n, leading, info, upper = _integers(M.shape[0]), _integers(M.shape[1]), _integers(0), _letter()
    _dpotrf(upper.ctypes, n.ctypes, M.ctypes, leading.ctypes, info.ctypes)
    return bool(info[0] == 0)


@kernel
def invert_lower(M: F64) -> None:
    """Write the lower part of the inverse over a factor that `factor` left in M."""
    n, leading, info, upper = _integers(M.shape[0]), _integers(M.shape[1]), _integers(0), _letter()
    _dpotri(upper.ctypes, n.ctypes, M.ctypes, leading.ctypes, info.ctypes)


@kernel
def invert(M: F64) -> None:
    """Write the symmetric inverse over a factor that `factor` left in M."""
    invert_lower(M)
    for i in range(M.shape[0]):
        for j in range(i):
            M[j, i] = M[i, j]


@kernel
def solve(M: F64, B: F64) -> None:
    """Solve for each row of B (r, n) in place with a factor that `factor` left in M."""
    n, leading, info, upper = _integers(M.shape[0]), _integers(M.shape[1]), _integers(0), _letter()
    count = _integers(B.shape[0])
    _dpotrs(
        upper.ctypes, n.ctypes, count.ctypes, M.ctypes, leading.ctypes, B.ctypes, leading.ctypes, info.ctypes
    )


@kernel
def _integers(value: int) -> Any:
    return np.full(1, value, np.int32)


@kernel
def _letter() -> Any:
    """Return "U": rows are LAPACK's columns."""
    return np.full(1, 85, np.uint8)

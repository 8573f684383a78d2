"""Best weights on a given support."""

from __future__ import annotations

import numpy as np

from pvq.arrays import F64, I64

from .problem import LayerProblem

__all__ = ["refit"]


def refit(problem: LayerProblem, kept: I64) -> F64:
    """Return the weights of least error that vanish outside `kept`.

    With K the kept inputs, x_K = w_K + H_KK^+ H_KO w_O: the change of the kept weights is solved for, in the
    least-norm sense and on unit diagonal, so that a singular H_KK does no harm. If the least squares solution
    is worse than leaving the kept weights as they are, they are left.

    Parameters
    ----------
    kept : indices of the weights that may differ from zero

    >>> problem = LayerProblem(np.array([[1.0, 0.5], [0.5, 1.0]]), np.array([1.0, 1.0]))
    >>> refit(problem, np.array([0]))
    array([1.5, 0. ])
    """
    H, w = problem.H, problem.w
    plain = np.zeros(problem.n)
    plain[kept] = w[kept]
    live = kept[np.diagonal(H)[kept] > 0]
    if len(live) == 0:
        return plain
    removed = np.setdiff1d(np.arange(problem.n), kept)
    root = np.sqrt(np.diagonal(H)[live])
    A = H[np.ix_(live, live)] / root[:, None] / root[None, :]
    change = _solve(A, (H[np.ix_(live, removed)] @ w[removed]) / root) / root
    fitted = plain.copy()
    fitted[live] += change
    return fitted if problem.error(fitted) < problem.error(plain) else plain


def _solve(A: F64, b: F64) -> F64:
    """Solve A x = b, by eigenvalues above rounding where Cholesky breaks down or refuses."""
    from ._dual.linalg import cholesky, solve_factored

    factor = cholesky(A)
    if factor is not None and np.diagonal(factor).min() > 1e-6:
        return solve_factored(factor, b)
    values, vectors = np.linalg.eigh(A)
    large = values > 1e-12 * len(A)
    return np.asarray(vectors[:, large] @ ((vectors[:, large].T @ b) / values[large]))

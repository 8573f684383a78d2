"""From the whole problem to a part, in which only its undecided weights are left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import F64, I64
from pvq.solvers._kernels.jit import kernel

from .branches import Region
from .lapack import factor, solve

__all__ = ["reduce_to_part"]


@kernel
def reduce_to_part(
    H: F64, w: F64, low: F64, high: F64, quota: I64, active: I64, kept: I64, removed: I64, margin: F64
) -> tuple[F64, F64, F64, float]:
    """Return H and w reduced to the active weights, the matrix that proves d, and the constant; H empty on failure.

    Parameters
    ----------
    active, kept, removed : the weights with multipliers, those minimised out, those at zero
    margin : (n,) what is taken off the diagonal of the proof's matrix

    With K kept and O removed, H becomes H_AA - H_AK inv(H_KK) H_KA; the compensated weights w + e0 have
    e0_O = -w_O and no slope in e0_A, and the constant is e0'H e0.
    """
    m, k = len(active), len(kept)
    full = np.empty((m + k, m + k))
    order = np.concatenate((active, kept))
    for a in range(m + k):
        for b in range(m + k):
            full[a, b] = H[order[a], order[b]]
    slope = np.zeros(m + k)
    constant = 0.0
    for j in removed:
        for a in range(m + k):
            slope[a] -= H[order[a], j] * w[j]
    for i in removed:
        for j in removed:
            constant += w[i] * H[i, j] * w[j]
    reduced = full[:m, :m].copy()
    if k > 0:
        K = full[m:, m:].copy()
        if not factor(K):
            return np.empty((0, 0)), w, full, 0.0
        coupling, pull = full[:m, m:].copy(), slope[m:].copy().reshape(1, k)
        B = coupling.copy()
        solve(K, B)
        reduced -= coupling @ B.T
        slope[:m] -= B @ pull[0]
        solve(K, pull)
        constant -= np.sum(slope[m:] * pull[0])
    R, e0 = reduced.copy(), -slope[:m].copy().reshape(1, m)
    if not factor(R):
        return np.empty((0, 0)), w, full, 0.0
    solve(R, e0)
    constant += np.sum(slope[:m] * e0[0])
    for a in range(m + k):
        full[a, a] -= margin[order[a]]
    return 0.5 * (reduced + reduced.T), w[active] + e0[0], full, constant

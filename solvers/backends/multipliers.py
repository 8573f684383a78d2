"""From the multipliers of a general solver, which are only nearly feasible, to a certificate of our own.

A solver's d leaves A - D slightly indefinite. Shrinking all multipliers, D -> sD, makes up for it: A - sD =
(1 - s) A + s (A - D). Several s are tried with two tangents each, the solver's own minimiser and that of the
Lagrangian, (A - sD)^-1 s p; every pair is re-proved about H itself and the best is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from pvq.arrays import F64
from pvq.solvers._dual.linalg import cholesky, solve_factored
from pvq.solvers.certificates.finite import FiniteCertificate
from pvq.solvers.certificates.sparse import SparseCertificate
from pvq.solvers.feasible import FeasibleSet
from pvq.solvers.rounding import proves_psd, psd_shift
from pvq.solvers.solver import CLAIM_SLACK

from .scaled import Scaled

__all__ = ["best_certificate"]

C = TypeVar("C", FiniteCertificate, SparseCertificate)
SHRINK = (0.0, 1e-8, 1e-6, 1e-4, 1e-3, 1e-2)


def best_certificate(
    kind: Callable[[str, F64, F64], C],
    scaled: Scaled,
    feasible: FeasibleSet,
    d: F64,
    linear: F64,
    u: F64,
) -> C:
    """Return the certificate that proves most.

    Parameters
    ----------
    kind : FiniteCertificate or SparseCertificate
    d : (m,) diagonal split off the scaled matrix
    linear : (m,) the Lagrangian's slope p: its minimiser is (A - D)^-1 p
    u : (m,) the solver's own minimiser, an estimate of the scaled change
    """
    made = []
    for shrink in SHRINK:
        diagonal, usable = _proved(scaled, (1.0 - shrink) * d)
        M = scaled.A - np.diag(usable)
        factor = cholesky(M)
        tangents = [u] if factor is None else [u, solve_factored(factor, (1.0 - shrink) * linear)]
        finite = [tangent for tangent in tangents if np.isfinite(tangent).all()]
        made += [
            kind(scaled.problem.digest, diagonal, scaled.spread(tangent / scaled.stretch))
            for tangent in finite
        ]
    return max(made, key=lambda proof: proof.bound(scaled.problem, feasible, CLAIM_SLACK))


def _proved(scaled: Scaled, d: F64) -> tuple[F64, F64]:
    """Return the diagonal (n,) for H, lowered until H - D is proved definite, and its scaled form (m,)."""
    least = float(np.linalg.eigvalsh(scaled.A - np.diag(d))[0]) if len(d) else 0.0
    room = 3.0 * psd_shift(len(d))
    square = (scaled.stretch * scaled.unit) ** 2
    usable, full = d, scaled.spread(d * square)
    for margin in [0.0, *(max(0.0, -least) + room * 10.0**k for k in range(4))]:
        usable = d - margin
        full = scaled.spread(usable * square)
        if proves_psd(scaled.problem.H, full, CLAIM_SLACK):
            break
    return full, usable

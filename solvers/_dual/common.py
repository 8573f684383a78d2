"""One diagonal for all rows of a layer: a bound for O(n^2) a row, once the layer's own work is done.

The analytic centre argmax logdet(A - D) + sum log d, moved out to near the boundary, is within a few per cent
as good as the diagonal that is best for the rows on average, and it knows nothing of the rows. With D given,
the best tangent u = y - w comes from the convex problem

    min over y of (y - w)'(A - D)(y - w) + sum_i e_i(y_i)

with e_i the envelope of d_i (y - w_i)^2 over the levels. The alternating direction method of multipliers
(S. Boyd et al., Foundations and Trends in Machine Learning 3, 2011) solves it for all rows together: with
penalties d / kappa, one inverse serves all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.solvers.certificates.finite import FiniteCertificate
from pvq.solvers.feasible import FiniteSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import Limits

from .dense import Lapack
from .envelope import Envelopes
from .finite import FiniteDual, Scaled, proved_diagonal, spread
from .linalg import cholesky, inverse
from .prepared import Prepared, prepare

__all__ = ["CommonDual"]

KAPPA = 0.2  # penalties are d / KAPPA: of 0.1, 0.3, 1 and 3 the smaller two need 20 steps, the others 50
RELAXED = 1.6
ROWS = 256  # solved together
OUTWARD = tuple(0.2 * 2.0**-k for k in range(8))  # tried in turn: how far D is stretched towards the boundary


@dataclass(frozen=True, eq=False)
class CommonDual:
    """The bound of all rows of a layer by one diagonal.

    Parameters
    ----------
    problems, sets : rows that share one Gram, each with its levels
    steps : of the search for the tangents
    """

    problems: Sequence[LayerProblem]
    sets: Sequence[FiniteSet]
    steps: int

    def run(self, limits: Limits) -> list[Outcome]:
        """Return certificate and rounded point of each row."""
        expired, prepared = limits.clock(), prepare(self.problems[0].gram).ridged[-1]
        if len(prepared.alive) == 0 or any(len(chosen.levels) == 1 for chosen in self.sets):
            pairs = zip(self.problems, self.sets, strict=True)
            return [FiniteDual(problem, chosen, hull=True).run(limits) for problem, chosen in pairs]
        D = _outer(prepared, prepared.centre_within(expired))
        d = proved_diagonal(self.problems[0], prepared, D)
        tangents = _Tangents.of(prepared, D)
        blocks = (slice(start, start + ROWS) for start in range(0, len(self.problems), ROWS))
        return [made for block in blocks for made in self._block(block, prepared, d, tangents, expired)]

    def _block(
        self, block: slice, prepared: Prepared, d: F64, tangents: _Tangents, expired: Callable[[], bool]
    ) -> list[Outcome]:
        problems, sets = self.problems[block], self.sets[block]
        rows = [Scaled.of(*row, prepared) for row in zip(problems, sets, strict=True)]
        U, status = tangents.search(Envelopes.of([row.grid for row in rows]), self.steps, expired)
        made = []
        for problem, chosen, row, u in zip(problems, sets, rows, U, strict=True):
            change = spread(problem, prepared, u / row.unit)
            points = [chosen.nearest(problem.w), chosen.nearest(problem.w + change)]
            certificate = FiniteCertificate(problem.digest, d, change)
            made.append(Outcome(status, min(points, key=problem.error), certificate, self.steps))
        return made


@dataclass(frozen=True, eq=False)
class _Tangents:
    """What the search for tangents needs of the layer.

    Parameters
    ----------
    M : (m, m) A - diag(D)
    D : (m,) positive
    inverse : (m, m) of 2 M + diag(D) / KAPPA
    """

    M: F64
    D: F64
    inverse: F64

    @staticmethod
    def of(prepared: Prepared, D: F64) -> _Tangents:
        M = prepared.A - np.diag(D)
        factor = cholesky(2.0 * M + np.diag(D / KAPPA))
        assert factor is not None, "a sum of definite matrices"
        return _Tangents(M, D, inverse(factor))

    def search(self, rows: Envelopes, steps: int, expired: Callable[[], bool]) -> tuple[F64, Status]:
        """Return the better of two tangents of each row, (R, m), and why the search stopped."""
        Z, dual = rows.clip(rows.W), np.zeros_like(rows.W)
        constant, penalty = 2.0 * rows.W @ self.M, self.D / KAPPA
        Y, status = Z, Status.BOUND
        for _ in range(steps):
            if expired():
                status = Status.TIME_LIMIT
                break
            Y = (constant + penalty * (Z - dual)) @ self.inverse
            V = RELAXED * Y + (1.0 - RELAXED) * Z + dual
            Z = rows.prox(V, KAPPA)
            dual = V - Z
        first, second = Y - rows.W, Z - rows.W
        better = self._value(rows, first) >= self._value(rows, second)
        return np.where(better[:, None], first, second), status

    def _value(self, rows: Envelopes, U: F64) -> F64:
        G = U @ self.M
        return np.asarray(rows.least(self.D, G) - (U * G).sum(axis=1))


def _outer(prepared: Prepared, d: F64) -> F64:
    """Return d stretched as far towards the boundary as one of a few factors allows."""
    dense = Lapack()
    for more in OUTWARD:
        if dense.factor(prepared.A, (1.0 + more) * d) is not None:
            return np.asarray((1.0 + 0.9 * more) * d)
    return 0.95 * d

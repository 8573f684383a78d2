"""From the perspective relaxation to a certified pruning bound for H itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.solvers.certificates.boxed_sparse import BoxedSparseCertificate
from pvq.solvers.certificates.n_of_m import NOfMCertificate
from pvq.solvers.certificates.sparse import SparseCertificate
from pvq.solvers.feasible import FeasibleSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.rounding import proves_psd
from pvq.solvers.sets.boxed_sparse import BoxedSparseSet
from pvq.solvers.sets.n_of_m import NOfMSet
from pvq.solvers.solver import CLAIM_SLACK, Limits
from pvq.solvers.supports import Supports, fit_support, supports_of

from .groups import Groups
from .perspective import Perspective, Relaxed, kept_cost
from .prepared import Prepared, prepare

__all__ = ["NEGLIGIBLE", "SparseDual", "live_groups"]

NEGLIGIBLE = 1e-9  # of the signal: a bound below that is not worth more steps


@dataclass(frozen=True, eq=False)
class SparseDual:
    """The diagonal dual bound of one row over sparse, N:M sparse or boxed sparse vectors."""

    problem: LayerProblem
    feasible: FeasibleSet

    def run(self, limits: Limits) -> Outcome:
        """Return the bound's certificate and the best weights on the support that the relaxation keeps."""
        prepared = prepare(self.problem.gram)
        w = self.problem.w[prepared.alive] * prepared.root
        unit = float(np.linalg.norm(w)) / np.sqrt(max(1, len(w)))
        groups, box = live_groups(supports_of(self.feasible), prepared), self._box(prepared)
        point_box = box is not None and not np.ptp(box, axis=0).any()
        if unit == 0 or groups is None or point_box or (len(groups.removed) == 0 and box is None):
            return self._trivial(prepared)
        scaled = None if box is None else box / unit
        engine = Perspective(prepared.A, w / unit, groups, 0.9 * prepared.centre, scaled)
        relaxed = engine.solve(limits.tolerance, NEGLIGIBLE * len(w), limits.clock(), limits.seed)
        certificate = self._certificate(prepared, relaxed.d, relaxed.e * unit / prepared.root)
        point = self._rounded(prepared, relaxed, w / unit, scaled)
        return Outcome(relaxed.status, point, certificate, relaxed.iterations)

    def _box(self, prepared: Prepared) -> F64 | None:
        """Return the bounds of x - w on live inputs, in units of `prepared`, (2, m); None without a box."""
        if not isinstance(self.feasible, BoxedSparseSet):
            return None
        w = self.problem.w[prepared.alive]
        return np.array([self.feasible.low - w, self.feasible.high - w]) * prepared.root

    def _certificate(self, prepared: Prepared, d: F64, e: F64) -> SparseCertificate | BoxedSparseCertificate:
        """Return the certificate; the diagonal gives up as much as a proof about H itself needs.

        Only in a box may it fall below zero; elsewhere a d below the margin gives up most of itself.
        """
        boxed = isinstance(self.feasible, BoxedSparseSet)
        full_d, full_e, square = np.zeros(self.problem.n), np.zeros(self.problem.n), prepared.root**2
        full_e[prepared.alive] = e
        for margin in [0.0, *(prepared.margin * 4.0**k for k in range(8))]:
            full_d[prepared.alive] = (d - margin if boxed else d * (d / (d + margin))) * square
            if proves_psd(self.problem.H, full_d, CLAIM_SLACK):
                break
        if boxed:
            return BoxedSparseCertificate(self.problem.digest, full_d, full_e)
        kind = NOfMCertificate if isinstance(self.feasible, NOfMSet) else SparseCertificate
        return kind(self.problem.digest, full_d, full_e)

    def _rounded(self, prepared: Prepared, relaxed: Relaxed, w: F64, box: F64 | None) -> F64:
        """Return the best weights on the live inputs whose removal costs the relaxation most."""
        g = prepared.A @ relaxed.e - relaxed.d * relaxed.e
        cost = np.full(self.problem.n, -np.inf)
        cost[prepared.alive] = relaxed.d * w * w - 2.0 * g * w - kept_cost(relaxed.d, g, box)
        return fit_support(self.problem, self.feasible, supports_of(self.feasible).largest(cost))

    def _trivial(self, prepared: Prepared) -> Outcome:
        """Return the optimum where nothing or everything must go, or where no weight matters."""
        x = self.feasible.nearest(np.where(self.problem.gram.alive, self.problem.w, 0.0))
        e = (x - self.problem.w)[prepared.alive]
        d = 0.5 * prepared.inside if len(prepared.alive) else e
        return Outcome(Status.BOUND, x, self._certificate(prepared, d, e), 0)


def live_groups(supports: Supports, prepared: Prepared) -> Groups | None:
    """Return the groups of the live inputs, None where all of them are removed.

    Dead inputs are removed first, for free; so a group that keeps anything at all keeps a live input.
    """
    group = supports.group[prepared.alive]
    live = np.bincount(group, minlength=len(supports.keep))
    if (supports.keep == 0).any():
        return None
    return Groups.of(group, np.maximum(0, live - supports.keep))

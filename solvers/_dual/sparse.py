"""From the perspective relaxation to a certified pruning bound for H itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.solvers.certificates.sparse import SparseCertificate
from pvq.solvers.feasible import SparseSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.refit import refit
from pvq.solvers.rounding import proves_psd
from pvq.solvers.solver import CLAIM_SLACK, Limits

from .perspective import Perspective, Relaxed
from .prepared import Prepared, prepare

__all__ = ["SparseDual"]

NEGLIGIBLE = 1e-9  # of the signal: a bound below that is not worth more steps


@dataclass(frozen=True, eq=False)
class SparseDual:
    """The diagonal dual bound of one row over vectors with at most k nonzero entries."""

    problem: LayerProblem
    feasible: SparseSet

    def run(self, limits: Limits) -> Outcome:
        """Return the bound's certificate and the refitted weights that the relaxation keeps."""
        prepared = prepare(self.problem.gram)
        w = self.problem.w[prepared.alive] * prepared.root
        size = float(np.linalg.norm(w))
        removed = self.feasible.removed - (self.problem.n - len(w))  # dead inputs are removed for free
        if removed <= 0 or size == 0 or removed == len(w):
            return self._trivial(prepared)
        unit = size / np.sqrt(len(w))
        engine = Perspective(prepared.A, w / unit, removed, 0.9 * prepared.centre)
        relaxed = engine.solve(limits.tolerance, NEGLIGIBLE * len(w), limits.clock(), limits.seed)
        e = relaxed.e * unit / prepared.root
        certificate = self._certificate(prepared, relaxed.d, e)
        return Outcome(
            relaxed.status, self._rounded(prepared, relaxed, w / unit), certificate, relaxed.iterations
        )

    def _certificate(self, prepared: Prepared, d: F64, e: F64) -> SparseCertificate:
        """Return the certificate; the diagonal gives up as much as a proof about H itself needs."""
        full_d, full_e, square = np.zeros(self.problem.n), np.zeros(self.problem.n), prepared.root**2
        full_e[prepared.alive] = e
        for margin in [0.0, *(prepared.margin * 4.0**k for k in range(8))]:
            full_d[prepared.alive] = (d - margin) * square
            if proves_psd(self.problem.H, full_d, CLAIM_SLACK):
                break
        return SparseCertificate(self.problem.digest, full_d, full_e)

    def _rounded(self, prepared: Prepared, relaxed: Relaxed, w: F64) -> F64:
        """Return refitted weights on the k live inputs whose removal costs the relaxation most."""
        g = prepared.A @ relaxed.e - relaxed.d * relaxed.e
        cost = np.full(self.problem.n, -1.0)
        cost[prepared.alive] = (relaxed.d * w - g) ** 2 / relaxed.d
        return refit(self.problem, np.argsort(-cost, kind="stable")[: self.feasible.k])

    def _trivial(self, prepared: Prepared) -> Outcome:
        """Return the optimum where nothing or everything must go, or where no weight matters."""
        x = self.feasible.nearest(np.where(self.problem.gram.alive, self.problem.w, 0.0))
        e = (x - self.problem.w)[prepared.alive]
        d = 0.5 * prepared.inside if len(prepared.alive) else e
        return Outcome(Status.BOUND, x, self._certificate(prepared, d, e), 0)

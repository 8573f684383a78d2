"""The optimal perspective relaxation of pruning, as CVXPY states it.

In scaled changes u of the weights, with U standing for uu' and z_i for whether weight i is kept,

    min <A, U>  subject to  [[U, u], [u', 1]] >= 0,  sum z <= k, z <= 1,
    X_i z_i >= (w_i + u_i)^2  with  X_i = U_ii + 2 w_i u_i + w_i^2

(H. Dong, K. Chen, J. Linderoth, arXiv 1510.06421). The multiplier (lambda, nu) of the second-order cone
|(2 (w_i + u_i), X_i - z_i)| <= X_i + z_i gives d_i = lambda_i + nu_2i and the Lagrangian's minimiser
(A - D)^-1 (d o w + nu_1).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from pvq.arrays import F64
from pvq.solvers.certificates.sparse import SparseCertificate
from pvq.solvers.feasible import SparseSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.refit import refit
from pvq.solvers.solver import Limits

from .cvxpy_run import Answer, ConicSolver, run_cvxpy
from .multipliers import best_certificate
from .remarks import claim_note
from .scaled import Scaled, scale

__all__ = ["relax_sparse"]

LEAST = 1e-9  # of the largest d: a kept weight needs d > 0


def relax_sparse(
    problem: LayerProblem, feasible: SparseSet, solver: ConicSolver, accuracy: float | None, limits: Limits
) -> Outcome:
    """Return refitted weights, and a certificate built from the solver's multipliers.

    The kept weights are those of largest magnitude on unit diagonal, or those that the relaxation keeps.
    """
    scaled = scale(problem, np.full(problem.n, float(np.abs(problem.w).max()) or 1.0))
    wanted = np.abs(scaled.spread(scaled.w)) + np.where(problem.gram.alive, 0.0, -1.0)
    point = _kept(problem, wanted, feasible.k)
    if feasible.k == 0 or feasible.k >= len(scaled.alive) or not problem.w.any():
        return Outcome(Status.FEASIBLE, point, notes=claim_note(solver, "not needed", None))
    lifted = _Lifted(scaled, feasible.k)
    answer = run_cvxpy(lifted.make, solver, accuracy, limits)
    points, certificate, reached = [point], None, lifted.read(answer)
    if reached is not None:
        d, linear, u, kept = reached
        points.append(_kept(problem, scaled.spread(kept) + wanted * 1e-9, feasible.k))
        certificate = best_certificate(SparseCertificate, scaled, feasible, d, linear, u)
    value = None if answer.value is None else answer.value * scaled.unit**2
    note = claim_note(solver, answer.says, value)
    return Outcome(answer.status, min(points, key=problem.error), certificate, answer.iterations, note)


def _kept(problem: LayerProblem, score: F64, k: int) -> F64:
    return refit(problem, np.argsort(-score, kind="stable")[:k])


@dataclass(eq=False)
class _Lifted:
    """The lifted problem; `make` states it, `read` takes an answer apart."""

    scaled: Scaled
    k: int

    def make(self) -> Any:
        """Return the CVXPY problem."""
        cp: Any = import_module("cvxpy")  # its stubs lack its functions

        m, w = len(self.scaled.alive), self.scaled.w
        self.lift, self.z = cp.Variable((m + 1, m + 1), symmetric=True), cp.Variable(m)
        u = self.lift[:m, m]
        X = cp.diag(self.lift)[:m] + 2.0 * cp.multiply(w, u) + w**2
        self.cone = cp.SOC(X + self.z, cp.vstack([2.0 * (w + u), X - self.z]), axis=0)
        error = cp.sum(cp.multiply(self.scaled.A, self.lift[:m, :m]))
        plain = [self.lift >> 0, self.lift[m, m] == 1, self.z <= 1, cp.sum(self.z) <= self.k]
        return cp.Problem(cp.Minimize(error), [*plain, self.cone])

    def read(self, answer: Answer) -> tuple[F64, F64, F64, F64] | None:
        """Return D's diagonal, the Lagrangian's slope, the minimiser and z, None without multipliers."""
        m = len(self.scaled.alive)
        if not answer.dual or self.cone.id not in answer.dual:
            return None
        size, first, second = np.reshape(answer.dual[self.cone.id], (m, 3)).T  # one cone after another
        d = size + second
        d = np.maximum(d, LEAST * max(float(d.max()), LEAST))
        lift, z = answer.primal.get(self.lift.id), answer.primal.get(self.z.id)
        u = np.zeros(m) if lift is None else np.asarray(lift)[:m, m]
        return d, d * self.scaled.w + first, u, np.zeros(m) if z is None else np.reshape(z, m)

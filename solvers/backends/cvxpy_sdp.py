"""The semidefinite relaxations of a finite set, as CVXPY states them.

In scaled changes u of the weights, with U standing for uu',

    min <A, U>  subject to  [[U, u], [u', 1]] >= 0,  alpha U_ii - beta u_i - rho >= 0 for every cut.

The multipliers x of the cuts give D = diag(sum alpha x) and the Lagrangian's minimiser
(A - D)^-1 (-sum beta x / 2), from which the certificate is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from pvq.arrays import F64
from pvq.solvers.certificates.finite import FiniteCertificate
from pvq.solvers.feasible import FiniteSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import Limits

from .cvxpy_run import Answer, ConicSolver, run_cvxpy
from .multipliers import best_certificate
from .remarks import claim_note
from .scaled import Scaled, scale

__all__ = ["Relaxation", "relax_finite"]

Relaxation: TypeAlias = Literal["park-boyd", "hull"]


class Edge(NamedTuple):
    """One cut per weight, alpha U_ii - beta_i u_i - rho_i >= 0; arrays of shape (m,)."""

    alpha: float
    beta: F64
    rho: F64


def relax_finite(
    problem: LayerProblem,
    feasible: FiniteSet,
    relaxation: Relaxation,
    solver: ConicSolver,
    accuracy: float | None,
    limits: Limits,
) -> Outcome:
    """Return the better of two rounded points, and a certificate built from the solver's multipliers.

    Parameters
    ----------
    relaxation : ``park-boyd``, the lower edge of the two levels around each weight (arXiv 1504.07672), or
        ``hull``, every lower edge and the upper edge
    solver, accuracy : of CVXPY, see `run_cvxpy`
    """
    table = feasible.level_table(problem.n)
    nearest = feasible.nearest(problem.w)
    if table.shape[1] == 1 or not problem.gram.alive.any():
        only = FiniteCertificate(problem.digest, np.zeros(problem.n), nearest - problem.w)
        return Outcome(Status.BOUND, nearest, only)
    scaled = scale(problem, (table[:, -1] - table[:, 0]) / (table.shape[1] - 1))
    lifted = _Lifted(scaled, _edges(scaled, table, relaxation))
    answer = run_cvxpy(lifted.make, solver, accuracy, limits)
    points, certificate = [nearest], None
    reached = lifted.read(answer)
    if reached is not None:
        d, linear, u = reached
        points.append(feasible.nearest(problem.w + scaled.spread(u / scaled.stretch)))
        certificate = best_certificate(FiniteCertificate, scaled, feasible, d, linear, u)
    value = None if answer.value is None else answer.value * scaled.unit**2
    note = claim_note(solver, answer.says, value)
    return Outcome(answer.status, min(points, key=problem.error), certificate, answer.iterations, note)


def _edges(scaled: Scaled, table: F64, relaxation: Relaxation) -> list[Edge]:
    """Return the edges of each weight's levels, in scaled units relative to the weight."""
    levels = (table[scaled.alive] - scaled.problem.w[scaled.alive, None]) * scaled.stretch[:, None]
    last = levels.shape[1] - 1
    if relaxation == "hull":
        lower = [_edge(levels[:, k], levels[:, k + 1]) for k in range(last)]
        upper = _edge(levels[:, 0], levels[:, last])
        return [*lower, Edge(-1.0, -upper.beta, -upper.rho)]
    cell = np.clip((levels <= 0).sum(axis=1) - 1, 0, last - 1)
    rows = np.arange(len(levels))
    return [_edge(levels[rows, cell], levels[rows, cell + 1])]


def _edge(a: F64, b: F64) -> Edge:
    """Return (u - a)(u - b) >= 0."""
    return Edge(1.0, a + b, -a * b)


@dataclass(eq=False)
class _Lifted:
    """The lifted problem; `make` states it, `read` takes an answer apart."""

    scaled: Scaled
    edges: list[Edge]

    def make(self) -> Any:
        """Return the CVXPY problem."""
        cp: Any = import_module("cvxpy")  # its stubs lack its functions

        m = len(self.scaled.alive)
        self.lift = cp.Variable((m + 1, m + 1), symmetric=True)
        diagonal, u = cp.diag(self.lift)[:m], self.lift[:m, m]
        self.cuts = [edge.alpha * diagonal - cp.multiply(edge.beta, u) - edge.rho >= 0 for edge in self.edges]
        error = cp.sum(cp.multiply(self.scaled.A, self.lift[:m, :m]))
        return cp.Problem(cp.Minimize(error), [self.lift >> 0, self.lift[m, m] == 1, *self.cuts])

    def read(self, answer: Answer) -> tuple[F64, F64, F64] | None:
        """Return D's diagonal, the Lagrangian's slope and the minimiser, None without multipliers."""
        m = len(self.scaled.alive)
        if not answer.dual or not all(cut.id in answer.dual for cut in self.cuts):
            return None
        x = [np.maximum(0.0, np.reshape(answer.dual[cut.id], m)) for cut in self.cuts]
        d = np.sum([edge.alpha * xi for edge, xi in zip(self.edges, x, strict=True)], axis=0)
        p = np.sum([edge.beta * xi for edge, xi in zip(self.edges, x, strict=True)], axis=0)
        lift = answer.primal.get(self.lift.id)
        return d, -0.5 * p, np.zeros(m) if lift is None else np.asarray(lift)[:m, m]

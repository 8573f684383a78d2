"""From a problem to a general branch and bound and back: incumbent and D are ours, the search is not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from pvq.arrays import F64
from pvq.solvers.certificates.sparse import SparseCertificate
from pvq.solvers.feasible import FeasibleSet, FiniteSet, SparseSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem

from .mixed_integer import Form, LevelProgram, SparseProgram, Unsuitable, level_program, sparse_program
from .remarks import claim_note

if TYPE_CHECKING:
    from pvq.solvers.solver import Limits

__all__ = ["Answer", "branch", "refuse"]

AGREE = 1e-3  # relative, of the claimed optimum and the error of the point; on bad scales they part
LARGEST_TABLE = 20_000  # levels over all weights


@dataclass(frozen=True, eq=False)
class Answer:
    """What the solver reached.

    Parameters
    ----------
    says : in the solver's terms
    optimal, late : whether it says optimal, or stopped by time
    values : (m,) number of the chosen level, or near 1 for kept weights; None without a point
    bound : its own dual bound, in units of the error
    nodes : of its tree
    """

    says: str
    optimal: bool
    late: bool
    values: F64 | None
    bound: float
    nodes: int


Run: TypeAlias = "Callable[[LevelProgram | SparseProgram, float, Limits], Answer]"


def refuse(name: str, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
    """Return why a general solver cannot take the problem."""
    if isinstance(feasible, SparseSet):
        return None
    if not isinstance(feasible, FiniteSet):
        return f"{name} solves finite and sparse sets"
    table = problem.n * len(feasible.levels)
    most = f"{name} takes at most {LARGEST_TABLE} levels in all, got {table}"
    return most if table > LARGEST_TABLE else None


def branch(
    name: str, run: Run, problem: LayerProblem, feasible: FeasibleSet, form: Form, gap: float, limits: Limits
) -> Outcome:
    """Return the better of the incumbent and the solver's point; the solver's dual bound is in the notes.

    OPTIMAL is what the solver says, within its tolerances, where its bound and the point's error agree.

    The incumbent (coordinate descent, or exchanges after Optimal Brain Surgeon) and D (the optimal diagonal
    of the relaxation) are made here; what they take counts against the time limit.
    """
    start, expired = time.perf_counter(), limits.clock()
    incumbent = _incumbent(problem, feasible, limits)
    try:
        program = _program(problem, feasible, incumbent, form, limits)
    except Unsuitable as error:
        return Outcome(Status.STALLED, incumbent, notes=f"{name} not run: {error}")
    if program is None:
        return Outcome(Status.FEASIBLE, incumbent, notes=f"{name} not run: nothing is left to decide")
    if expired():
        return Outcome(Status.TIME_LIMIT, incumbent, notes=claim_note(name, "not started", None))
    if limits.seconds is not None:
        limits = replace(limits, seconds=max(0.0, limits.seconds - (time.perf_counter() - start)))
    answer = run(program, gap, limits)
    points = [incumbent] if answer.values is None else [program.point(answer.values), incumbent]
    point = min(points, key=problem.error)
    agrees = abs(answer.bound - problem.error(point)) <= AGREE * problem.error(point)
    optimal = Status.OPTIMAL if answer.optimal and agrees else Status.FEASIBLE
    doubt = ", which its own point contradicts" if answer.optimal and not agrees else ""
    return Outcome(
        Status.TIME_LIMIT if answer.late else optimal,
        point,
        iterations=answer.nodes,
        notes=claim_note(name, answer.says, answer.bound, f"{answer.nodes} nodes{doubt}"),
    )


def _incumbent(problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> F64:
    from pvq.solvers.solver import SOLVERS

    method = "swap" if isinstance(feasible, SparseSet) else "coordinate-descent"
    point = SOLVERS.build(method).run(problem, feasible, limits).point
    assert point is not None, "both heuristics always give a point"
    return point


def _program(
    problem: LayerProblem, feasible: FeasibleSet, incumbent: F64, form: Form, limits: Limits
) -> LevelProgram | SparseProgram | None:
    if isinstance(feasible, FiniteSet):
        return level_program(problem, feasible, incumbent)
    assert isinstance(feasible, SparseSet), "refused otherwise"
    if feasible.k in (0, problem.n):
        return None
    d = np.zeros(problem.n) if form == "big-m" else _diagonal(problem, feasible, limits)
    return sparse_program(problem, feasible, incumbent, d, form)


def _diagonal(problem: LayerProblem, feasible: SparseSet, limits: Limits) -> F64:
    """Return the D that our relaxation proves with."""
    from pvq.solvers._dual.sparse import SparseDual

    certificate = SparseDual(problem, feasible).run(limits).certificate
    assert isinstance(certificate, SparseCertificate), "the relaxation always gives one"
    return np.maximum(certificate.d, 0.0)

"""Run one CVXPY problem under a time limit; what the solver reached is read even where CVXPY gives up."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from pvq.solvers.outcome import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from pvq.solvers.solver import Limits

__all__ = ["MODULES", "Answer", "ConicSolver", "run_cvxpy"]

ConicSolver: TypeAlias = Literal["CLARABEL", "SCS", "MOSEK"]
MODULES: dict[ConicSolver, str] = {"CLARABEL": "clarabel", "SCS": "scs", "MOSEK": "mosek"}
SHORTEST = 1e-3  # seconds; SCS and MOSEK read 0 as no limit
ALWAYS: dict[ConicSolver, dict[str, Any]] = {
    "CLARABEL": {"accept_unknown": True},  # hand out the last point where progress ends
    "SCS": {},
    "MOSEK": {},
}
TIME = {"CLARABEL": "time_limit", "SCS": "time_limit_secs"}
STOP = {  # options that stop a solver, in units of the accuracy asked for
    "CLARABEL": {"tol_gap_rel": 1.0, "tol_gap_abs": 1e-3, "tol_feas": 1e-2},
    "SCS": {"eps_rel": 1.0, "eps_abs": 1.0},
}


@dataclass(frozen=True)
class Answer:
    """What the solver reached.

    Parameters
    ----------
    status : in our terms; BOUND where the solver says that it converged
    says : in the solver's terms
    value : of its primal point, None if it has none
    primal, dual : arrays by id of variable and constraint, only finite ones
    iterations : of the solver
    """

    status: Status
    says: str
    value: float | None
    primal: Mapping[int, Any]
    dual: Mapping[int, Any]
    iterations: int


NOT_STARTED = Answer(Status.TIME_LIMIT, "not started", None, {}, {}, 0)


def run_cvxpy(make: Callable[[], Any], solver: ConicSolver, accuracy: float | None, limits: Limits) -> Answer:
    """Make and solve a problem; the limit covers both, and is looked at between the solver's iterations.

    Parameters
    ----------
    make : builds the problem
    accuracy : relative accuracy to stop at, the solver's own if None
    """
    start, expired = time.perf_counter(), limits.clock()
    if expired():
        return NOT_STARTED
    problem = make()
    data, chain, inverse = problem.get_problem_data(solver, solver_opts=dict(ALWAYS[solver]))
    left = None if limits.seconds is None else limits.seconds - (time.perf_counter() - start)
    if expired():
        return NOT_STARTED
    raw = chain.solve_via_data(problem, data, solver_opts=_options(solver, accuracy, left))
    if isinstance(raw, dict) and raw.get("info", {}).get("status") == "interrupted":
        raise KeyboardInterrupt  # SCS catches it and says so only here
    return _answer(chain.invert(raw, inverse), expired())


def _options(solver: ConicSolver, accuracy: float | None, seconds: float | None) -> dict[str, Any]:
    left = None if seconds is None else max(seconds, SHORTEST)
    if solver == "MOSEK":
        params = {"MSK_DPAR_OPTIMIZER_MAX_TIME": left, "MSK_DPAR_INTPNT_CO_TOL_REL_GAP": accuracy}
        return {"mosek_params": {key: value for key, value in params.items() if value is not None}}
    options = ALWAYS[solver] | ({} if left is None else {TIME[solver]: left})
    return options | ({} if accuracy is None else {key: f * accuracy for key, f in STOP[solver].items()})


def _answer(solution: Any, late: bool) -> Answer:
    converged = solution.status == "optimal"
    status = Status.BOUND if converged else Status.TIME_LIMIT if late else Status.STALLED
    value = solution.opt_val
    return Answer(
        status,
        str(solution.status),
        float(value) if value is not None and np.isfinite(value) else None,
        _finite(solution.primal_vars),
        _finite(solution.dual_vars),
        int(solution.attr.get("num_iters") or 0),
    )


def _finite(arrays: Mapping[int, Any] | None) -> dict[int, Any]:
    present = {key: value for key, value in (arrays or {}).items() if value is not None}
    return {key: value for key, value in present.items() if bool(np.isfinite(value).all())}

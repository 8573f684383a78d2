"""Run one method on one problem: the point is priced, the bound re-proved and the clock run here."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from pvq.arrays import F64, as_f64
from pvq.errors import PvqError
from pvq.registry import Registry

from .decibel import snr_achieved_db, snr_at_most_db
from .feasible import FeasibleSet, SetSpec, fit_rows, fit_set
from .outcome import Certificate, Outcome, Status
from .problem import LayerProblem, problems_of_layer

__all__ = ["SOLVERS", "Limits", "Result", "RowsSolver", "Solver", "solve", "solve_layer"]

MEET = 1e-8  # relative distance of proved bounds at which a point is called optimal
CLAIM_SLACK = 2.0  # claims allow for twice the rounding errors, so that another BLAS re-proves them


@dataclass(frozen=True)
class Limits:
    """When to stop.

    Parameters
    ----------
    seconds : wall-clock seconds for one solve, no limit if None
    tolerance : at which a dual method stops: what it expects the bound still to gain, relative to the bound
    seed : of everything that draws
    """

    seconds: float | None = None
    tolerance: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.seconds is not None and not self.seconds >= 0:
            raise ValueError(f"seconds must not be negative, got {self.seconds}")
        if not 0 < self.tolerance < 1:
            raise ValueError(f"tolerance must lie in (0, 1), got {self.tolerance}")

    def clock(self) -> Callable[[], bool]:
        """Return a function that says whether the time from now on is used up.

        >>> Limits().clock()()
        False
        """
        if self.seconds is None:
            return lambda: False
        end = time.perf_counter() + self.seconds
        return lambda: time.perf_counter() >= end


@runtime_checkable
class Solver(Protocol):
    """A method: a frozen dataclass that holds only its options."""

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Return why this method cannot take the problem, None if it can."""
        ...

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return a point, a certificate or both."""
        ...


@runtime_checkable
class RowsSolver(Solver, Protocol):
    """A method that takes all rows of a layer at once."""

    def run_rows(
        self, problems: Sequence[LayerProblem], sets: Sequence[FeasibleSet], limits: Limits
    ) -> list[Outcome]:
        """Return the outcome of each row; the problems share one Gram, the limits hold for all together."""
        ...


SOLVERS: Registry[Solver] = Registry("method", "pvq.solvers.methods", Solver)


@dataclass(frozen=True, eq=False)
class Result:
    """What is known after one method ran; errors are values of (x - w)' H (x - w).

    Parameters
    ----------
    method : spec of the method
    status : why it stopped
    error_lower : no feasible point has a smaller error; None where the method proves nothing
    error_upper : the error of `point`, rounding included; None where the method gives no point
    snr_at_most_db : the SNR that `error_lower` leaves possible, rounded up; None if that is unlimited or
        there is no signal
    snr_achieved_db : the SNR of `point`, rounded down; inf for no error, None for no signal above rounding
    gap_db : snr_at_most_db - snr_achieved_db
    certified : whether a certificate was re-proved for a bound above 0
    seconds : wall-clock time of the method
    point : (n,) the best weights found
    certificate : proves `error_lower`
    notes : remarks of the solver
    """

    method: str
    status: Status
    error_lower: float | None = None
    error_upper: float | None = None
    snr_at_most_db: float | None = None
    snr_achieved_db: float | None = None
    gap_db: float | None = None
    certified: bool = False
    seconds: float = 0.0
    point: F64 | None = None
    certificate: Certificate | None = None
    iterations: int = 0
    notes: str = ""


def solve(
    problem: LayerProblem,
    feasible: FeasibleSet | SetSpec | str,
    solver: Solver | str,
    limits: Limits | None = None,
) -> Result:
    """Run a method and check everything it says.

    Parameters
    ----------
    problem : H and w
    feasible : the set, or a spec that is fitted to the problem's own weights
    solver : the method or its spec
    limits : none by default

    Raises
    ------
    SpecError : a spec that cannot be read
    PvqError : the method returned a point outside the set

    >>> from pvq.solvers.problem import LayerProblem
    >>> result = solve(LayerProblem(np.eye(2), np.array([0.75, 1.0])), "levels[-1;0;1]", "nearest")
    >>> round(result.error_upper, 9)
    0.0625
    """
    chosen = fit_set(feasible, problem.w)
    method, name = SOLVERS.build(solver), _name(solver)
    reason = method.refusal(problem, chosen)
    if reason is not None:
        return Result(name, Status.REFUSED, notes=reason)
    outcomes, seconds = _timed(lambda: [method.run(problem, chosen, limits or Limits())], 1)
    return replace(_checked(problem, chosen, outcomes[0], name), seconds=seconds)


def solve_layer(
    H: F64,
    W: F64,
    feasible: FeasibleSet | SetSpec | str,
    solver: Solver | str,
    limits: Limits | None = None,
) -> list[Result]:
    """Run a method on every row of a layer and check everything it says.

    A method that can takes all rows at once; any other takes them one after another, each with the limits.

    Parameters
    ----------
    H : (n, n) Gram matrix of the layer's inputs
    W : (rows, n) weights
    feasible : one set for all rows, or a spec that is fitted to the layer (see `fit_rows`)
    solver, limits : as of `solve`

    Returns
    -------
    one result per row; `seconds` is an equal share where the rows ran together

    Raises
    ------
    SpecError, PvqError : as `solve` does

    >>> results = solve_layer(np.eye(2), np.array([[0.75, 1.0], [0.5, 0.0]]), "levels[-1;0;1]", "nearest")
    >>> [round(result.error_upper, 9) for result in results]
    [0.0625, 0.25]
    """
    problems, sets = problems_of_layer(H, W), fit_rows(feasible, as_f64(W, "W", ndim=2))
    method, name = SOLVERS.build(solver), _name(solver)
    refused = any(method.refusal(*row) is not None for row in zip(problems, sets, strict=True))
    if refused or not isinstance(method, RowsSolver):
        return [replace(solve(*row, method, limits), method=name) for row in zip(problems, sets, strict=True)]
    outcomes, seconds = _timed(lambda: method.run_rows(problems, sets, limits or Limits()), len(problems))
    checked = [_checked(*row, name) for row in zip(problems, sets, outcomes, strict=True)]
    return [replace(result, seconds=seconds / len(checked)) for result in checked]


def _name(solver: Solver | str) -> str:
    return solver if isinstance(solver, str) else repr(solver)


def _timed(run: Callable[[], list[Outcome]], rows: int) -> tuple[list[Outcome], float]:
    """Return outcomes and wall-clock seconds; where the numerics broke down, so many failures."""
    start = time.perf_counter()
    try:
        outcomes = run()
    except np.linalg.LinAlgError as error:
        outcomes = [Outcome(Status.FAILED, notes=f"{type(error).__name__}: {error}")] * rows
    return outcomes, time.perf_counter() - start


def _checked(problem: LayerProblem, feasible: FeasibleSet, outcome: Outcome, name: str) -> Result:
    """Price the point and re-prove the certificate."""
    point = _point(feasible, outcome, name)
    upper = None if point is None else problem.error_upper(point)
    proved = outcome.certificate.bound(problem, feasible, CLAIM_SLACK) if outcome.certificate else None
    lower = None if proved is None else max(0.0, proved)
    at_most = snr_at_most_db(problem.signal_upper, lower) if lower else None
    achieved = None if upper is None else snr_achieved_db(problem.signal_lower, upper)
    both = at_most is not None and achieved is not None
    return Result(
        method=name,
        status=_status(outcome.status, lower, upper),
        error_lower=lower,
        error_upper=upper,
        snr_at_most_db=at_most,
        snr_achieved_db=achieved,
        gap_db=at_most - achieved if both else None,  # type: ignore[operator]
        certified=proved is not None and proved > 0,
        point=point,
        certificate=outcome.certificate if proved is not None and proved > -np.inf else None,
        iterations=outcome.iterations,
        notes=outcome.notes,
    )


def _point(feasible: FeasibleSet, outcome: Outcome, name: str) -> F64 | None:
    """Return the point in float64, the precision that it is judged and handed on in."""
    if outcome.point is None:
        return None
    point = np.asarray(outcome.point, dtype=np.float64)
    if not feasible.contains(point):
        raise PvqError(f"{name} returned a point outside the set; this is a defect of the method")
    return point


def _status(said: Status, lower: float | None, upper: float | None) -> Status:
    """Return OPTIMAL where the proved bounds meet, 0 being a bound of every error, and only there.

    An error's upper bound covers its rounding, which reaches a relative 1e-9 where H is ill-conditioned.
    """
    if upper is not None and upper <= (lower or 0.0) * (1.0 + MEET):
        return Status.OPTIMAL
    return Status.STALLED if said is Status.OPTIMAL else said

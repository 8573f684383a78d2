"""Run one case: warm up, let the methods take turns, and say of each what it took and what it found."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pvq.arrays import finite_or_none
from pvq.errors import PvqError, UnknownName
from pvq.solvers.backends.remarks import claimed_value
from pvq.solvers.feasible import FeasibleSet, fit_set
from pvq.solvers.gram import Gram
from pvq.solvers.outcome import Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits, Result, Solver, solve

from .case import Case
from .clock import Timed
from .sources import LAYER, Layer, Raw, raw_problem

__all__ = ["Bench", "measure"]

WARM_SIZES, WARM_SECONDS = (12, 40), 5.0
ONCE = 2.0  # processor seconds beyond which a method does not take another turn
UNFINISHED = {Status.TIME_LIMIT, Status.ITERATION_LIMIT}


@dataclass(frozen=True, eq=False)
class Bench:
    """What the cases of a run share.

    Parameters
    ----------
    layers : layers of real networks, by name
    warm : methods and sets that have run in this process, so that nothing is compiled on the clock
    """

    layers: Mapping[str, Layer]
    warm: set[tuple[str, str]] = field(default_factory=set)


@dataclass(eq=False)
class _Entry:
    """One method of a case while it is being measured."""

    method: str
    timed: Timed | None = None
    reason: str = ""
    result: Result | None = None

    def open(self) -> bool:
        """Return whether the method should take (another) turn."""
        if self.timed is None or self.reason:
            return False
        return not self.timed.spent or max(self.timed.spent).cpu < ONCE


def measure(case: Case, bench: Bench) -> list[dict[str, Any]]:
    """Return one row per method of the case.

    Keys: those of the case (``suite, source, n, seed, set``), ``method``, ``versus`` (the case's first
    method), ``case`` (what the rows of one case share), ``status, certified, finished, error_lower,
    error_upper, claimed, cpu_seconds, wall_seconds, runs, iterations, note``. Seconds are medians over the
    runs. ``claimed`` is the bound that a reference states and nobody proved. A method that is missing,
    refuses or fails is a row with its reason and without numbers.
    """
    try:
        raw = raw_problem(case.source, case.n, case.seed, bench.layers)
        feasible = fit_set(case.set, raw.fitted)
    except (PvqError, ValueError) as error:
        return [_row(case, _Entry(method, reason=str(error)), n=case.n) for method in case.methods]
    entries = [_entry(method, raw, feasible) for method in case.methods]
    limits = Limits(case.seconds, case.tolerance, case.seed)
    for entry in entries:
        _warm_up(entry, case, bench)
    for _ in range(case.rounds):
        for entry in entries:
            if entry.open():
                _take_turn(entry, raw, feasible, limits)
    return [_row(case, entry, n=len(raw.w)) for entry in entries]


def _entry(method: str, raw: Raw, feasible: FeasibleSet) -> _Entry:
    try:
        solver: Solver = SOLVERS.build(method)
        reason = solver.refusal(LayerProblem(raw.H, raw.w), feasible)
    except UnknownName:
        return _Entry(method, reason=f"there is no method {method}")
    except (PvqError, ValueError) as error:
        return _Entry(method, reason=str(error))
    except Exception as error:  # a method's defect is a row, not the end of the run
        return _Entry(method, reason=_failure(error))
    return _Entry(method, Timed(solver), reason or "")


def _warm_up(entry: _Entry, case: Case, bench: Bench) -> None:
    """Run the method on a small problem of the same kind; the first method also on a middling one.

    Searches take some of their paths, and compile them, only beyond the smallest sizes.
    """
    mark = (entry.method, case.set)
    if entry.timed is None or entry.reason or mark in bench.warm:
        return
    source = "conv" if case.source.startswith(LAYER) else case.source
    limits = Limits(min(WARM_SECONDS, case.seconds or WARM_SECONDS), case.tolerance)
    for n in WARM_SIZES if entry.method == case.methods[0] else WARM_SIZES[:1]:
        raw = raw_problem(source, n, 0, {})
        try:
            solve(LayerProblem(raw.H, raw.w), case.set, entry.timed.solver, limits)
        except Exception as error:  # likewise
            entry.reason = _failure(error)
    bench.warm.add(mark)


def _take_turn(entry: _Entry, raw: Raw, feasible: FeasibleSet, limits: Limits) -> None:
    """Run once on a problem made afresh, so that nothing is remembered from the turn before."""
    assert entry.timed is not None, "asked only of methods that were found"
    gram = Gram(raw.H.copy())
    problem = LayerProblem(gram.matrix, raw.w, gram)
    try:
        entry.result = solve(problem, feasible, entry.timed, limits)
    except Exception as error:  # likewise
        entry.reason = _failure(error)


def _failure(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _row(case: Case, entry: _Entry, n: int) -> dict[str, Any]:
    """Return the row of one method."""
    result = None if entry.reason else entry.result
    spent = entry.timed.spent if entry.timed is not None and result is not None else []
    note = entry.reason or (result.notes if result is not None else "")
    return {
        "suite": case.suite,
        "source": case.source,
        "n": n,
        "seed": case.seed,
        "set": case.set,
        "method": entry.method,
        "versus": case.methods[0],
        "case": case.key("")[:12],
        "status": result.status.name.lower() if result is not None else "missing",
        "certified": result.certified if result is not None else False,
        "finished": result is not None and result.status not in UNFINISHED,
        "error_lower": finite_or_none(result.error_lower) if result is not None else None,
        "error_upper": finite_or_none(result.error_upper) if result is not None else None,
        "claimed": claimed_value(note),
        "cpu_seconds": statistics.median(s.cpu for s in spent) if spent else None,
        "wall_seconds": statistics.median(s.wall for s in spent) if spent else None,
        "runs": len(spent),
        "iterations": result.iterations if result is not None else None,
        "note": note,
    }

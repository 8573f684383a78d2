"""Mixed-integer programs written for SCIP, through PySCIPOpt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pvq.arrays import F64

from .branching import Answer
from .mixed_integer import LevelProgram, SparseProgram

if TYPE_CHECKING:
    from pvq.solvers.solver import Limits

__all__ = ["run_scip"]

ABSOLUTE = (
    1e-6  # gap in units of the objective: SCIP's own feasibility tolerance, below which it may never end
)


def run_scip(program: LevelProgram | SparseProgram, gap: float, limits: Limits) -> Answer:
    """Solve a program, starting from its incumbent.

    Parameters
    ----------
    gap : relative gap of SCIP's own bounds at which it stops

    Raises
    ------
    KeyboardInterrupt : SCIP was interrupted
    """
    from pyscipopt import Model

    model = Model()
    model.hideOutput()
    model.setParam("limits/gap", gap)
    model.setParam("limits/absgap", ABSOLUTE)
    model.setParam("randomization/randomseedshift", limits.seed % 2**31)
    if limits.seconds is not None:
        model.setParam("limits/time", max(limits.seconds, 0.0))
    write = _write_levels if isinstance(program, LevelProgram) else _write_sparse
    chosen, start = write(model, program)  # type: ignore[arg-type]
    _give(model, start)
    model.optimize()
    says = str(model.getStatus())
    if says == "userinterrupt":
        raise KeyboardInterrupt
    values = np.array([_value(model, terms) for terms in chosen]) if model.getNSols() else None
    bound = float(model.getDualbound()) * program.unit
    return Answer(says, says == "optimal", says == "timelimit", values, bound, int(model.getNTotalNodes()))


def _value(model: Any, terms: list[tuple[float, Any]]) -> float:
    best = model.getBestSol()
    return float(sum(factor * model.getSolVal(best, variable) for factor, variable in terms))


def _give(model: Any, start: list[tuple[Any, float]]) -> None:
    """Hand SCIP the incumbent; it checks it and takes it only if it agrees that it is feasible."""
    solution = model.createSol()
    for variable, value in start:
        model.setSolVal(solution, variable, float(value))
    model.addSol(solution)


def _residual(model: Any, factor: F64, change: list[Any], start: F64) -> tuple[Any, list[tuple[Any, float]]]:
    """Add variables r = F change, return the sum of their squares and the start's values."""
    from pyscipopt import quicksum

    rows = []
    for row in factor:
        variable = model.addVar(lb=None)
        model.addCons(quicksum(float(a) * c for a, c in zip(row, change, strict=True) if a) == variable)
        rows.append(variable)
    return quicksum(r * r for r in rows), list(zip(rows, factor @ start, strict=True))


def _objective(model: Any, error: Any, start: float) -> list[tuple[Any, float]]:
    """Minimise `error` through a variable above it, since SCIP's objective is linear."""
    above = model.addVar(lb=0.0)
    model.addCons(error <= above)
    model.setObjective(above)
    return [(above, start)]


def _write_levels(model: Any, program: LevelProgram) -> tuple[list[Any], list[tuple[Any, float]]]:
    """Number the levels of each weight, by an integer where they are evenly spaced, by binaries otherwise."""
    levels, start, steps = program.levels, program.start, program.steps
    rows = np.arange(len(start))
    given: list[tuple[Any, float]] = []
    chosen, change = [], []
    for i in rows:
        if steps is not None:
            variable = model.addVar(vtype="I", lb=0, ub=levels.shape[1] - 1)
            given.append((variable, start[i]))
            chosen.append([(1.0, variable)])
            change.append(float(steps[i]) * variable + float(levels[i, 0] - program.w[i]))
            continue
        picks = [model.addVar(vtype="B") for _ in levels[i]]
        model.addCons(sum(picks) == 1)
        given += [(pick, float(number == start[i])) for number, pick in enumerate(picks)]
        chosen.append([(float(number), pick) for number, pick in enumerate(picks)])
        change.append(sum(float(a - program.w[i]) * pick for a, pick in zip(levels[i], picks, strict=True)))
    at_start = levels[rows, start] - program.w
    error, residual = _residual(model, program.factor, change, at_start)
    value = float(np.sum((program.factor @ at_start) ** 2))
    return chosen, [*given, *residual, *_objective(model, error, value)]


def _write_sparse(model: Any, program: SparseProgram) -> tuple[list[Any], list[tuple[Any, float]]]:
    """Continuous weights, a binary for each that is kept, and perspective terms where D is given."""
    from pyscipopt import quicksum

    w, d, start = program.w, program.d, program.start
    x = [model.addVar(lb=-float(M), ub=float(M)) for M in program.bound]
    z = [model.addVar(vtype="B") for _ in w]
    model.addCons(quicksum(z) <= program.k)
    for xi, zi, M in zip(x, z, program.bound, strict=True):
        model.addCons(xi <= float(M) * zi)
        model.addCons(xi >= -float(M) * zi)
    given = [*zip(x, start, strict=True), *zip(z, (start != 0).astype(float), strict=True)]
    change = [xi - float(wi) for xi, wi in zip(x, w, strict=True)]
    error, residual = _residual(model, program.factor, change, start - w)
    value = float(np.sum((program.factor @ (start - w)) ** 2) + d @ (start - w) ** 2)
    if d.any():
        t = [model.addVar(lb=0.0) for _ in w]
        given += list(zip(t, start**2, strict=True))
        for xi, zi, ti in zip(x, z, t, strict=True):
            model.addCons(xi * xi <= ti * zi)
        kept = (float(di) * (ti - 2.0 * float(wi) * xi) for di, ti, wi, xi in zip(d, t, w, x, strict=True))
        error = error + quicksum(kept) + float(d @ w**2)
    return [[(1.0, zi)] for zi in z], [*given, *residual, *_objective(model, error, value)]

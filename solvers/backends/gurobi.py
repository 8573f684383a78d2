"""Mixed-integer programs written for Gurobi, for users who have it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from .branching import Answer
from .mixed_integer import LevelProgram, SparseProgram

if TYPE_CHECKING:
    from pvq.solvers.solver import Limits

__all__ = ["run_gurobi"]


def run_gurobi(program: LevelProgram | SparseProgram, gap: float, limits: Limits) -> Answer:
    """Solve a program on one thread, starting from its incumbent; see `run_scip`."""
    gp: Any = import_module("gurobipy")

    with gp.Env(params={"OutputFlag": 0}) as env, gp.Model(env=env) as model:
        model.setParam("Threads", 1)
        model.setParam("MIPGap", gap)
        model.setParam("Seed", limits.seed % 2000000000)
        if limits.seconds is not None:
            model.setParam("TimeLimit", max(limits.seconds, 0.0))
        write = _write_levels if isinstance(program, LevelProgram) else _write_sparse
        chosen = write(model, program)  # type: ignore[arg-type]
        model.optimize()
        if model.Status == gp.GRB.INTERRUPTED:
            raise KeyboardInterrupt
        values = np.asarray(chosen()) if model.SolCount else None
        late, optimal = model.Status == gp.GRB.TIME_LIMIT, model.Status == gp.GRB.OPTIMAL
        says = "optimal" if optimal else "timelimit" if late else f"status {model.Status}"
        bound = float(model.ObjBound) * program.unit
        return Answer(says, optimal, late, values, bound, int(model.NodeCount))


def _write_levels(model: Any, program: LevelProgram) -> Any:
    """One binary for each level of each weight, or an integer where levels are evenly spaced."""
    levels, steps = program.levels, program.steps
    m, many = levels.shape
    if steps is not None:
        number = model.addMVar(m, lb=0, ub=many - 1, vtype="I")
        number.Start = program.start
        x = steps * number + levels[:, 0]
    else:
        pick = model.addMVar((m, many), vtype="B")
        pick.Start = np.eye(many)[program.start]
        model.addConstr(pick.sum(axis=1) == 1)
        number, x = pick, (levels * pick).sum(axis=1)
    r = model.addMVar(m, lb=-np.inf)
    model.addConstr(program.factor @ x - program.factor @ program.w == r)
    model.setObjective(r @ r)
    return lambda: number.X if steps is not None else number.X @ np.arange(many)


def _write_sparse(model: Any, program: SparseProgram) -> Any:
    """Continuous weights, a binary for each that is kept, and perspective terms where D is given."""
    w, d, bound = program.w, program.d, program.bound
    x, z = model.addMVar(len(w), lb=-bound, ub=bound), model.addMVar(len(w), vtype="B")
    x.Start, z.Start = program.start, (program.start != 0).astype(float)
    model.addConstr(z.sum() <= program.k)
    model.addConstr(x <= bound * z)
    model.addConstr(x >= -bound * z)
    r = model.addMVar(len(w), lb=-np.inf)
    model.addConstr(program.factor @ x - program.factor @ w == r)
    error = r @ r
    if d.any():
        t = model.addMVar(len(w))
        model.addConstr(x * x <= t * z)
        error = error + d @ t - (2.0 * d * w) @ x + float(d @ w**2)
    model.setObjective(error)
    return lambda: z.X

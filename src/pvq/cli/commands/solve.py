"""`pvq solve`: one problem, one row per method."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from pvq.cli.options import Json, parse_specs
from pvq.cli.output import emit

__all__ = ["command"]


def command(
    problem: Path,
    /,
    *,
    set_: Annotated[str, Parameter(name="--set")],
    method: Annotated[list[str], Parameter(negative=())],
    seconds: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    seed: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    point: Annotated[bool, Parameter(negative=())] = False,
    certificates: Path | None = None,
    json: Json = False,
) -> int:
    """Bound and solve min (x-w)'H(x-w) over a set, one row per method.

    Exit code 1 if every method refuses the problem; the rows say why.

    Example: `pvq solve problem.npz --set "int[bits=4]" --method nearest,gptq,hull --json`

    Parameters
    ----------
    problem
        An .npz file with the arrays `H` (n, n), positive semidefinite, and `w` (n,).
    set_
        The feasible set: int[bits=4], int[bits=4,group=32], levels[-1;0;1], sparse[density=0.25],
        n_of_m[n=2,m=4], joint[bits=4,budget=2.0] and others (see `pvq list sets`).
    method
        Methods, by commas: nearest, gptq, beam, local-search, hull, hull-cuts, exact; magnitude, obs, swap,
        perspective, block-perspective, exact; joint-obc, joint-bound and others (see `pvq list solvers`).
    seconds
        Time limit per method.
    seed
        Seed of methods that draw.
    point
        Add the point `x` to each row.
    certificates
        Folder to save certificates to, for `pvq verify`.
    json
        Print rows as one JSON array on stdout.
    """
    from pvq.solvers.rows import load_problem, solve_rows
    from pvq.solvers.solver import Limits

    limits = Limits(seconds=seconds, seed=seed)
    rows = solve_rows(
        load_problem(problem), set_, parse_specs(method), limits, point=point, save_to=certificates
    )
    emit(rows, json, title=f"{problem} over {set_}")
    return int(all(row["status"] == "refused" for row in rows))

"""Rows for the command line: one mapping per method, fit for JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pvq.arrays import finite_or_none
from pvq.errors import PvqError

from .certificate_files import Claim, save_claims
from .feasible import FeasibleSet, fit_set
from .npz import read_npz
from .problem import LayerProblem
from .solver import SOLVERS, Limits, Result, solve

__all__ = ["load_problem", "result_row", "solve_rows"]


def load_problem(path: str | Path) -> LayerProblem:
    """Return the problem stored in an npz file with the arrays H (n, n) and w (n,).

    Raises
    ------
    PvqError : no such file, another format, a missing array, pickled content
    ValueError : arrays that do not make a problem
    """
    stored = read_npz(path)
    missing = [name for name in ("H", "w") if name not in stored]
    if missing:
        raise PvqError(f"{path} must hold the arrays H and w, {' and '.join(missing)} missing")
    H, w = stored["H"], stored["w"]
    if w.ndim == 2:
        raise PvqError(
            f"w must be one row of weights, shape (n,), got shape {w.shape}: store one problem per row"
        )
    return LayerProblem(H, w)


def solve_rows(
    problem: LayerProblem,
    set_spec: str | FeasibleSet,
    methods: Sequence[str],
    limits: Limits | None = None,
    point: bool = False,
    save_to: Path | None = None,
) -> list[dict[str, Any]]:
    """Run several methods on one problem and return one row each, in the order asked.

    Parameters
    ----------
    set_spec : fitted to the problem's own weights, once
    methods : specs; all are read before the first runs
    point : add the weights ``x``
    save_to : folder for the certificates of methods that have one

    Returns
    -------
    mappings as `result_row` describes them
    """
    feasible = fit_set(set_spec, problem.w)
    solvers = [SOLVERS.build(method) for method in methods]
    rows = []
    for name, solver in zip(methods, solvers, strict=True):
        result = replace(solve(problem, feasible, solver, limits), method=name)
        row = result_row(result, point)
        if save_to is not None:
            row["certificate"] = _save(Path(save_to), problem, feasible, result)
        rows.append(row)
    return rows


def result_row(result: Result, point: bool = False) -> dict[str, Any]:
    """Return a result as a mapping that JSON can hold: what is unknown, infinite or undefined is None.

    Keys: ``method, status, error_lower, error_upper, snr_at_most_db, snr_achieved_db, gap_db, certified,
    seconds, iterations, note``, and ``x`` with `point`. Errors are values of (x - w)'H(x - w).
    """
    numbers = ("error_lower", "error_upper", "snr_at_most_db", "snr_achieved_db", "gap_db")
    row: dict[str, Any] = {"method": result.method, "status": result.status.name.lower()}
    row |= {name: finite_or_none(getattr(result, name)) for name in numbers}
    row |= {"certified": result.certified, "seconds": result.seconds, "iterations": result.iterations}
    row["note"] = result.notes
    return row | ({"x": None if result.point is None else result.point.tolist()} if point else {})


def _save(folder: Path, problem: LayerProblem, feasible: FeasibleSet, result: Result) -> str | None:
    """Store the certificate under the method's name and the hashes of problem and claim; return the path.

    The claim's hash keeps apart what one method proves of one problem for several sets or limits.
    """
    if result.certificate is None:
        return None
    claim = Claim.of(problem, feasible, result)
    name = re.sub("[^A-Za-z0-9.=-]+", "_", result.method)
    return str(save_claims(folder / f"{name}-{problem.digest[:16]}-{claim.digest[:16]}", [claim]))

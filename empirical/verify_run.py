"""Check that the table of a bound run follows from its certificates and points.

From the numbers of a row down to what proves them: the row is the sum of records (`sources.json` says of
which), a record's error_lower is an accepted claim about its problem and set, its error_upper the error of a
stored point of that set. What is not checked: remarks, and that the problems are those of the network and its
calibration images, which takes both. `pvq bounds` does: it finds records by the content they were made from.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pvq.empirical.bound_rows import solved_columns, sum_camp
from pvq.empirical.merge import merge_rows
from pvq.empirical.points import SUFFIX, Point, load_points
from pvq.empirical.run_folder import RunFolder, finite_rows
from pvq.errors import PvqError
from pvq.solvers.certificate_files import SUFFIX as CERTIFICATE
from pvq.solvers.feasible import SETS, describe_set
from pvq.solvers.problem import LayerProblem

__all__ = ["is_run", "verify_run"]

Record = Mapping[str, Any]
CAMPS = {"quantize": "quant_set", "prune": "prune_set"}


def is_run(folder: str | Path) -> bool:
    """Return whether a folder holds the table of a bound run."""
    return any((Path(folder) / name).is_file() for name in ("bounds.json", "bounds.parquet", "sources.json"))


def verify_run(folder: str | Path, claim_rows: Iterable[Record]) -> list[dict[str, Any]]:
    """Return one mapping per number of a run that does not follow from what the folder holds; none if all do.

    Parameters
    ----------
    folder : of a bound run
    claim_rows : what `pvq.solvers.verify.verify_path` says of its certificates

    Returns
    -------
    mappings with the keys of `verify_path`, ``accepted`` False and the mismatch in ``reason``
    """
    run = RunFolder(Path(folder))
    try:
        table, sources = (_read(run.path / name) for name in ("bounds.json", "sources.json"))
    except (OSError, ValueError) as error:
        return [_mismatch(run.path, f"the table cannot be checked: {error}")]
    path = run.path / "bounds.json"
    if len(table) != len(sources):
        return [_mismatch(path, f"has {len(table)} rows, sources.json {len(sources)}")]
    claims = {(Path(row["path"]).name, row["claim"]): row for row in claim_rows}
    faults = [
        fault
        for row, source in zip(table, sources, strict=True)
        for fault in _safely(path, row, _row_faults(run, claims, row, source))
    ]
    faults += [_mismatch(run.path / "bounds.parquet", reason) for reason in _parquet_faults(run, table)]
    return faults + [_mismatch(run.path / "manifest.json", reason) for reason in _manifest_faults(run)]


def _read(path: Path) -> list[Any]:
    rows = json.loads(path.read_bytes())
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path} must hold a JSON array of objects")
    return rows


def _mismatch(path: Path, reason: str, **about: Any) -> dict[str, Any]:
    row = dict.fromkeys(("path", "claim", "method", "problem", "n", "set", "claimed", "proved"))
    return {**row, "path": str(path), "accepted": False, "reason": reason, **about}


def _safely(path: Path, row: Record, faults: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield faults; where a file holds something else than it should, that is one."""
    try:
        yield from faults
    except (ArithmeticError, AttributeError, IndexError, KeyError, PvqError, TypeError, ValueError) as error:
        reason = f"cannot be checked: {type(error).__name__}: {error}"
        yield _mismatch(path, f"{row.get('layer')}, {row.get('bits')} bits: {reason}")


def _row_faults(
    run: RunFolder, claims: Mapping[tuple[str, int], Record], row: Record, source: Mapping[str, list[str]]
) -> Iterator[dict[str, Any]]:
    """Check one row of the table: its records, that they are of the same rows, and its sums."""
    sums, solved = {}, {}
    for camp, keys in source.items():
        found = {key: record for key in keys if (record := run.tasks.get(key)) is not None}
        for key, record in found.items():
            yield from _Check(run, run.tasks.path(key), record, claims).faults(row, camp)
        records = merge_rows(line for record in found.values() for line in record["rows"])
        sums[camp] = sum_camp(records, [] if len(records) >= row["rows"] else ["no result"])
        if len(found) == len(keys):
            solved[camp] = [(line["row"], line["problem"]) for line in records]
    here, name = run.path / "bounds.json", f"{row['layer']}, {row['bits']} bits"
    for camp, lines in solved.items():
        if lines != next(iter(solved.values())) or len(lines) != row["rows"]:
            yield _mismatch(here, f"{name}: the records of {camp} are not of the {row['rows']} rows")
    (columns,) = finite_rows([solved_columns(sums)])  # type: ignore[arg-type]
    for column, value in columns.items():
        if row[column] != value:
            yield _mismatch(here, f"{name}: {column} is {row[column]}, its records give {value}")


@dataclass(frozen=True)
class _Check:
    """One record and what it must be backed by."""

    run: RunFolder
    path: Path
    record: Record
    claims: Mapping[tuple[str, int], Record]

    def faults(self, row: Record, camp: str) -> Iterator[dict[str, Any]]:
        """Yield what is wrong with the record of a camp as part of a row of the table."""
        said = {"layer": row["layer"], "bits": row["bits"], "camp": camp, "set": row[CAMPS[camp]]}
        for name, value in said.items():
            if self.record[name] != value:
                yield _mismatch(self.path, f"{name} is {self.record[name]!r}, the table says {value!r}")
        indices = [line["row"] for line in self.record["rows"]]
        if len(indices) != len(set(indices)):
            yield _mismatch(self.path, "has two lines on one row")
        broken = [name for name, digest in self.record["files"].items() if not self.run.intact(name, digest)]
        for name in broken:
            yield _mismatch(self.path, f"certificates/{name} is missing or not the file that was written")
        if broken:
            return
        points = list(load_points(self.run.certificates / self._file(SUFFIX)))
        for line, point in zip(self.record["rows"], points, strict=True):
            about = {"claim": line["claim"], "problem": line["problem"], "set": line["set"]}
            if point.problem.n != row["n"]:
                yield _mismatch(self.path, f"has {point.problem.n} weights, the table says {row['n']}")
            for reason in filter(None, [self._claim_fault(line), *self._point_faults(line, point)]):
                yield _mismatch(self.path, f"row {line['row']}: {reason}", **about)

    def _file(self, suffix: str) -> str:
        """Return the name of the record's one file of a kind, empty if there is none."""
        return next((Path(name).name for name in self.record["files"] if name.endswith(suffix)), "")

    def _claim_fault(self, line: Record) -> str:
        """Return why error_lower is not proved, empty if it is; no error is below 0, which needs no proof."""
        lower = line["error_lower"]
        if not lower:
            exact = line["error_upper"] == 0
            return "" if exact or not line["certified"] else "certified without a bound above 0"
        claim = self.claims.get((self._file(CERTIFICATE), line["claim"]))
        if claim is None:
            return f"error_lower {lower:.17g} has no claim"
        if not claim["accepted"]:
            return f"error_lower {lower:.17g} rests on a claim that is rejected"
        if (claim["problem"], claim["set"]) != (line["problem"], line["set"]):
            return f"error_lower {lower:.17g} rests on a claim about another problem or set"
        if not claim["claimed"] >= lower:
            return f"error_lower is {lower:.17g}, its claim {claim['claimed']:.17g}"
        return ""

    def _point_faults(self, line: Record, point: Point) -> Iterator[str]:
        """Yield what the point and its problem contradict."""
        problem = point.problem
        feasible = SETS.build(self.record["set"]).fit(problem.w)
        if (problem.digest, describe_set(feasible)) != (line["problem"], line["set"]):
            yield "the stored point is of another problem or set"
        yield from _signal_faults(line, problem)
        upper = line["error_upper"]
        if upper is None:
            return
        if point.x is None or not feasible.contains(point.x):
            yield f"error_upper {upper:.17g} has no point in the set"
            return
        error = problem.error(point.x)
        if not upper >= error + _half(error, problem.error_upper(point.x)):
            yield f"error_upper is {upper:.17g}, its point has {error:.17g}"


def _signal_faults(line: Record, problem: LayerProblem) -> Iterator[str]:
    doubt = _half(problem.signal, problem.signal_upper)
    if not line["signal_lower"] <= max(0.0, problem.signal - doubt):
        yield f"signal_lower is {line['signal_lower']:.17g}, w'Hw {problem.signal:.17g}"
    if not line["signal_upper"] >= problem.signal + doubt:
        yield f"signal_upper is {line['signal_upper']:.17g}, w'Hw {problem.signal:.17g}"


def _half(value: float, upper: float) -> float:
    """Return half of what was allowed for rounding: by itself enough (see `LayerProblem.error_upper`), and it
    leaves room for a record made where sums run in another order.
    """
    return 0.5 * (upper - value) if math.isfinite(upper) else math.inf


def _parquet_faults(run: RunFolder, table: Sequence[Record]) -> Iterator[str]:
    """Compare the Parquet table, where it can be read, with the JSON one."""
    if find_spec("pyarrow") is None:
        return
    from pyarrow import ArrowException, parquet

    try:
        rows = finite_rows(parquet.read_table(run.path / "bounds.parquet").to_pylist())
    except (OSError, ArrowException) as error:
        yield f"cannot be read: {error}"
        return
    if rows != table:
        yield "does not hold the rows of bounds.json"


def _manifest_faults(run: RunFolder) -> Iterator[str]:
    """Check that the manifest says which network the table is of."""
    try:
        manifest = json.loads((run.path / "manifest.json").read_bytes())
    except (OSError, ValueError) as error:
        yield f"cannot be read: {error}"
        return
    if not (isinstance(manifest, dict) and manifest.get("model")):
        yield "does not name the model"

"""The unit of work of a bound run: one camp on a block of rows of one layer at one bit width."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pvq
from pvq import arrays, registry
from pvq.arrays import F64
from pvq.empirical.points import Point
from pvq.empirical.store import ArrayStore, content_key
from pvq.errors import PvqError
from pvq.provenance import versions
from pvq.solvers.certificate_files import Claim
from pvq.solvers.feasible import SETS, describe_set
from pvq.solvers.gram import Gram
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import Limits, Result, solve

__all__ = ["Camp", "Methods", "Solved", "Task", "code_digest", "run_task"]

Camp: TypeAlias = Literal["quantize", "prune"]


@dataclass(frozen=True)
class Methods:
    """What a camp runs on every row.

    Parameters
    ----------
    bound : the method whose certificate gives the ceiling
    points : methods that look for good points; the first is the naive one that reports compare with
    """

    bound: str
    points: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.points:
            raise ValueError(f"points must name at least one method, got {self.points}")


@dataclass(frozen=True, eq=False)
class Task:
    """A block of rows to solve; small enough to send to another process.

    Parameters
    ----------
    layer, bits, camp : what the rows belong to
    rows : output channels of the block
    weights : (len(rows), n)
    grams : where the layer's Gram matrices lie
    gram_key, gram_digest : name and content hash there
    groups : which Gram matrix each row takes
    feasible : spec of the set, scale included
    methods, limits : how to solve
    key : of the content, equal only where the result would be the same, the code included
    """

    layer: str
    bits: float
    camp: Camp
    rows: tuple[int, ...]
    weights: F64
    grams: Path
    gram_key: str
    gram_digest: str
    groups: tuple[int, ...]
    feasible: str
    methods: Methods
    limits: Limits
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self._key())

    def _key(self) -> str:
        content = {
            "layer": self.layer, "bits": self.bits, "camp": self.camp, "rows": self.rows,
            "groups": self.groups, "gram": self.gram_digest, "set": self.feasible,
            "methods": asdict(self.methods),
            "limits": asdict(self.limits), "code": code_digest(),
        }  # fmt: skip
        return content_key(content, self.weights)

    @property
    def label(self) -> str:
        """What a progress line says."""
        return f"{self.layer}, {self.bits:g} bits, {self.camp}"


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Return a hash of everything that decides a result: theory, solvers, what they stand on, and this file.

    A result is taken from the store only if the code that would make it anew is the same; that of NumPy,
    SciPy and Numba counts by their versions.
    """
    here, package = Path(__file__).resolve(), Path(pvq.__file__).resolve().parent
    folders = (package / "theory", package / "solvers")
    files = [here, *(Path(inspect.getfile(module)) for module in (arrays, registry))]
    files += [file for folder in folders for file in sorted(folder.rglob("*.py"))]
    digest = hashlib.sha256(repr(versions(("numba", "numpy", "scipy"))).encode())
    for file in files:
        digest.update(f"{file.parent.name}/{file.name}|".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Solved:
    """What a task gives.

    Parameters
    ----------
    rows : one mapping a row, see `_row_record` for the fields
    claims : what the certificates say; a row's `claim` is the number of its claim here
    points : the best point of each row
    """

    rows: tuple[dict[str, Any], ...]
    claims: tuple[Claim, ...]
    points: tuple[Point, ...]


def run_task(task: Task) -> Solved:
    """Solve the rows of a task, BLAS on one thread.

    Raises
    ------
    PvqError : the Gram matrices are gone, damaged or others than the task was planned with
    ValueError : a row that no problem can be made of
    """
    from threadpoolctl import threadpool_limits

    rows: list[dict[str, Any]] = []
    claims: list[Claim] = []
    points: list[Point] = []
    with threadpool_limits(limits=1):
        grams = _load_grams(task)
        for row, group, w in zip(task.rows, task.groups, task.weights, strict=True):
            record, claim, point = _solve_row(task, row, grams[group], w)
            rows.append({**record, "claim": None if claim is None else len(claims)})
            claims += [] if claim is None else [claim]
            points.append(point)
    return Solved(tuple(rows), tuple(claims), tuple(points))


def _load_grams(task: Task) -> dict[int, Gram]:
    stored = ArrayStore(task.grams).get(task.gram_key)
    if stored is None:
        raise PvqError(f"the Gram matrices of {task.layer} are missing or damaged; run again")
    if content_key({}, stored["grams"]) != task.gram_digest:
        raise PvqError(f"the Gram matrices of {task.layer} are no longer those of the task; run again")
    return {group: Gram(stored["grams"][group]) for group in set(task.groups)}


def _solve_row(task: Task, row: int, gram: Gram, w: F64) -> tuple[dict[str, Any], Claim | None, Point]:
    """Run the camp's methods on one row; return its record, what its certificate claims and its point."""
    problem = LayerProblem(gram.matrix, w, gram)
    feasible = SETS.build(task.feasible).fit(w)
    about = {"row": row, "problem": problem.digest, "set": describe_set(feasible)}
    if not gram.alive.any():
        return {**about, **_DEAD}, None, Point(problem, feasible.nearest(w))
    bound = solve(problem, feasible, task.methods.bound, task.limits)
    results = [solve(problem, feasible, method, task.limits) for method in task.methods.points]
    best = _best([*results, bound])
    claim = Claim.of(problem, feasible, bound) if bound.certificate is not None else None
    record = _row_record(problem, bound, results, best)
    return {**about, **record}, claim, Point(problem, None if best is None else best.point)


# A row whose inputs were all zero: nothing that happens to its weights is seen.
_DEAD: dict[str, Any] = {
    "signal_lower": 0.0, "signal_upper": 0.0, "error_lower": 0.0, "error_upper": 0.0, "naive_error": 0.0,
    "method": None, "certified": True, "seconds": 0.0, "note": "all inputs of a row were zero",
}  # fmt: skip


def _row_record(
    problem: LayerProblem, bound: Result, points: list[Result], best: Result | None
) -> dict[str, Any]:
    """Return signal_lower and signal_upper (of w'Hw), error_lower, error_upper and naive_error (of
    (x - w)'H(x - w), None where unknown), method of the best point, certified, seconds and note.

    A point without any error needs no certificate: no error is below 0.
    """
    exact = best is not None and best.error_upper == 0.0
    return {
        "signal_lower": problem.signal_lower,
        "signal_upper": problem.signal_upper,
        "error_lower": 0.0 if exact else bound.error_lower,
        "error_upper": None if best is None else best.error_upper,
        "naive_error": points[0].error_upper,
        "method": None if best is None else best.method,
        "certified": bound.certified or exact,
        "seconds": sum(result.seconds for result in [*points, bound]),
        "note": "" if exact else _remark(bound),
    }


def _best(results: Iterable[Result]) -> Result | None:
    """Return the result with the least error, the first of equals."""
    priced = [result for result in results if result.error_upper is not None]
    return min(priced, key=lambda result: result.error_upper or 0.0, default=None)


def _remark(bound: Result) -> str:
    """Say why there is no bound; empty where there is one."""
    if bound.certified:
        return ""
    if bound.error_lower == 0.0:
        return f"{bound.method} proves no error above 0"
    return f"{bound.method} proves nothing: {bound.notes or bound.status.value}"

"""The unit of work of a bound run: one camp on a block of rows of one layer at one bit width."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pvq.arrays import F64
from pvq.empirical.store import ArrayStore, content_key
from pvq.errors import PvqError
from pvq.solvers.certificate_files import Claim
from pvq.solvers.feasible import SETS
from pvq.solvers.gram import Gram
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import Limits, Result, solve

__all__ = ["Camp", "Methods", "Task", "code_digest", "run_task"]

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
    """Return a hash of the source of everything that decides a result: theory, solvers and this file.

    A result is taken from the store only if the code that would make it anew is the same.
    """
    here = Path(__file__).resolve()
    folders = (here.parents[1] / "theory", here.parents[1] / "solvers")
    files = [here, *(file for folder in folders for file in sorted(folder.rglob("*.py")))]
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.parent.name}/{file.name}|".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def run_task(task: Task) -> tuple[dict[str, Any], list[Claim]]:
    """Solve the rows of a task, BLAS on one thread.

    Returns ``{"rows": [one mapping a row]}`` (see `_row_record` for the fields) and the claims to store.

    Raises
    ------
    PvqError : the Gram matrices are gone or damaged
    ValueError : a row that no problem can be made of
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        grams = _load_grams(task)
        pairs = zip(task.rows, task.groups, task.weights, strict=True)
        solved = [_solve_row(task, row, grams[group], w) for row, group, w in pairs]
    return {"rows": [record for record, _ in solved]}, [claim for _, claim in solved if claim is not None]


def _load_grams(task: Task) -> dict[int, Gram]:
    stored = ArrayStore(task.grams).get(task.gram_key)
    if stored is None:
        raise PvqError(f"the Gram matrices of {task.layer} are missing or damaged; run again")
    return {group: Gram(stored["grams"][group]) for group in set(task.groups)}


def _solve_row(task: Task, row: int, gram: Gram, w: F64) -> tuple[dict[str, Any], Claim | None]:
    """Run the camp's methods on one row; return its record and what its certificate claims."""
    problem = LayerProblem(gram.matrix, w, gram)
    if not gram.alive.any():
        return {**_DEAD, "row": row}, None
    feasible = SETS.build(task.feasible).fit(w)
    bound = solve(problem, feasible, task.methods.bound, task.limits)
    points = [solve(problem, feasible, method, task.limits) for method in task.methods.points]
    claim = Claim.of(problem, feasible, bound) if bound.certificate is not None else None
    return _row_record(row, problem, bound, points), claim


# A row whose inputs were all zero: nothing that happens to its weights is seen.
_DEAD: dict[str, Any] = {
    "signal": 0.0, "error_lower": 0.0, "error_upper": 0.0, "naive_error": 0.0, "method": None,
    "certified": True, "seconds": 0.0, "note": "all inputs of a row were zero",
}  # fmt: skip


def _row_record(row: int, problem: LayerProblem, bound: Result, points: list[Result]) -> dict[str, Any]:
    """Return row, signal (w'Hw), error_lower, error_upper and naive_error (values of (x - w)'H(x - w), None
    where unknown), method of the best point, certified, seconds and note.

    A point without any error needs no certificate: no error is below 0.
    """
    best = _best([*points, bound])
    exact = best is not None and best.error_upper == 0.0
    return {
        "row": row,
        "signal": problem.signal,
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

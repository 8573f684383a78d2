"""The unit of work of a bound run: one camp on a block of rows of one layer at one bit width."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pvq
from pvq import arrays, registry
from pvq.arrays import F64
from pvq.empirical.executor import Shared
from pvq.empirical.peak_memory import peak_memory
from pvq.empirical.points import Point
from pvq.empirical.shared_grams import LayerGrams, layer_grams
from pvq.empirical.store import content_key
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
    bound : the method whose certificate gives the ceiling, none if empty
    points : methods that look for good points
    """

    bound: str = ""
    points: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.bound and not self.points:
            raise ValueError("methods must name a bound or points, got neither")


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
    def shared(self) -> Shared[LayerGrams]:
        """The layer's Gram matrices, which its tasks have in common."""
        load = partial(layer_grams, self.grams, self.gram_key, self.gram_digest)
        n, groups = self.weights.shape[1], 1 + max(self.groups)
        return Shared(self.gram_digest, load, 8 * groups * n * n)

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
    rows : one mapping a row: row, problem, set, signal_lower and signal_upper (of w'Hw), errors (of each
        method for points), error_lower, error_upper, method and bound (what gave them), certified, seconds,
        note, claim, peak_mb
    claims : what the certificates say; a row's `claim` is the number of its claim here
    points : the best point of each row
    """

    rows: tuple[dict[str, Any], ...]
    claims: tuple[Claim, ...]
    points: tuple[Point, ...]


def run_task(task: Task, grams: LayerGrams | None = None) -> Solved:
    """Solve the rows of a task, BLAS on one thread.

    Parameters
    ----------
    grams : the layer's; read from where the task says if None

    Raises
    ------
    PvqError : the Gram matrices are gone, damaged or others than the tasks were planned with
    ValueError : a row that no problem can be made of
    """
    from threadpoolctl import threadpool_limits

    rows: list[dict[str, Any]] = []
    claims: list[Claim] = []
    points: list[Point] = []
    with threadpool_limits(limits=1), peak_memory() as peak:
        grams = grams or task.shared.load()
        for row, group, w in zip(task.rows, task.groups, task.weights, strict=True):
            record, claim, point = _solve_row(task, row, grams[group], w)
            rows.append({**record, "claim": None if claim is None else len(claims)})
            claims += [] if claim is None else [claim]
            points.append(point)
        most = peak()
    return Solved(tuple({**row, "peak_mb": most} for row in rows), tuple(claims), tuple(points))


def _solve_row(task: Task, row: int, gram: Gram, w: F64) -> tuple[dict[str, Any], Claim | None, Point]:
    """Run the camp's methods on one row; return its record, what its certificate claims and its point."""
    problem = LayerProblem(gram.matrix, w, gram)
    feasible = SETS.build(task.feasible).fit(w)
    about = {"row": row, "problem": problem.digest, "set": describe_set(feasible)}
    if not gram.alive.any():
        return {**about, **_DEAD}, None, Point(problem, feasible.nearest(w))
    points = [solve(problem, feasible, method, task.limits) for method in task.methods.points]
    bound = solve(problem, feasible, task.methods.bound, task.limits) if task.methods.bound else None
    results = points if bound is None else [*points, bound]
    best = _best(results)
    proof = bound is not None and bound.certificate is not None
    claim = Claim.of(problem, feasible, bound) if proof else None  # type: ignore[arg-type]
    record = {
        "signal_lower": problem.signal_lower,
        "signal_upper": problem.signal_upper,
        "errors": {result.method: result.error_upper for result in points},
        **_found(best, bound),
        "seconds": sum(result.seconds for result in results),
    }
    return {**about, **record}, claim, Point(problem, None if best is None else best.point)


# A row whose inputs were all zero: nothing that happens to its weights is seen.
_DEAD: dict[str, Any] = {
    "signal_lower": 0.0, "signal_upper": 0.0, "errors": {}, "error_lower": 0.0, "error_upper": 0.0,
    "method": None, "bound": None, "certified": True, "seconds": 0.0, "note": "all inputs of a row were zero",
}  # fmt: skip


def _found(best: Result | None, bound: Result | None) -> dict[str, Any]:
    """Return error_lower and error_upper (of (x - w)'H(x - w), None where unknown), which methods gave them,
    certified and note.

    A point without any error needs no certificate: no error is below 0.
    """
    exact = best is not None and best.error_upper == 0.0
    lower = None if bound is None else bound.error_lower
    proved = bound is not None and bound.certified
    return {
        "error_lower": 0.0 if exact else lower,
        "error_upper": None if best is None else best.error_upper,
        "method": None if best is None else best.method,
        "bound": bound.method if bound is not None and proved else None,
        "certified": proved or exact,
        "note": "" if exact or bound is None else _remark(bound),
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

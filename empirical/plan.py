"""From layers to tasks: which rows, which grid, which density, and what forbids a layer."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

import numpy as np

from pvq.arrays import F64
from pvq.empirical.model import LayerWeights, Model, trouble
from pvq.empirical.stored_gram import StoredGram
from pvq.empirical.tasks import Camp, Methods, Task
from pvq.errors import PvqError
from pvq.registry import suggest
from pvq.solvers.feasible import SETS
from pvq.solvers.solver import Limits
from pvq.theory.budget import Budget

__all__ = [
    "LayerPlan",
    "PlanSettings",
    "add_tasks",
    "plan_layer",
    "sample_rows",
    "select_layers",
    "set_spec",
]

NO_CALL = (
    "no convolution or matrix product used these weights, or one used them otherwise than as rows of outputs"
)
FEW_POSITIONS = (
    4  # times n: below, bounds are weak (measured: half of the exact optimum at 2n, a tenth below n)
)


@dataclass(frozen=True)
class PlanSettings:
    """What decides the tasks of a layer.

    Parameters
    ----------
    bits : widths
    rows : output channels per layer, all if None
    seed : of their choice, and of every method that draws
    methods : of each camp
    limits : of each solve
    """

    bits: tuple[float, ...]
    rows: int | None
    seed: int
    methods: Mapping[Camp, Methods]
    limits: Limits


@dataclass(frozen=True)
class LayerPlan:
    """One layer of a run.

    Parameters
    ----------
    layer : its weights
    rows : the output channels that are solved
    gram : of its inputs; None where the layer cannot be solved
    tasks : by bit width and camp, in the order in which they were planned; empty where there is no gram
    sets : spec of the feasible set, by bit width and camp
    stages : by bit width, how far methods were escalated; absent for not at all
    dead_inputs : inputs that were zero in all of calibration
    note : what is odd about the layer
    """

    layer: LayerWeights
    rows: tuple[int, ...] = ()
    gram: StoredGram | None = None
    tasks: Mapping[tuple[float, Camp], tuple[Task, ...]] = field(default_factory=dict)
    sets: Mapping[tuple[float, Camp], str] = field(default_factory=dict)
    stages: Mapping[float, int] = field(default_factory=dict)
    dead_inputs: int | None = None
    note: str = ""


def select_layers(model: Model, patterns: str) -> list[LayerWeights]:
    """Return the layers whose names match one of several patterns, such as ``layer2.*,fc``; no embeddings.

    Raises
    ------
    PvqError : a pattern matches none
    """
    layers = [layer for layer in model.weights().values() if layer.kind != "embedding"]
    chosen: set[str] = set()
    for pattern in (text.strip() for text in patterns.split(",")):
        found = {layer.name for layer in layers if fnmatchcase(layer.name, pattern)}
        if not found:
            known = suggest(pattern, [layer.name for layer in layers])
            raise PvqError(f"no layer of {model.name} matches {pattern!r}{known}")
        chosen |= found
    return [layer for layer in layers if layer.name in chosen]


def sample_rows(layer: str, total: int, rows: int | None, seed: int) -> tuple[int, ...]:
    """Return which of a layer's rows are solved: all, or `rows` of them drawn with the seed and the name.

    >>> sample_rows("conv1", 4, None, 0)
    (0, 1, 2, 3)
    """
    if rows is None or rows >= total:
        return tuple(range(total))
    rng = np.random.default_rng([seed, zlib.crc32(layer.encode())])
    return tuple(sorted(int(row) for row in rng.choice(total, rows, replace=False)))


def plan_layer(layer: LayerWeights, gram: StoredGram | None, settings: PlanSettings) -> LayerPlan:
    """Return the tasks of a layer, or a plan without tasks whose note says why there are none."""
    odd, fatal = trouble(layer)
    note = _join(layer.remark, odd)
    if fatal:
        return LayerPlan(layer, note=note)
    if gram is None:
        return LayerPlan(layer, note=_join(note, NO_CALL))
    if not gram.finite:
        return LayerPlan(layer, note=_join(note, "its inputs are NaN or infinite on the calibration images"))
    rows = sample_rows(layer.name, layer.rows, settings.rows, settings.seed)
    note = _join(note, _few_positions(gram), _dead_inputs(gram))
    plan = LayerPlan(layer, rows, gram, dead_inputs=gram.dead, note=note)
    for bits in settings.bits:
        for camp in settings.methods:
            plan = _add_camp(plan, settings, bits, camp)
    return plan


def _few_positions(gram: StoredGram) -> str:
    if gram.positions >= FEW_POSITIONS * gram.n:
        return ""
    return f"calibration gave {gram.positions} positions for {gram.n} inputs: take more images"


def _dead_inputs(gram: StoredGram) -> str:
    of_layer = " of the layer" if gram.groups > 1 else ""
    return f"{gram.dead} of {gram.groups * gram.n} inputs{of_layer} always zero" if gram.dead else ""


def _add_camp(plan: LayerPlan, settings: PlanSettings, bits: float, camp: Camp) -> LayerPlan:
    """Return the plan with the tasks of one camp at one bit width, or with the reason why it has none."""
    try:
        spec = set_spec(plan.layer.matrix, bits, camp)
    except ValueError as error:
        return replace(plan, note=_join(plan.note, f"{camp}: {error}"))
    plan = replace(plan, sets={**plan.sets, (bits, camp): spec})
    return add_tasks(plan, bits, camp, plan.rows, settings.methods[camp], settings.limits)


def add_tasks(
    plan: LayerPlan, bits: float, camp: Camp, rows: Sequence[int], methods: Methods, limits: Limits
) -> LayerPlan:
    """Return the plan with tasks that run methods on some of its rows, in the camp's set at that width."""
    matrix = plan.layer.matrix
    added = tuple(
        _task(plan, matrix, block, bits, camp, methods, limits)
        for block in _blocks(tuple(rows), plan.layer.n)
    )
    before = plan.tasks.get((bits, camp), ())
    return replace(plan, tasks={**plan.tasks, (bits, camp): (*before, *added)})


def set_spec(matrix: F64, bits: float, camp: Camp) -> str:
    """Return the spec of the set that a row must lie in, the same for all rows of the layer.

    Quantization: the integer grid with the scale of least squared rounding error over the whole layer.
    Pruning: each row keeps k = round(density n) of its n weights, density = bits / 16.

    Raises
    ------
    ValueError : bits that are no whole number, for quantization

    >>> set_spec(np.ones((2, 8)), 4, "prune")
    'sparse[k=2]'
    """
    if camp == "prune":
        return f"sparse[k={round(Budget(bits).density * matrix.shape[1])}]"
    if bits != int(bits):
        raise ValueError(f"an integer grid needs a whole number of bits, got {bits:g}")
    scale = SETS.build(f"int[bits={int(bits)}]").fit(matrix).codebook.scale  # type: ignore[attr-defined]
    return f"int[bits={int(bits)},scale={scale!r}]"


def _blocks(rows: tuple[int, ...], n: int) -> Iterator[tuple[int, ...]]:
    """Split rows into blocks of a few seconds' work each, whatever the number of workers."""
    size = max(1, min(64, (1000 // n) ** 2))
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _task(
    plan: LayerPlan,
    matrix: F64,
    rows: tuple[int, ...],
    bits: float,
    camp: Camp,
    methods: Methods,
    limits: Limits,
) -> Task:
    gram = plan.gram
    assert gram is not None, "only a layer that can be solved is given tasks"
    return Task(
        layer=plan.layer.name,
        bits=bits,
        camp=camp,
        rows=rows,
        weights=matrix[list(rows)],
        grams=gram.folder,
        gram_key=gram.key,
        gram_digest=gram.digest,
        groups=tuple(row * gram.groups // len(matrix) for row in rows),
        feasible=plan.sets[bits, camp],
        methods=methods,
        limits=limits,
    )


def _join(*notes: str) -> str:
    return "; ".join(note for note in notes if note)

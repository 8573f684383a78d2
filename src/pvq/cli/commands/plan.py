"""`pvq plan`: camp, format and bits of every layer under a budget, with a certified bound."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from pvq.cli.options import Json, Output, parse_bits, parse_specs
from pvq.cli.output import emit, note, progress_bar
from pvq.cli.sizes import parse_bytes
from pvq.errors import MissingExtra, SpecError

if TYPE_CHECKING:
    from pvq.empirical.compression import Planner
    from pvq.empirical.compression_plan import Plan

__all__ = ["command"]

FORMATS = "int,int[per=row],sign,sign[per=row],sparse,n_of_m[n=2,m=4],float[bits=16],float[bits=32]"
HIDDEN = (
    "payload_bits",
    "scale_bits",
    "mask_coding",
    "factor",
    "error_lower",
    "bytes",
    "budget_bits",
    "optimal",
)


def command(
    model: str,
    /,
    *,
    budget: Annotated[float | None, Parameter(validator=Number(gt=0, lte=64))] = None,
    budget_bytes: str | None = None,
    bits: str = "2:8",
    formats: str = FORMATS,
    objective: Literal["relative", "absolute", "hessian"] = "relative",
    weight: tuple[str, ...] = (),
    layers: str = "*",
    run: Path | None = None,
    estimate: Annotated[bool, Parameter(negative=())] = False,
    scale_bits: Literal[16, 32] = 32,
    mask: Literal["cheapest", "bitmap", "entropy"] = "cheapest",
    calibration: str = "bundled:64",
    seed: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    points: Annotated[int, Parameter(validator=Number(gte=0))] = 25,
    output: Output = Path("plan.yaml"),
    json: Json = False,
) -> None:
    """Choose how each layer is stored, at the least total error within a budget, with a certified bound.

    Writes the plan as YAML (docs/plan.md) and beside it the Pareto curve: .json, .curve.csv, .png, .svg.

    Example: `pvq plan resnet20-cifar10 --budget 4 -o plan.yaml`

    Parameters
    ----------
    model
        resnet20-cifar10 (bundled), mobilenet-v2, efficientnet-lite0, torchvision:NAME, timm:NAME or
        file:PATH; see `pvq list models`.
    budget
        Average bits per weight, scales and masks included.
    budget_bytes
        The budget as a size instead, such as 250KB or 1.5MiB.
    bits
        Widths of the formats that leave theirs open: 2:8 or 3,5,6.
    formats
        What a layer may be stored as, separated by commas; see `pvq list formats`.
    objective
        relative adds error / signal, absolute adds errors, hessian adds errors times the mean trace of the
        loss's Hessian in the layer.
    weight
        PATTERN=FACTOR, a further factor on the error of the layers that match; may be given several times.
    layers
        Only layers whose name matches this pattern; the others do not count.
    run
        Folder of a finished `pvq bounds` of all rows, whose errors and weights are then taken.
    estimate
        Accept a run of some rows only; nothing is certified then.
    scale_bits
        Bits of each scale factor.
    mask
        How the places of kept weights are stored.
    calibration
        Labelled images for the objective hessian, DATA:N.
    seed
        Of the images and vectors for the objective hessian.
    points
        Budgets on the Pareto curve; 0 draws none.
    output
        The YAML file.
    json
        Print rows, one a layer and then the total, as one JSON array on stdout.
    """
    from pvq.empirical.compression import Planner, PlanRequest
    from pvq.empirical.compression_file import write_plan
    from pvq.empirical.compression_rows import plan_rows
    from pvq.solvers.stored_format import Storage

    request = PlanRequest(
        model=model,
        bits=tuple(parse_bits(bits)),
        formats=tuple(parse_specs(formats)),
        objective=objective,
        weights=_weights(weight),
        layers=layers,
        storage=Storage(scale_bits, mask),
        run=run,
        estimate=estimate,
        calibration=calibration,
        seed=seed,
    )
    size = None if budget_bytes is None else parse_bytes(budget_bytes)
    if (budget is None) == (size is None):
        raise SpecError("give exactly one of --budget (bits per weight) and --budget-bytes")
    with progress_bar("menus") as progress:
        planner = Planner.of(request, progress)
    plan = planner.plan(planner.budget(budget, size))
    write_plan(plan, output)
    emit(plan_rows(plan), json, title=f"Plan of {model}", hide=HIDDEN)
    note(f"plan: {output}")
    if points:
        _curve(planner, plan, points, output)


def _weights(texts: tuple[str, ...]) -> dict[str, float]:
    """Read PATTERN=FACTOR."""
    found = {}
    for text in texts:
        pattern, equals, factor = text.rpartition("=")
        try:
            found[pattern] = float(factor)
        except ValueError as error:
            raise SpecError(f"--weight must read PATTERN=FACTOR, got {text!r}") from error
        if not equals or not pattern:
            raise SpecError(f"--weight must read PATTERN=FACTOR, got {text!r}")
    return found


def _curve(planner: Planner, plan: Plan, points: int, output: Path) -> None:
    """Write the Pareto curve, its picture only where matplotlib is installed."""
    from pvq.empirical.compression import pareto
    from pvq.figures.pareto import curve_data, save_curve

    with progress_bar("curve") as progress:
        rows = pareto(planner, plan.totals.budget_bits, points, progress)
    facts: dict[str, Any] = {
        "model": plan.model,
        "objective": plan.objective,
        "errors": plan.errors,
        "plan_bits_per_weight": plan.totals.bits_per_weight,
        "plan_objective": plan.totals.objective,
    }
    data, stem = curve_data(rows, **facts), output.with_suffix("")
    try:
        paths = save_curve(data, stem)
    except MissingExtra as error:
        paths = save_curve(data, stem, picture=False)
        note(f"no picture of the curve: {error}")
    note(f"curve: {', '.join(map(str, paths))}")

"""`pvq bounds`: the main job, a certified report for every layer of a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter
from cyclopts.validators import MutuallyExclusive, Number

from pvq.cli.options import Json, Output, parse_bits
from pvq.cli.output import emit, note, progress_bar

__all__ = ["command"]

AT_LEAST_ONE = Parameter(validator=Number(gte=1))
ONE_PLACE = Parameter(group=Group("Where to solve", validator=MutuallyExclusive()))  # type: ignore[no-untyped-call]
NOT_NEGATIVE = Parameter(validator=Number(gte=0))
HIDDEN = (
    "kind",
    "rows_total",
    "quant_method",
    "prune_method",
    "quant_nearest_snr_db",
    "prune_magnitude_snr_db",
    "quant_gptq_snr_db",
    "quant_obq_snr_db",
    "prune_obs_snr_db",
    "signal_lower",
    "signal_upper",
    "quant_error_lower",
    "quant_error_upper",
    "prune_error_lower",
    "prune_error_upper",
    "quant_bound",
    "prune_bound",
    "n_weights",
    "kurtosis",
    "peak_mb",
    "stage",
    "quant_set",
    "prune_set",
    "dead_inputs",
    "gram_drift",
    "quant_snr_fresh_db",
    "prune_snr_fresh_db",
)


def command(
    model: str,
    /,
    *,
    bits: str = "4",
    layers: str = "*",
    rows: Annotated[int | None, AT_LEAST_ONE] = None,
    calibration: str = "bundled:256",
    held_out: str = "rest",
    seed: Annotated[int, NOT_NEGATIVE] = 0,
    output: Output | None = None,
    workers: Annotated[int, AT_LEAST_ONE, ONE_PLACE] = 1,
    dask: Annotated[str | None, ONE_PLACE] = None,
    effort: Literal["standard", "decide", "thorough"] = "standard",
    fold_bn: Annotated[bool, Parameter(negative=())] = False,
    fresh: Annotated[bool, Parameter(negative=())] = False,
    fail_under: str | None = None,
    json: Json = False,
) -> None:
    """Per layer: how good the best compression found is, and how good any could provably be.

    Writes bounds.parquet, bounds.json, manifest.json, certificates/, figures/ and report.html. A run that
    is stopped goes on from what was written.

    Example: `pvq bounds resnet20-cifar10 --bits 4 --rows 4 -o runs/resnet20`

    Parameters
    ----------
    model
        resnet20-cifar10 (bundled), mobilenet-v2, efficientnet-lite0, torchvision:NAME, timm:NAME; files
        of bare weights (file:PATH, onnx:PATH) have no network to run.
    bits
        Bit widths: 2:8 or 3,5,6.
    layers
        Only layers whose name matches one of these patterns: "layer2.*,fc".
    rows
        Output channels drawn per layer with the seed; all if not given.
    calibration
        DATA:N, the data set and the number of images (see `pvq list datasets`); DATA:N:balanced draws as
        many of each class.
    held_out
        Images that measure how far the calibration carries: rest (as many others of the same data as there
        are), none, or DATA:N.
    seed
        Seed of the rows and images drawn.
    output
        Folder of the run; runs/MODEL if not given.
    workers
        Processes, each with one thread.
    dask
        Address of a Dask scheduler, such as tcp://10.0.0.1:8786, whose workers solve instead.
    effort
        decide spends cuts, blocks and exact search where a verdict is still open; thorough tightens every
        bound by cuts and blocks and searches longer: up to a minute a row.
    fold_bn
        Fold each batch norm into the layer before it first.
    fresh
        Compute everything anew instead of resuming.
    fail_under
        Conditions such as "snr[bits=4]>=18, coverage>=0.85"; exit code 1 unless all hold. Of each row: snr,
        quant_snr, prune_snr, quant_gap, prune_gap, certified, seconds; of the run: coverage.
    json
        Print rows as one JSON array on stdout.
    """
    from pvq.empirical.effort import EFFORTS
    from pvq.empirical.gate import parse_gate, require
    from pvq.empirical.layerwise import BoundsRun, run_bounds
    from pvq.figures.report import write_report

    conditions = parse_gate(fail_under) if fail_under is not None else ()
    folder = output or Path("runs") / model.replace(":", "-").replace("/", "-")
    settings = BoundsRun(
        model=model,
        bits=tuple(parse_bits(bits)),
        layers=layers,
        rows=rows,
        calibration=calibration,
        held_out=held_out,
        seed=seed,
        workers=workers,
        dask=dask or "",
        out=folder,
        fold_bn=fold_bn,
        fresh=fresh,
        methods=EFFORTS[effort].methods,
        ladder=EFFORTS[effort].ladder,
    )
    with progress_bar("bounds") as progress:
        table = run_bounds(settings, progress=progress)
    emit(table, json, title=f"Bounds of {model}", hide=HIDDEN)
    note(f"report: {write_report(folder)}")
    require(conditions, table)

"""`pvq bench`: our methods and general solvers side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from pvq.cli.options import Json, Output, parse_specs
from pvq.cli.output import emit, note, progress_bar
from pvq.errors import MissingExtra

if TYPE_CHECKING:
    from pvq.solvers.bench.sources import Layer

__all__ = ["command"]

HIDDEN = ("suite", "versus", "cpu_min", "cpu_max", "certified", "claim_share_min", "claim_share_max")


def command(
    *,
    suite: Annotated[list[str] | None, Parameter(negative=())] = None,
    quick: Annotated[bool, Parameter(negative=())] = False,
    output: Output = Path("bench"),
    json: Json = False,
) -> None:
    """Measure our methods side by side with general solvers: times, ratios with their spread, growth with n.

    Writes SUITE.json and, where matplotlib is installed, SUITE.png and SUITE.svg. Every finished case is
    stored: a run that is stopped goes on where it was.

    Example: `pvq bench --suite quantize-bound --quick -o bench`

    Parameters
    ----------
    suite
        quantize-bound, prune-bound, exact-quantize, exact-prune, heuristics, by commas; all by default.
    quick
        Small sizes and short limits: minutes for all suites.
    output
        Folder to write to; made if absent.
    json
        Print the summary as one JSON array on stdout.
    """
    from pvq.solvers.bench.run import run_suites
    from pvq.solvers.bench.suites import suites_of

    chosen = suites_of(parse_specs(suite or ["all"]))
    with progress_bar("bench") as progress:
        written = run_suites(chosen, quick, output, lambda: _layers(output), progress)
    emit([row for content in written.values() for row in content["summary"]], json, hide=HIDDEN)
    _draw(written, output)


def _layers(output: Path) -> dict[str, Layer]:
    from pvq.empirical.bench_layers import bundled_layers
    from pvq.solvers.bench.suites import LAYER_NAMES

    return bundled_layers(LAYER_NAMES, output / "grams")


def _draw(written: Mapping[str, Mapping[str, Any]], output: Path) -> None:
    from pvq.figures.benchmark import draw_benchmark

    try:
        for name, content in written.items():
            draw_benchmark(content, output / name)
    except MissingExtra as error:
        note(f"no pictures: {error}")

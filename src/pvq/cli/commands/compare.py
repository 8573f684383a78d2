"""`pvq compare`: methods, budgets and seeds side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from pvq.cli.options import Json, Output, Track, parse_specs
from pvq.cli.output import emit, note, progress_bar
from pvq.errors import MissingExtra, PvqError

if TYPE_CHECKING:
    from pvq.empirical.compare import CompareResult

__all__ = ["command"]

HIDDEN = (
    "accuracy_low",
    "accuracy_high",
    "before_sd",
    "before_low",
    "before_high",
    "seconds",
    "camp",
    "spec",
)


def command(
    recipe: str,
    /,
    *,
    output: Output | None = None,
    workers: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    track: Track | None = None,
    json: Json = False,
) -> None:
    """Train methods x budgets x seeds as a comparison recipe says, and tell which method is ahead where.

    Writes comparison.json, .csv, .md (table and verdict), manifest.json and the figure accuracy.png, .svg. A
    stopped comparison goes on where it was. A row for each method and budget has the fields method, budget,
    seeds, failed, accuracy, accuracy_sd, accuracy_low, accuracy_high, before, before_sd, before_low,
    before_high, uncompressed, spent_bits, seconds, camp, spec, reason: accuracies are shares in [0, 1], low
    and high the ends of the 95 % interval over seeds, before is before fine-tuning.

    Example: `pvq compare resnet20-cifar10 -o runs/comparison --workers 2`

    Parameters
    ----------
    recipe
        A YAML file (docs/compare.md), or the name of a comparison that pvq ships.
    output
        Folder of the comparison; runs/compare-RECIPE if not given.
    workers
        Processes, each with one thread; those of the recipe if not given.
    track
        Where to log every run as well, such as tensorboard or mlflow[experiment=mine] (pvq list trackers).
    json
        Print the rows as one JSON array on stdout.
    """
    from pvq.empirical.compare import compare
    from pvq.empirical.comparison import read_comparison
    from pvq.empirical.comparison_files import write_comparison_files

    comparison, folder = read_comparison(recipe), output or Path("runs") / f"compare-{Path(recipe).stem}"
    with progress_bar("compare") as progress:
        result = compare(comparison, folder, workers, progress, parse_specs(track or []))
    write_comparison_files(result, folder)
    emit(result.rows, json, title=comparison.name, hide=HIDDEN)
    for sentence in result.words:
        note(sentence)
    _draw(result, folder)
    note(f"table and verdict: {folder / 'comparison.md'}")
    _tell_failures(result)


def _draw(result: CompareResult, folder: Path) -> None:
    """Draw the figure, where matplotlib is installed and there is something to draw."""
    from pvq.empirical.comparison_files import comparison_content
    from pvq.figures.accuracy import accuracy_data, save_accuracy

    if not result.records:
        return
    try:
        save_accuracy(accuracy_data(comparison_content(result)), folder / "accuracy")
    except MissingExtra as error:
        note(f"no picture: {error}")


def _tell_failures(result: CompareResult) -> None:
    """Say how many runs failed; where none ended, that is the outcome of the command."""
    if not result.failures:
        return
    first = next(iter(result.failures.values()))
    text = f"{len(result.failures)} of {len(result.plan.runs())} runs failed, first: {first}"
    if not result.records:
        raise PvqError(text)
    note(f"{text}; the same command tries them again")

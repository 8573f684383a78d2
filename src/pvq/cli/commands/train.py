"""`pvq train`: one training run from a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pvq.cli.options import Json, Output, Track, parse_specs
from pvq.cli.output import emit

__all__ = ["command"]


def command(
    recipe: str,
    /,
    *,
    output: Output | None = None,
    resume: Annotated[bool, Parameter(negative="--fresh")] = True,
    track: Track | None = None,
    json: Json = False,
) -> None:
    """Train a network as a recipe says; a stopped run goes on where it was.

    Example: `pvq train resnet20-cifar10 -o runs/resnet20`

    Parameters
    ----------
    recipe
        A YAML file, or the name of a recipe that pvq ships.
    output
        Folder of the run: checkpoints, weights, record; runs/RECIPE if not given.
    resume
        Go on from the folder's last checkpoint, or start afresh.
    track
        Where to log the run as well, such as tensorboard or mlflow[experiment=mine] (pvq list trackers).
    json
        Print the run's row as one JSON array on stdout.
    """
    from pvq.empirical.distributed import is_main
    from pvq.empirical.progress import show_progress
    from pvq.empirical.train import train_rows

    folder = output or Path("runs") / Path(recipe).stem
    with show_progress() as progress:
        rows = train_rows(recipe, folder, resume, progress, parse_specs(track or []))
    if is_main():
        emit(rows, json)

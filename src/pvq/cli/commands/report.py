"""`pvq report`: rebuild the report of a stored run."""

from __future__ import annotations

from pathlib import Path

from pvq.cli.options import Json
from pvq.cli.output import emit

__all__ = ["command"]


def command(run: Path, /, *, json: Json = False) -> None:
    """Rebuild report.html and its figures from the stored rows of a `pvq bounds` run.

    Example: `pvq report runs/resnet20-cifar10`

    Parameters
    ----------
    run
        Folder that `pvq bounds` wrote.
    json
        Print rows as one JSON array on stdout.
    """
    from pvq.figures.report import write_report

    emit([{"report": str(write_report(run))}], json)

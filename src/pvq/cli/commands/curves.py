"""`pvq curves`: every theoretical figure and its data."""

from __future__ import annotations

from pathlib import Path

from pvq.cli.options import Json, Output
from pvq.cli.output import emit, progress_bar

__all__ = ["command"]


def command(*, output: Output = Path("curves"), json: Json = False) -> None:
    """Draw every theoretical figure as PNG and SVG and write its data as CSV and JSON.

    Example: `pvq curves -o curves`

    Parameters
    ----------
    output
        Folder to write to; made if absent.
    json
        Print one row a file as one JSON array on stdout.
    """
    from pvq.figures.curves import curves

    with progress_bar("curves") as progress:
        rows = curves(output, progress=progress)
    emit(rows, json)

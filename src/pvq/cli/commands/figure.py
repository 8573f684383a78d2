"""`pvq figure`: one figure by name, or all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pvq.cli.options import Json, Output
from pvq.cli.output import emit, progress_bar
from pvq.errors import SpecError

__all__ = ["command"]


def command(
    name: str | None = None,
    /,
    *,
    all_: Annotated[bool, Parameter(name="--all", negative=())] = False,
    output: Output = Path("curves"),
    json: Json = False,
) -> None:
    """Draw one figure as PNG and SVG and write its data.

    Example: `pvq figure snr-gaussian -o curves`

    Parameters
    ----------
    name
        A figure of `pvq list figures`.
    all_
        Draw every figure.
    output
        Folder to write to; made if absent.
    json
        Print one row a file as one JSON array on stdout.
    """
    from pvq.figures.curves import curves

    if (name is None) != all_:
        raise SpecError("give the name of one figure, or --all; pvq list figures names them")
    with progress_bar("figures") as progress:
        rows = curves(output, names=None if name is None else [name], progress=progress)
    emit(rows, json)

"""`pvq list`: every named kind, one line each."""

from __future__ import annotations

from pvq.cli.kinds import kind_rows
from pvq.cli.options import Json
from pvq.cli.output import emit

__all__ = ["command"]


def command(kind: str = "all", /, *, json: Json = False) -> None:
    """List distributions, quantizers, sets, solvers, figures, models, datasets, each with one line.

    Example: `pvq list quantizers`

    Parameters
    ----------
    kind
        One kind, or all of them.
    json
        Print rows as one JSON array on stdout.
    """
    emit(kind_rows(kind), json)

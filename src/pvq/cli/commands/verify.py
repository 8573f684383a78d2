"""`pvq verify`: re-prove certificates from their files."""

from __future__ import annotations

from pathlib import Path

from pvq.cli.options import Json
from pvq.cli.output import emit
from pvq.errors import CertificateRejected

__all__ = ["command"]


def command(path: Path, /, *, json: Json = False) -> None:
    """Re-prove every certificate of a file or a folder; exit code 3 if one is rejected.

    Example: `pvq verify runs/resnet20-cifar10/certificates`

    Parameters
    ----------
    path
        A certificate, or a folder of them (such as the output of `pvq bounds`).
    json
        Print rows as one JSON array on stdout.
    """
    from pvq.solvers.verify import verify_path

    rows = verify_path(path)
    emit(rows, json)
    rejected = [row for row in rows if not row["accepted"]]
    if rejected:
        raise CertificateRejected(
            f"{len(rejected)} of {len(rows)} certificate(s) rejected, first {rejected[0]['path']}: "
            f"{rejected[0]['reason']}"
        )

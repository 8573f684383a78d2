"""`pvq verify`: re-prove certificates from their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pvq.cli.options import Json
from pvq.cli.output import emit, note
from pvq.errors import CertificateRejected

__all__ = ["command"]


def command(path: Path, /, *, json: Json = False) -> None:
    """Re-prove every certificate of a file or a folder; exit code 3 if one is rejected.

    In the folder of `pvq bounds`, its bounds, points and verdicts must also follow from what is stored.

    Example: `pvq verify runs/resnet20-cifar10`

    Parameters
    ----------
    path
        A certificate, or a folder of them (such as the output of `pvq bounds`).
    json
        Print rows as one JSON array on stdout.
    """
    rows = _rows(path)
    emit(rows, json, hide=("problem",))
    note(f"{sum(row['accepted'] for row in rows)} of {len(rows)} accepted")
    rejected = [row for row in rows if not row["accepted"]]
    if rejected:
        raise CertificateRejected(
            f"{len(rejected)} of {len(rows)} check(s) rejected, first {rejected[0]['path']}: "
            f"{rejected[0]['reason']}"
        )


def _rows(path: Path) -> list[dict[str, Any]]:
    """Return a row per claim, and in the folder of a run one per number that does not follow from them."""
    from pvq.empirical.verify_run import is_run, verify_run
    from pvq.solvers.verify import verify_path

    if not is_run(path):
        return verify_path(path)
    claims = verify_path(path) if any(path.rglob("*.cert.npz")) else []
    return claims + verify_run(path, claims)

"""Re-prove stored certificates without the solvers that made them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pvq.errors import CertificateRejected, PvqError

from .certificate_files import SUFFIX, Claim, load_claims

__all__ = ["check", "verify_path"]


def check(claim: Claim) -> float:
    """Return the lower bound that the certificate proves, at least the claim.

    Raises
    ------
    CertificateRejected : it proves less than it claims, or nothing
    """
    proved = claim.certificate.bound(claim.problem, claim.feasible)
    if not math.isfinite(claim.value):
        raise CertificateRejected(f"the claim must be a number, got {claim.value}")
    if proved == -math.inf:
        raise CertificateRejected(f"claims {claim.value:.17g}, proves nothing")
    if not claim.value <= max(proved, 0.0):
        raise CertificateRejected(f"claims {claim.value:.17g}, proves {max(proved, 0.0):.17g}")
    return max(proved, 0.0)


def verify_path(path: str | Path) -> list[dict[str, Any]]:
    """Re-prove a certificate file, or every ``*.cert.npz`` under a folder.

    Returns
    -------
    one mapping per claim: ``path``, ``claim`` (its number in the file), ``method``; ``problem`` (content hash
    of H and w), ``n`` (weights) and ``set`` (as `describe_set` puts it), which are what the claim is about;
    ``claimed``, ``proved``, ``accepted``, ``reason`` (empty where accepted). A file that cannot be read is a
    row that is not accepted, with None for what is unknown.

    Raises
    ------
    PvqError : the path does not exist, or the folder holds no certificate
    """
    root = Path(path)
    if not root.exists():
        raise PvqError(f"{root} does not exist")
    files = sorted(root.rglob(f"*{SUFFIX}")) if root.is_dir() else [root]
    if not files:
        raise PvqError(f"{root} holds no certificate (*{SUFFIX})")
    return [row for file in files for row in _verify_file(file)]


def _verify_file(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    try:
        for claim in load_claims(path):
            rows.append(_verify_claim(path, len(rows), claim))
    except PvqError as error:
        rows.append(_row(path, len(rows), None, None, f"{error}"))
    return rows or [_row(path, 0, None, None, "holds no claim")]


def _verify_claim(path: Path, number: int, claim: Claim) -> dict[str, Any]:
    try:
        proved = check(claim)
    except CertificateRejected as rejection:
        return _row(path, number, claim, None, f"{rejection}")
    return _row(path, number, claim, proved, "")


def _row(path: Path, number: int, claim: Claim | None, proved: float | None, reason: str) -> dict[str, Any]:
    known = claim is not None and math.isfinite(claim.value)
    return {
        "path": str(path),
        "claim": number,
        "method": claim.method if claim else None,
        "problem": claim.problem.digest if claim else None,
        "n": claim.problem.n if claim else None,
        "set": claim.set if claim else None,
        "claimed": claim.value if claim and known else None,
        "proved": proved,
        "accepted": not reason,
        "reason": reason,
    }

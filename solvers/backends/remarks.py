"""What a reference solver itself claims, written into notes and read back: claimed, never proved."""

from __future__ import annotations

import math
import re

__all__ = ["claim_note", "claimed_value"]

_CLAIM = re.compile(r"claims a bound of (\S+) \(not proved\)")


def claim_note(solver: str, status: str, value: float | None, more: str = "") -> str:
    """Return one line: the solver, its own status, and the lower bound that it claims, in units of the error.

    >>> claim_note("SCIP", "timelimit", 0.25, "7 nodes")
    'SCIP: timelimit, claims a bound of 0.25 (not proved), 7 nodes'
    """
    known = value is not None and math.isfinite(value)
    claim = f"claims a bound of {value:.12g} (not proved)" if known else "claims no bound"
    return ", ".join(filter(None, [f"{solver}: {status}", claim, more]))


def claimed_value(notes: str) -> float | None:
    """Return the value in a line of `claim_note`, None if there is none.

    >>> claimed_value(claim_note("SCIP", "timelimit", 0.25))
    0.25
    """
    found = _CLAIM.search(notes)
    return float(found[1]) if found else None

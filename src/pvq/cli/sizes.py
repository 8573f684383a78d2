"""Sizes in bytes as people write them."""

from __future__ import annotations

import re
from fractions import Fraction

from pvq.errors import SpecError

__all__ = ["parse_bytes"]

UNITS = {"": 1, "B": 1} | {
    f"{letter}{i}B": (1024 if i else 1000) ** power
    for power, letter in enumerate("KMGT", 1)
    for i in ("", "i")
}


def parse_bytes(text: str) -> int:
    """Read a size such as ``250KB`` (1000 bytes each), ``1.5MiB`` (1024 squared) or ``250000``.

    Raises
    ------
    SpecError : no number, an unknown unit, less than one byte

    >>> parse_bytes("250KB"), parse_bytes("1.5 MiB")
    (250000, 1572864)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    unit = next((name for name in UNITS if match and name.lower() == match[2].lower()), None)
    if match is None or unit is None:
        raise SpecError(f"--budget-bytes must be a size such as 250KB or 1.5MiB, got {text!r}")
    size = int(Fraction(match[1]) * UNITS[unit])
    if size < 1:
        raise SpecError(f"--budget-bytes must be at least one byte, got {text!r}")
    return size

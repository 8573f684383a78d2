"""Numbers and names as a page shows them. Nothing here ever prints NaN."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

__all__ = ["UNKNOWN", "count", "db", "duration", "kind", "listed", "percent", "short", "step", "width"]

UNKNOWN = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"


def db(value: float | None) -> str:
    """Return a decibel value with two decimals.

    >>> [db(x) for x in (19.2577, float("inf"), None, float("nan"))]
    ['19.26', '∞', '–', '–']
    """
    if value is None or math.isnan(value):
        return UNKNOWN
    size = f"{abs(value):.2f}" if math.isfinite(value) else "∞"
    return _MINUS + size if value < 0 and size != "0.00" else size


def count(value: float | None) -> str:
    """Return a whole number with thin spaces between thousands.

    >>> count(9.0), count(None)
    ('9', '–')
    """
    known = value is not None and math.isfinite(value)
    return f"{value:,.0f}".replace(",", "\N{THIN SPACE}") if known else UNKNOWN


def percent(share: float | None) -> str:
    """Return a share of one in percent, rounded down, so that 100 % means all; what is not nothing is not 0.

    >>> percent(0.9999), percent(1.0), percent(0.002), percent(0.0)
    ('99 %', '100 %', 'less than 1 %', '0 %')
    """
    if share is None:
        return UNKNOWN
    return "less than 1 %" if 0 < share < 0.01 else f"{math.floor(100 * share + 1e-9)} %"


def width(bits: float) -> str:
    """Return a bit width as people write it.

    >>> width(4.0), width(4.25)
    ('4', '4.25')
    """
    return f"{bits:g}"


def kind(verdict: str) -> str:
    """Return the class that the style sheet has for a verdict.

    >>> kind("quantize (proved)")
    'quantize-proved'
    """
    return re.sub(r"[^a-z]+", "-", verdict.lower()).strip("-") or "no-verdict"


def short(name: str, most: int = 34) -> str:
    """Return `name`, its middle left out where it is longer than `most` characters.

    >>> short("a" * 20 + "b" * 20, 9)
    'aaaa…bbbb'
    """
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[:half]}…{name[-half:]}"


def duration(seconds: float | None) -> str:
    """Return a time in the units in which people say it.

    >>> [duration(s) for s in (0.0123, 7.26, 83.0, 7384.0, None)]
    ['0.012 s', '7.3 s', '1 min 23 s', '2 h 3 min', '–']
    """
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    if seconds < 60:
        return f"{seconds:#.2g} s".replace(". ", " ")
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def step(value: float) -> str:
    """Return a chosen limit as short as it is written.

    >>> step(0.4), step(3.0)
    ('0.4', '3')
    """
    return f"{value:g}"


def listed(words: Sequence[str]) -> str:
    """Return words as a sentence lists them.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))

"""What several commands read in the same way: lists of bit widths, and the shared `--json` flag."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter

from pvq.errors import SpecError

__all__ = ["Json", "Output", "Track", "parse_bits", "parse_specs"]

Json: TypeAlias = Annotated[
    bool, Parameter(name="--json", negative=(), help="Print rows as one JSON array on stdout.")
]

Output: TypeAlias = Annotated[Path, Parameter(name=("--output", "-o"))]

Track: TypeAlias = Annotated[list[str], Parameter(name="--track", negative=())]


def parse_bits(text: str) -> list[float]:
    """Read bit widths written ``2:8`` (both ends included) or ``3,5,6``.

    Raises
    ------
    SpecError : not a list, a width outside (0, 32]

    >>> parse_bits("2:4,8")
    [2.0, 3.0, 4.0, 8.0]
    """
    widths: list[float] = []
    for part in text.split(","):
        first, colon, last = part.partition(":")
        if colon:
            widths.extend(float(b) for b in range(_whole(first, text), _whole(last, text) + 1))
        else:
            widths.append(_number(part, text))
    wrong = [width for width in widths if not 0 < width <= 32]
    if wrong or not widths:
        raise SpecError(f"--bits must list widths in (0, 32] such as 2:8 or 3,5,6, got {text!r}")
    return list(dict.fromkeys(widths))


def _whole(part: str, text: str) -> int:
    number = _number(part, text)
    if number != int(number):
        raise SpecError(f"--bits must have whole ends in a range such as 2:8, got {text!r}")
    return int(number)


def _number(part: str, text: str) -> float:
    try:
        number = float(part)
    except ValueError as error:
        raise SpecError(f"--bits must list widths such as 2:8 or 3,5,6, got {text!r}") from error
    if not abs(number) < 1e3:
        raise SpecError(f"--bits must list widths in (0, 32], got {text!r}")
    return number


def parse_specs(texts: tuple[str, ...] | list[str] | str) -> list[str]:
    """Split specs given several times or with commas into single specs.

    >>> parse_specs(["int[bits=4,scale=mse],nf4", "apot"])
    ['int[bits=4,scale=mse]', 'nf4', 'apot']
    """
    from pvq.registry import split_list

    listed = [texts] if isinstance(texts, str) else list(texts)
    specs = [spec for text in listed for spec in split_list(text)]
    if not all(specs):
        raise SpecError(f"a list of specs must not hold an empty one, got {', '.join(listed)!r}")
    return specs

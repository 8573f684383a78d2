"""A condition that a bound run must meet, for use in CI: ``snr>=18, quant_gap[bits=4]<2, coverage>=0.85``."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from pvq.errors import PvqError, SpecError
from pvq.registry import split_list, suggest

__all__ = ["NAMES", "Breach", "Condition", "breaches", "parse_gate", "require"]

Row: TypeAlias = Mapping[str, Any]
Value: TypeAlias = "float | None"

_NAMED = 3  # breaches that the one line names
_CONDITION = re.compile(r"\s*(?P<name>[A-Za-z_]+(?:\[.*\])?)\s*(?P<op>>=|<=|>|<)\s*(?P<number>\S+)\s*")
_OPS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt,
}  # fmt: skip


def _snr(row: Row) -> Value:
    reached = (_number(row.get(f"{camp}_snr_achieved_db")) for camp in ("quant", "prune"))
    return max((value for value in reached if value is not None), default=None)


def _gap(camp: str) -> Callable[[Row], Value]:
    def gap(row: Row) -> Value:
        ceiling = _number(row.get(f"{camp}_snr_at_most_db"))
        reached = _number(row.get(f"{camp}_snr_achieved_db"))
        if reached == math.inf:
            return 0.0  # nothing is better than no error
        return None if ceiling is None or reached is None else ceiling - reached

    return gap


def _column(name: str) -> Callable[[Row], Value]:
    return lambda row: _number(row.get(name))


def _proved(row: Row) -> Value:
    return float(str(row.get("verdict") or "").endswith("(proved)"))


def _certified(row: Row) -> Value:
    return float(row.get("certified") is True)


# Of a row: SNR in dB, seconds, or 1 for yes and 0 for no.
_OF_ROW: Mapping[str, Callable[[Row], Value]] = {
    "snr": _snr,
    "quant_snr": _column("quant_snr_achieved_db"),
    "prune_snr": _column("prune_snr_achieved_db"),
    "quant_gap": _gap("quant"),
    "prune_gap": _gap("prune"),
    "certified": _certified,
    "seconds": _column("seconds"),
}
# Of the run: shares in [0, 1].
_OF_RUN: Mapping[str, Callable[[Row], Value]] = {"coverage": _proved}
NAMES = (*_OF_ROW, *_OF_RUN)


@dataclass(frozen=True)
class Condition:
    """One demand on every row, or on the run.

    Parameters
    ----------
    name : one of `NAMES`
    op : ``>=``, ``>``, ``<=`` or ``<``
    number : what to compare with
    bits : only rows of this bit width; all if None
    layers : only layers whose name matches this pattern
    """

    name: str
    op: str
    number: float
    bits: float | None = None
    layers: str = "*"

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise SpecError(f"unknown name {self.name!r} in a gate{suggest(self.name, NAMES)}")
        if self.op not in _OPS:
            raise SpecError(f"op must be one of {', '.join(_OPS)}, got {self.op!r}")
        if not math.isfinite(self.number):
            raise SpecError(f"a gate must compare with a finite number, got {self.number}")

    def meets(self, value: float) -> bool:
        """Return whether a value meets the demand."""
        return _OPS[self.op](value, self.number)

    def excess(self, value: float) -> float:
        """Return by how much a value misses the demand."""
        return self.number - value if self.op.startswith(">") else value - self.number

    def select(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows that the demand is on.

        Raises
        ------
        PvqError : there is none; a demand on nothing would always be met
        """
        chosen = [
            row for row in rows
            if (self.bits is None or row["bits"] == self.bits) and fnmatchcase(str(row["layer"]), self.layers)
        ]  # fmt: skip
        if not chosen:
            raise PvqError(f"--fail-under: no row of the run is one of {self}")
        return chosen

    def __str__(self) -> str:
        options = [] if self.bits is None else [f"bits={self.bits:g}"]
        options += [] if self.layers == "*" else [f"layers={self.layers}"]
        where = f"[{','.join(options)}]" if options else ""
        return f"{self.name}{where}{self.op}{self.number:g}"


@dataclass(frozen=True)
class Breach:
    """A row, or the run, that does not meet a condition; `value` is None where it is unknown."""

    condition: Condition
    where: str
    value: float | None

    @property
    def excess(self) -> float:
        """By how much the condition is missed; infinite where the value is unknown."""
        return math.inf if self.value is None else self.condition.excess(self.value)

    def __str__(self) -> str:
        value = "unknown" if self.value is None else f"{self.value:.4g}"
        demand = self.condition
        return f"{self.where}: {demand.name} {value}, not {demand.op} {demand.number:g}"


def parse_gate(text: str) -> tuple[Condition, ...]:
    """Read conditions separated by commas or ``and``; all of them must hold.

    A condition is ``NAME OP NUMBER``, or ``NAME[bits=4,layers=layer2.*] OP NUMBER`` for some rows only.
    Names, one value a row: ``snr`` (dB, of the better camp's best point), ``quant_snr``, ``prune_snr`` (dB),
    ``quant_gap``, ``prune_gap`` (dB from the best point to the proved ceiling), ``certified`` (1 or 0),
    ``seconds``; one value a run: ``coverage`` (share of the rows whose verdict is proved).

    Raises
    ------
    SpecError : not of this form

    >>> print(*parse_gate("snr >= 18 and quant_gap[bits=4]<2"))
    snr>=18 quant_gap[bits=4]<2
    """
    return tuple(map(_condition, split_list(re.sub(r"\s+and\s+", ",", text))))


def _condition(text: str) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise SpecError(f"a gate must read NAME OP NUMBER such as snr>=18, got {text!r}")
    name, options = _name(match["name"])
    number = _finite(match["number"], text)
    bits = _finite(options["bits"], text) if "bits" in options else None
    return Condition(name, match["op"], number, bits, options.get("layers", "*"))


def _name(text: str) -> tuple[str, dict[str, str]]:
    """Read a name and what stands in brackets behind it."""
    name, bracket, inside = text.partition("[")
    options = {}
    for part in split_list(inside.removesuffix("]")) if bracket else []:
        key, equals, value = part.partition("=")
        if key not in ("bits", "layers") or not equals:
            raise SpecError(f"a gate takes [bits=...,layers=...], got {text!r}")
        options[key] = value
    return name, options


def _finite(text: str, whole: str) -> float:
    try:
        number = float(text)
    except ValueError as error:
        raise SpecError(f"a gate must compare with a number, got {whole!r}") from error
    if not math.isfinite(number):
        raise SpecError(f"a gate must compare with a finite number, got {whole!r}")
    return number


def breaches(conditions: Sequence[Condition], rows: Sequence[Row]) -> list[Breach]:
    """Return what does not meet the conditions, the worst first; unknown values are the worst.

    >>> rows = [{"layer": "a", "bits": 4, "quant_snr_achieved_db": 17.0, "prune_snr_achieved_db": 9.0}]
    >>> print(*breaches(parse_gate("snr>=18"), rows))
    a at 4 bits: snr 17, not >= 18
    """
    found = [breach for condition in conditions for breach in _check(condition, condition.select(rows))]
    return sorted(found, key=lambda breach: -breach.excess)


def _check(condition: Condition, rows: Sequence[Row]) -> list[Breach]:
    if condition.name in _OF_RUN:
        values = [_OF_RUN[condition.name](row) or 0.0 for row in rows]
        share = math.fsum(values) / len(values)
        return [] if condition.meets(share) else [Breach(condition, "the run", share)]
    pairs = [(row, _OF_ROW[condition.name](row)) for row in rows]
    return [
        Breach(condition, f"{row['layer']} at {float(row['bits']):g} bits", value)
        for row, value in pairs
        if value is None or not condition.meets(value)
    ]


def require(conditions: Sequence[Condition], rows: Sequence[Row]) -> None:
    """Do nothing where every condition holds.

    Raises
    ------
    PvqError : one line with the number of breaches and the worst of them; also for a condition on no row
    """
    found = breaches(conditions, rows)
    if found:
        named = "; ".join(map(str, found[:_NAMED]))
        more = f"; {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        raise PvqError(f"--fail-under: {len(found)} missed, worst first: {named}{more}")


def _number(value: Any) -> Value:
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
    return float(value) if known else None

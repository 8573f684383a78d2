"""The columns of the report's table, for the page and for the Markdown beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pvq.figures.run import BoundRow
from pvq.figures.text import UNKNOWN, count, db

__all__ = ["COLUMNS", "Column", "columns_of"]

Value: TypeAlias = "float | None"


@dataclass(frozen=True)
class Column:
    """A column of numbers.

    Parameters
    ----------
    group : heading above it; columns of one group stand together
    name : its own heading
    value : what a row has there
    text : how that is written
    optional : whether a reader may hide it
    """

    group: str
    name: str
    value: Callable[[BoundRow], Value]
    text: Callable[[BoundRow], str]
    optional: bool = False

    @property
    def key(self) -> str:
        """Its name in links.

        >>> COLUMNS[1].key
        'quantize-reached'
        """
        return "-".join(f"{self.group} {self.name}".lower().split())


def _db(group: str, name: str, value: Callable[[BoundRow], Value], optional: bool = False) -> Column:
    return Column(group, name, value, lambda row: db(value(row)), optional)


def _whole(group: str, name: str, value: Callable[[BoundRow], Value]) -> Column:
    return Column(group, name, value, lambda row: count(value(row)), optional=True)


def _rows(row: BoundRow) -> str:
    return count(row.rows) if row.rows_total is None else f"{count(row.rows)} of {count(row.rows_total)}"


def _drift(row: BoundRow) -> str:
    return UNKNOWN if row.gram_drift is None else f"{100 * row.gram_drift:.1f} %"


COLUMNS = (
    _db("", "lead", lambda row: row.lead),
    _db("quantize", "reached", lambda row: row.quantize.achieved),
    _db("quantize", "at most", lambda row: row.quantize.at_most),
    _db("prune", "reached", lambda row: row.prune.achieved),
    _db("prune", "at most", lambda row: row.prune.at_most),
    _db("methods", "GPTQ", lambda row: row.quantize.standard.get("gptq"), optional=True),
    _db("methods", "OBQ", lambda row: row.quantize.standard.get("obq"), optional=True),
    _db("methods", "OBS", lambda row: row.prune.standard.get("obs"), optional=True),
    _db("weights", "kurtosis", lambda row: row.kurtosis, optional=True),
    _whole("weights", "inputs", lambda row: row.n),
    Column("weights", "rows", lambda row: row.rows, _rows, optional=True),
    _db("cost", "seconds", lambda row: row.seconds, optional=True),
    _whole("cost", "MB", lambda row: row.peak_mb),
    Column("held-out", "H moved", lambda row: row.gram_drift, _drift, optional=True),
    _db("held-out", "quantize", lambda row: row.quantize.fresh, optional=True),
    _db("held-out", "prune", lambda row: row.prune.fresh, optional=True),
)


def columns_of(rows: Sequence[BoundRow]) -> list[Column]:
    """Return the columns in which some row has a value; the first five always.

    >>> [column.name for column in columns_of([BoundRow("a", 4, kurtosis=3.0)])]
    ['lead', 'reached', 'at most', 'reached', 'at most', 'kurtosis']
    """
    return [c for c in COLUMNS if not c.optional or any(c.value(row) is not None for row in rows)]

"""What a figure is: arrays with their provenance, and how they are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pvq.provenance import provenance
from pvq.registry import Registry

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FIGURES", "Data", "Figure", "Table", "made", "table"]

Table: TypeAlias = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Data:
    """The arrays that a figure shows.

    Parameters
    ----------
    tables : named tables; a table maps column names to arrays of one shape (rows,)
    facts : single numbers or words that the figure states, JSON-ready
    provenance : how the arrays were made, see `pvq.provenance.provenance`
    """

    tables: Mapping[str, Table]
    facts: Mapping[str, Any]
    provenance: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not self.tables:
            raise ValueError("a figure's data must hold at least one table, got none")
        for name, columns in self.tables.items():
            _check(name, columns)

    def rows(self, name: str, **where: str | float) -> Table:
        """Return the rows of table `name` whose columns equal the given values.

        >>> data = Data({"t": table(curve=["a", "b"], y=[1.0, 2.0])}, {}, {})
        >>> data.rows("t", curve="b")["y"].tolist()
        [2.0]
        """
        columns = self.tables[name]
        keep = np.ones(len(next(iter(columns.values()))), dtype=bool)
        for key, value in where.items():
            keep &= columns[key] == value
        return {key: values[keep] for key, values in columns.items()}


@runtime_checkable
class Figure(Protocol):
    """A picture that is computed first and drawn second."""

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in inches."""
        ...

    @property
    def panels(self) -> tuple[int, int]:
        """Rows and columns of axes."""
        ...

    def compute(self) -> Data:
        """Return the arrays to show. Needs no plotting library."""
        ...

    def draw(self, data: Data, axes: Sequence[Axes]) -> None:
        """Draw `data` on the panels, row by row."""
        ...


FIGURES: Registry[Figure] = Registry("figure", "pvq.figures.gallery", Figure)


def table(**columns: Any) -> Table:
    """Return a table from columns that NumPy can read.

    >>> table(bits=[2, 3])["bits"].shape
    (2,)
    """
    return {name: np.asarray(values) for name, values in columns.items()}


def made(tables: Mapping[str, Table], facts: Mapping[str, Any] | None = None, **settings: Any) -> Data:
    """Return data stamped with the provenance of this very moment.

    >>> made({"t": table(x=[1.0])}, seed=1).provenance["settings"]
    {'seed': 1}
    """
    return Data(tables, facts or {}, provenance(**settings))


def _check(name: str, columns: Table) -> None:
    shapes = {np.shape(values) for values in columns.values()}
    if len(shapes) != 1 or len(shape := next(iter(shapes))) != 1 or shape[0] == 0:
        raise ValueError(f"table {name} must have non-empty columns of one length, got shapes {shapes}")
    for key, values in columns.items():
        if np.issubdtype(values.dtype, np.number) and not np.isfinite(values).all():
            raise ValueError(f"table {name}, column {key} must be finite, got {values[~np.isfinite(values)]}")

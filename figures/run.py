"""A stored bound run as a report reads it: rows whose gaps are named, and the manifest."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pvq.errors import MissingExtra, PvqError

__all__ = ["BoundRow", "BoundRun", "Camp", "read_run"]

_CAMPS = {"quantize": ("quant", "quant_nearest_snr_db"), "prune": ("prune", "prune_magnitude_snr_db")}
_TEXT = ("layer", "verdict", "note")
_NUMBERS = ("bits", "n", "rows", "rows_total", "seconds", "dead_inputs")


@dataclass(frozen=True)
class Camp:
    """What is known of one camp on one layer, in dB; None where nothing is.

    Parameters
    ----------
    achieved : signal-to-noise ratio that a found point reaches
    at_most : ratio that no point exceeds
    naive : ratio of rounding to nearest, or of keeping the largest weights
    """

    achieved: float | None = None
    at_most: float | None = None
    naive: float | None = None

    @property
    def gap(self) -> float | None:
        """How far the found point stays below the ceiling, in dB.

        >>> Camp(10.0, 12.5).gap
        2.5
        """
        return _difference(self.at_most, self.achieved)

    @property
    def gain(self) -> float | None:
        """What the found point gains over the naive one, in dB."""
        return _difference(self.achieved, self.naive)


@dataclass(frozen=True)
class BoundRow:
    """One layer at one bit width. Unknown numbers are None, never NaN."""

    layer: str
    bits: float
    verdict: str = ""
    quantize: Camp = field(default_factory=Camp)
    prune: Camp = field(default_factory=Camp)
    n: float | None = None
    rows: float | None = None
    rows_total: float | None = None
    certified: bool = False
    seconds: float | None = None
    dead_inputs: float | None = None
    note: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def weights(self) -> float:
        """Number of weights of the whole layer: inputs per row times rows; 0 if unknown."""
        return (self.n or 0) * (self.rows_total or self.rows or 0)

    @property
    def bounded_weights(self) -> float:
        """Number of weights in the rows that were bounded; 0 if unknown."""
        return (self.n or 0) * (self.rows or 0)

    @property
    def camp(self) -> str:
        """``quantize``, ``prune``, ``open``, or ``failed`` where the row carries no verdict."""
        word = self.verdict.partition(" ")[0]
        return word if word in ("quantize", "prune", "open") else "failed"

    @property
    def proved(self) -> bool:
        """Whether the verdict is proved."""
        return self.camp in _CAMPS and self.verdict.endswith("(proved)")

    @property
    def lead(self) -> float | None:
        """What the better camp has achieved less the other's ceiling, in dB; above 0 it is a proof."""
        leads = (
            _difference(self.quantize.achieved, self.prune.at_most),
            _difference(self.prune.achieved, self.quantize.at_most),
        )
        return max((lead for lead in leads if lead is not None), default=None)


@dataclass(frozen=True)
class BoundRun:
    """The rows and the manifest of one `pvq bounds` run."""

    rows: tuple[BoundRow, ...]
    manifest: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not self.rows:
            raise PvqError("a report needs at least one row of bounds, got none")

    @property
    def bits(self) -> tuple[float, ...]:
        """The bit widths of the run, increasing."""
        return tuple(sorted({row.bits for row in self.rows}))

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers of the run, in the order of the rows."""
        return tuple(dict.fromkeys(row.layer for row in self.rows))


def read_run(run_dir: str | Path) -> BoundRun:
    """Return the run stored in `run_dir`: bounds.parquet or bounds.json, and manifest.json.

    Raises
    ------
    PvqError : a file is missing or cannot be read, a row has no layer or no bit width, there is no row, the
        manifest names no model, the two tables disagree
    """
    folder = Path(run_dir)
    manifest = _read_json(folder / "manifest.json")
    if not isinstance(manifest, Mapping):
        raise PvqError(f"{folder / 'manifest.json'} must hold one JSON object, got {type(manifest).__name__}")
    if not manifest.get("model"):
        raise PvqError(f"{folder / 'manifest.json'} must name the model of the run, it has no 'model'")
    return BoundRun(tuple(_row(raw) for raw in _read_rows(folder)), manifest)


def _read_rows(folder: Path) -> list[dict[str, Any]]:
    """Read the parquet table where it can be read, since JSON has no infinity, else the JSON rows."""
    table, text = folder / "bounds.parquet", folder / "bounds.json"
    if not text.exists():
        if not table.exists():
            raise PvqError(f"{folder} must hold bounds.json or bounds.parquet, found neither")
        return _read_parquet(table)
    if not table.exists() or find_spec("pyarrow") is None:
        return _read_json_rows(text)
    from pvq.empirical.run_folder import finite_rows

    rows = _read_parquet(table)
    if finite_rows(rows) != finite_rows(_read_json_rows(text)):
        raise PvqError(f"{folder}: bounds.parquet and bounds.json disagree; run: pvq verify {folder}")
    return rows


def _read_json_rows(text: Path) -> list[dict[str, Any]]:
    rows = _read_json(text)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise PvqError(f"{text} must hold a JSON array of objects")
    return rows


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise MissingExtra("pyarrow", "figures") from error
    try:
        rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    except (OSError, ArrowException) as error:
        raise PvqError(f"{path} cannot be read: {error}") from error
    return rows


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PvqError(f"{path} cannot be read: {error}") from error


def _row(raw: Mapping[str, Any]) -> BoundRow:
    """Read one row; every field may be null but the layer and the bit width."""
    numbers = {key: _number(raw.get(key)) for key in _NUMBERS}
    bits = numbers.pop("bits")
    if bits is None or raw.get("layer") is None:
        raise PvqError(f"a row of bounds must name its layer and bits, got {dict(raw)}")
    text = {key: _text(raw.get(key)) for key in _TEXT}
    camps = {name: _camp(raw, prefix, naive) for name, (prefix, naive) in _CAMPS.items()}
    certified = raw.get("certified") is True
    return BoundRow(bits=bits, certified=certified, more=_more(raw), **text, **numbers, **camps)  # type: ignore[arg-type]


def _camp(raw: Mapping[str, Any], prefix: str, naive: str) -> Camp:
    keys = (f"{prefix}_snr_achieved_db", f"{prefix}_snr_at_most_db", naive)
    return Camp(*(_number(raw.get(key)) for key in keys))


def _more(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that this page does not know, so that none is lost."""
    known = {*_TEXT, *_NUMBERS, "certified"}
    for prefix, naive in _CAMPS.values():
        known |= {f"{prefix}_snr_achieved_db", f"{prefix}_snr_at_most_db", naive}
    return {key: value for key, value in raw.items() if key not in known and _text(value)}


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        return None
    return float(value)


def _text(value: Any) -> str:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if missing else str(value)


def _difference(a: float | None, b: float | None) -> float | None:
    """Return a - b, None where either is unknown or the difference says nothing (inf - inf)."""
    if a is None or b is None or math.isnan(a - b):
        return None
    return a - b

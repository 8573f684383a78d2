"""Read a stored bound run: bounds.parquet or bounds.json, and manifest.json."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pvq.errors import MissingExtra, PvqError
from pvq.figures.run import BoundRow, BoundRun, Camp

__all__ = ["read_run"]

_CAMPS = {"quantize": "quant", "prune": "prune"}
_NAIVE = {"quantize": "quant_nearest_snr_db", "prune": "prune_magnitude_snr_db"}
_STANDARD = {"quantize": ("gptq", "obq"), "prune": ("obs",)}  # columns such as quant_gptq_snr_db
_TEXT = ("layer", "kind", "verdict", "note")
_NUMBERS = (
    "bits", "n", "rows", "rows_total", "seconds", "dead_inputs", "n_weights", "kurtosis", "peak_mb",
    "gram_drift",
)  # fmt: skip


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
    raw = _read_rows(folder)
    return BoundRun(tuple(map(_row, raw)), manifest, tuple(raw))


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
    camps = {camp: _camp(raw, camp) for camp in _CAMPS}
    certified = raw.get("certified") is True
    return BoundRow(bits=bits, certified=certified, more=_more(raw), **text, **numbers, **camps)  # type: ignore[arg-type]


def _camp(raw: Mapping[str, Any], camp: str) -> Camp:
    achieved, at_most, naive, fresh, *standard = (_number(raw.get(key)) for key in _camp_keys(camp))
    named = zip(_STANDARD[camp], standard, strict=True)
    return Camp(achieved, at_most, naive, fresh, {name: value for name, value in named if value is not None})


def _camp_keys(camp: str) -> list[str]:
    """Return the columns of a camp in the order of `Camp`'s fields."""
    prefix = _CAMPS[camp]
    keys = [f"{prefix}_snr_achieved_db", f"{prefix}_snr_at_most_db", _NAIVE[camp], f"{prefix}_snr_fresh_db"]
    return keys + [f"{prefix}_{name}_snr_db" for name in _STANDARD[camp]]


def _more(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that this page does not know, so that none is lost."""
    known = {*_TEXT, *_NUMBERS, "certified"}.union(*map(_camp_keys, _CAMPS))
    return {key: value for key, value in raw.items() if key not in known and _text(value)}


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        return None
    return float(value)


def _text(value: Any) -> str:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if missing else str(value)

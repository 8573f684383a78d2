"""The folder of a bound run: results of tasks, certificates, Gram matrices, the table and the manifest."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pvq.empirical.atomic import write_bytes, write_text
from pvq.empirical.store import RecordStore
from pvq.empirical.tasks import Task, run_task
from pvq.errors import MissingExtra
from pvq.provenance import provenance

__all__ = ["RunFolder"]


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps what it has.

    Parameters
    ----------
    path : made when first written to
    """

    path: Path

    @property
    def grams(self) -> Path:
        """Folder of the Gram matrices."""
        return self.path / "grams"

    @property
    def tasks(self) -> RecordStore:
        """Store of the tasks' results."""
        return RecordStore(self.path / "tasks")

    def clear(self) -> None:
        """Remove what a run would otherwise go on from."""
        for name in ("tasks", "certificates", "grams"):
            shutil.rmtree(self.path / name, ignore_errors=True)

    def result(self, task: Task) -> dict[str, Any] | None:
        """Return the stored result of a task, None if there is none or it is damaged."""
        return self.tasks.get(task.key)

    def run(self, task: Task) -> None:
        """Solve a task and store its result; called in whatever process the task was sent to."""
        self.tasks.put(task.key, run_task(task))

    def write_table(self, rows: Sequence[Mapping[str, Any]], description: Mapping[str, Any]) -> None:
        """Write bounds.parquet, bounds.json (infinite values as null) and manifest.json."""
        write_bytes(self.path / "bounds.parquet", _parquet(rows))
        finite = [{key: _json_number(value) for key, value in row.items()} for row in rows]
        write_text(self.path / "bounds.json", json.dumps(finite, indent=1, allow_nan=False))
        manifest = {**description, **provenance(), "rows": len(rows)}
        write_text(self.path / "manifest.json", json.dumps(manifest, indent=1, default=str))


def _json_number(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the rows as a Parquet file whose column types do not depend on what is missing."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra("pyarrow", "torch") from error
    table = pa.table({name: pa.array([row[name] for row in rows], _type(pa, name)) for name in rows[0]})
    buffer = pa.BufferOutputStream()
    parquet.write_table(table, buffer)
    data: bytes = buffer.getvalue().to_pybytes()
    return data


_TEXT = {"layer", "kind", "verdict", "note", "quant_set", "prune_set", "quant_method", "prune_method"}
_WHOLE = {"n", "rows", "rows_total", "dead_inputs"}


def _type(pa: Any, name: str) -> Any:
    if name in _TEXT:
        return pa.string()
    if name in _WHOLE:
        return pa.int64()
    return pa.bool_() if name == "certified" else pa.float64()

"""The folder of a bound run: results of tasks, certificates, Gram matrices, the table and the manifest."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from pvq.empirical.atomic import write_bytes, write_text
from pvq.empirical.model import file_sha256
from pvq.empirical.points import SUFFIX as POINTS
from pvq.empirical.points import encode_points, gram_file, save_gram
from pvq.empirical.shared_grams import LayerGrams
from pvq.empirical.store import RecordStore
from pvq.empirical.tasks import Task, run_task
from pvq.errors import MissingExtra
from pvq.provenance import provenance
from pvq.solvers.certificate_files import SUFFIX as CLAIMS
from pvq.solvers.certificate_files import encode_claims
from pvq.solvers.gram import digest_of

__all__ = ["RunFolder", "TaskFiles", "finite_rows", "solve_task"]


@dataclass(frozen=True)
class TaskFiles:
    """What a task gives, ready to be written.

    Parameters
    ----------
    record : for the store of records; names the files
    files : content of certificates and points, by name
    grams : by group of the layer, the content hash of the H that the files refer to
    """

    record: Mapping[str, Any]
    files: Mapping[str, bytes]
    grams: Mapping[int, str]


def solve_task(task: Task, grams: LayerGrams | None = None) -> TaskFiles:
    """Solve a task, wherever it was sent to; nothing is written there.

    Parameters
    ----------
    grams : the layer's; read from where the task says if None
    """
    solved = run_task(task, grams)
    layer = re.sub(r"[^A-Za-z0-9._-]+", "-", task.layer)
    stem = f"{layer}-{task.bits:g}bit-{task.camp}-{task.key[:12]}"
    files = {stem + POINTS: encode_points(solved.points)}
    if solved.claims:
        files[stem + CLAIMS] = encode_claims(solved.claims)
    used = {group: point.problem.gram.digest for group, point in zip(task.groups, solved.points, strict=True)}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    digests |= {gram_file(digest): "" for digest in sorted(set(used.values()))}
    about = {"layer": task.layer, "bits": task.bits, "camp": task.camp, "set": task.feasible}
    return TaskFiles({**about, "files": digests, "rows": solved.rows}, files, used)


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

    @property
    def certificates(self) -> Path:
        """Folder of the certificates, which `pvq verify` reads."""
        return self.path / "certificates"

    def result(self, task: Task) -> dict[str, Any] | None:
        """Return the stored result of a task; None if there is none, it or one of its files is damaged, or it
        contradicts itself.
        """
        record = self.tasks.get(task.key)
        if record is None or not all(self.intact(name, digest) for name, digest in record["files"].items()):
            return None
        return record if all(map(_consistent, record["rows"])) else None

    def store(self, task: Task, solved: TaskFiles) -> None:
        """Write what a task gave.

        Certificates, points and each H are written before the record that names them, so that a record is
        never without.

        Raises
        ------
        OSError : they cannot be written, the disk being full for one
        """
        self._store_grams(task, solved.grams)
        for name, content in solved.files.items():
            write_bytes(self.certificates / name, content)
        self.tasks.put(task.key, solved.record)

    def _store_grams(self, task: Task, digests: Mapping[int, str]) -> None:
        """Write each H of a task, by its group, that is not there or damaged."""
        missing = [group for group, digest in digests.items() if not self.intact(gram_file(digest), "")]
        for group in missing:
            (self.certificates / gram_file(digests[group])).unlink(missing_ok=True)
            save_gram(self.certificates, task.shared.load()[group])

    def intact(self, name: str, digest: str) -> bool:
        """Return whether a certificate has its digest, or a Gram file the content that its name promises."""
        path = self.certificates / Path(name).name
        if not path.is_file():
            return False
        return file_sha256(path) == digest if digest else _gram_intact(path, path.stat().st_mtime_ns)

    def write_table(
        self,
        rows: Sequence[Mapping[str, Any]],
        sources: Sequence[Mapping[str, Any]],
        description: Mapping[str, Any],
    ) -> None:
        """Write bounds.parquet, bounds.json (infinite values as null), sources.json and manifest.json.

        Parameters
        ----------
        sources : for each row, by camp, the keys of the tasks that it is the sum of
        """
        write_bytes(self.path / "bounds.parquet", _parquet(rows))
        write_text(self.path / "bounds.json", json.dumps(finite_rows(rows), indent=1, allow_nan=False))
        write_text(self.path / "sources.json", json.dumps(list(sources), indent=1))
        manifest = {**description, **provenance(), "rows": len(rows)}
        write_text(self.path / "manifest.json", json.dumps(manifest, indent=1, default=str))


def finite_rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows as bounds.json holds them: numbers that are not finite are None."""
    return [{key: _json_number(value) for key, value in row.items()} for row in rows]


def _consistent(row: Mapping[str, Any]) -> bool:
    """Return whether no number of a row's record contradicts another."""
    lower, upper = row["error_lower"], row["error_upper"]
    ordered = lower is None or upper is None or lower <= upper
    return bool(ordered and row["signal_lower"] <= row["signal_upper"])


@lru_cache(maxsize=4096)
def _gram_intact(path: Path, modified: int) -> bool:
    """Return whether the H in a file has the content hash in its name; `modified` makes a new answer due."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            return path.name == gram_file(digest_of(stored["H"]))
    except Exception:  # whatever a damaged zip file makes of itself
        return False


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


_TEXT = {
    "layer", "kind", "verdict", "note", "quant_set", "prune_set", "quant_method", "prune_method",
    "quant_bound", "prune_bound",
}  # fmt: skip
_WHOLE = {"n", "rows", "rows_total", "n_weights", "stage", "dead_inputs"}


def _type(pa: Any, name: str) -> Any:
    if name in _TEXT:
        return pa.string()
    if name in _WHOLE:
        return pa.int64()
    return pa.bool_() if name == "certified" else pa.float64()

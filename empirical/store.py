"""Results on disk under a key made of their content: written whole or not at all, checked when read."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pvq.empirical.atomic import write_bytes

__all__ = ["ArrayStore", "RecordStore", "content_key"]


def content_key(content: Mapping[str, Any], *arrays: NDArray[Any]) -> str:
    """Return 40 hexadecimal digits that depend on every value of `content` and every bit of the arrays.

    Parameters
    ----------
    content : anything that JSON can hold; the order of keys does not matter
    arrays : hashed with their types and shapes

    >>> content_key({"bits": 4, "seed": 0}) == content_key({"seed": 0, "bits": 4})
    True
    >>> content_key({}, np.zeros(2)) == content_key({}, np.zeros(3))
    False
    """
    digest = hashlib.sha256(_canonical(content))
    for array in arrays:
        digest.update(f"|{array.dtype.str}{array.shape}|".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:40]


def _canonical(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True)
class RecordStore:
    """JSON records, one file each.

    Parameters
    ----------
    folder : made when first written to
    """

    folder: Path

    def path(self, key: str) -> Path:
        """Return where the record of `key` lies."""
        return self.folder / f"{key}.json"

    def put(self, key: str, record: Mapping[str, Any]) -> None:
        """Write a record; floats come back bit for bit."""
        digest = hashlib.sha256(_canonical(record)).hexdigest()
        text = json.dumps({"key": key, "sha256": digest, "record": record}, indent=1)
        write_bytes(self.path(key), text.encode())

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the record, None if it is absent, truncated or altered, or belongs to another key."""
        try:
            stored = json.loads(self.path(key).read_bytes())
            record: dict[str, Any] = stored["record"]
            intact = hashlib.sha256(_canonical(record)).hexdigest() == stored["sha256"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return record if intact and stored.get("key") == key else None


@dataclass(frozen=True)
class ArrayStore:
    """Named arrays, one ``.npz`` file a key.

    Parameters
    ----------
    folder : made when first written to
    """

    folder: Path

    def path(self, key: str) -> Path:
        """Return where the arrays of `key` lie."""
        return self.folder / f"{key}.npz"

    def put(self, key: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write arrays together with a digest of their content."""
        buffer = io.BytesIO()
        np.savez(buffer, sha256=np.array(_digest(arrays)), **arrays)  # type: ignore[arg-type]
        write_bytes(self.path(key), buffer.getvalue())

    def get(self, key: str) -> dict[str, NDArray[Any]] | None:
        """Return the arrays, None if they are absent, truncated or altered."""
        try:
            data = io.BytesIO(self.path(key).read_bytes())
            with np.load(data, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            digest = str(arrays.pop("sha256"))
        except Exception:  # whatever a damaged zip file makes of itself
            return None
        return arrays if digest == _digest(arrays) else None


def _digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    names = sorted(arrays)
    return content_key({"names": names}, *(arrays[name] for name in names))

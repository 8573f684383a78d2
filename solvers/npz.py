"""Npz files: written without pickling, read although they may be damaged or malicious."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pvq.errors import PvqError

__all__ = ["npz_bytes", "read_npz"]


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return what an npz file of these arrays holds, the same for the same arrays.

    >>> npz_bytes({"a": np.ones(2)}) == npz_bytes({"a": np.ones(2)})
    True
    """
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def read_npz(path: str | Path) -> dict[str, NDArray[Any]]:
    """Return all arrays of an npz file; nothing is ever unpickled.

    Raises
    ------
    PvqError : the file is missing, of another kind, damaged, or holds pickled objects
    """
    try:
        with Path(path).open("rb") as stream:
            stored = np.load(stream, allow_pickle=False)
            if isinstance(stored, np.lib.npyio.NpzFile):
                with stored:
                    return {name: stored[name] for name in stored.files}
    except Exception as error:  # a damaged archive raises whatever the byte it stumbles over leads to
        raise PvqError(f"{path} cannot be read as an npz file: {error}") from error
    raise PvqError(f"{path} is not an npz file")

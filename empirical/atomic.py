"""Files that are either the old or the new one, never half of each."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["write_bytes", "write_text"]


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to a neighbour of `path`, bring it to the disk, and rename it over `path`.

    Raises
    ------
    OSError : the folder cannot be made or written; `path` is then untouched
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Do as `write_bytes` with text in UTF-8."""
    write_bytes(path, text.encode())

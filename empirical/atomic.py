"""Files that are either the old or the new one, never half of each."""

from __future__ import annotations

import os
from pathlib import Path

from pvq.errors import PvqError

__all__ = ["CannotWrite", "write_bytes", "write_text"]


class CannotWrite(PvqError, OSError):
    """A file cannot be written; the message says which and why."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(error.errno, f"{path} cannot be written: {error.strerror or error}")

    def __str__(self) -> str:
        """Return the message without the number."""
        return str(self.strerror)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to a neighbour of `path`, bring it to the disk, and rename it over `path`.

    Raises
    ------
    CannotWrite : the folder cannot be made or written, or the disk is full; `path` is then untouched
    """
    try:
        _write(path, data)
    except OSError as error:
        raise CannotWrite(path, error) from error


def _write(path: Path, data: bytes) -> None:
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

"""One run in a folder at a time."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from pvq.errors import PvqError

__all__ = ["run_lock"]

NAME = "lock"


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold a folder, made if it is not there, and remove what a killed run was writing.

    The lock is the operating system's on the file ``lock``, so it ends with its process however that ends;
    the process's number and machine stand in the file for those who are refused.

    Raises
    ------
    PvqError : another process, or this one, holds it
    OSError : the folder cannot be written
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    with path.open("a+", encoding="utf-8") as file:
        if not _take(file):
            raise PvqError(f"{_holder(path)} is running in {folder}; wait for it or choose another folder")
        try:
            _sign(file)
            _sweep(folder)
            yield
        finally:
            with suppress(OSError):  # a full disk, say: what has to be told of is told of elsewhere
                file.truncate(0)


def _take(file: IO[Any]) -> bool:
    """Lock a file unless it is locked; where there are no such locks, go on without."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _sign(file: IO[str]) -> None:
    file.truncate(0)
    json.dump({"pid": os.getpid(), "machine": socket.gethostname()}, file)
    file.flush()


def _holder(path: Path) -> str:
    try:
        signed = json.loads(path.read_text(encoding="utf-8"))
        return f"process {signed['pid']} on {signed['machine']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _sweep(folder: Path) -> None:
    """Remove the unfinished files of runs that were killed."""
    for pattern in (".*.tmp", ".part-*"):
        for path in folder.rglob(pattern):
            with suppress(OSError):
                path.unlink()

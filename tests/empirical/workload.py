"""What tests of executors run in other processes, which import it by this name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def die(_: object) -> None:
    """End as a process does that the system kills."""
    os.kill(os.getpid(), signal.SIGKILL)


def leave_line(path: Path) -> str:
    """Add a line to a file, after a while; the first time, end the process if the file is called `once`."""
    first = not path.exists()
    with path.open("a") as file:
        file.write("begun\n")
    if first and path.name == "once":
        die(None)
    time.sleep(0.3)
    return path.name


def threads(_: object) -> list[int]:
    """Return how many threads each library of linear algebra, and numba, would take."""
    import numba
    import numpy as np
    import scipy.linalg
    from threadpoolctl import threadpool_info

    scipy.linalg.cholesky(np.eye(2))
    return [pool["num_threads"] for pool in threadpool_info()] + [numba.get_num_threads()]


def with_shared(item: int, shared: list[int]) -> tuple[int, int, int]:
    """Return the item, what it shares, and where that lies."""
    return item, shared[0], os.getpid()


def load(folder: Path, key: str) -> list[int]:
    """Note that a shared value is loaded, and by whom; as the real ones do, remember it."""
    if key not in _KEPT:
        with (folder / key).open("a") as file:
            file.write(f"{os.getpid()}\n")
        _KEPT[key] = [ord(key)]
    return _KEPT[key]


_KEPT: dict[str, list[int]] = {}

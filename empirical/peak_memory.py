"""The most memory that a process held while something ran, where the platform tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["peak_memory"]

_PROCESS = Path("/proc/self")
RESET_PEAK = "5"  # proc(5): writing it to clear_refs sets VmHWM back to what is resident now


@contextmanager
def peak_memory() -> Iterator[Callable[[], float | None]]:
    """Give a function that returns the peak resident memory of this process since now, in MB (10^6 bytes).

    Linux only; the function returns None elsewhere, and where the peak cannot be set back.

    >>> with peak_memory() as peak:
    ...     held = bytearray(50_000_000)
    >>> peak() is None or peak() > 50
    True
    """
    reset = False
    with suppress(OSError):
        (_PROCESS / "clear_refs").write_text(RESET_PEAK)
        reset = True
    yield lambda: _high_water() if reset else None


def _high_water() -> float | None:
    with suppress(OSError):
        for line in (_PROCESS / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024 / 1e6
    return None

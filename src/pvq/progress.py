"""How long work tells its caller that it goes on."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Progress"]


class Progress(Protocol):
    """Called as work goes on: `done` of `total` steps, and what is being done."""

    def __call__(self, done: int, total: int, label: str = "") -> None:
        """Show it."""
        ...

"""One comparison: several methods on one problem."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Case"]


@dataclass(frozen=True)
class Case:
    """Methods that take turns on one problem.

    Parameters
    ----------
    suite : what it is for
    source : where the problem comes from, see `raw_problem`
    n : number of weights
    seed : of the problem
    set : spec of the feasible set
    methods : specs; every time is compared with that of the first
    seconds : limit of one run of one method
    tolerance : at which our relaxations stop
    rounds : how often the methods take turns; a method slower than a few seconds runs once

    >>> Case("demo", "conv", 9, 0, "int[bits=3]", ())
    Traceback (most recent call last):
    ValueError: methods must name at least one method, got none
    """

    suite: str
    source: str
    n: int
    seed: int
    set: str
    methods: tuple[str, ...]
    seconds: float | None = 60.0
    tolerance: float = 1e-3
    rounds: int = 3

    def __post_init__(self) -> None:
        if not self.methods:
            raise ValueError("methods must name at least one method, got none")
        if self.n < 1 or self.rounds < 1:
            raise ValueError(f"n and rounds must be at least 1, got {self.n} and {self.rounds}")

    def facts(self) -> dict[str, Any]:
        """Return the fields, fit for JSON."""
        return asdict(self) | {"methods": list(self.methods)}

    def key(self, code: str) -> str:
        """Return a name for the result: the same for the same case and the same code.

        Parameters
        ----------
        code : what the result depends on beside the case, such as versions
        """
        content = json.dumps([self.facts(), code], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:24]

    @property
    def label(self) -> str:
        """The case in words, for a progress bar."""
        return f"{self.source} n={self.n} {self.set} seed {self.seed}"

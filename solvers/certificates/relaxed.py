"""A proof for a larger set, which holds for every set inside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pvq.solvers.feasible import FeasibleSet
from pvq.solvers.outcome import CERTIFICATES, Certificate
from pvq.solvers.problem import LayerProblem

__all__ = ["Relaxable", "RelaxedCertificate"]


@runtime_checkable
class Relaxable(Protocol):
    """A feasible set that knows larger ones."""

    @property
    def n(self) -> int:
        """Number of weights."""
        ...

    def relaxations(self) -> Mapping[str, FeasibleSet]:
        """Return sets that hold every point of this one, by name; made from this one alone."""
        ...


@CERTIFICATES.register("relaxed")
@dataclass(frozen=True, eq=False)
class RelaxedCertificate:
    """Lower bound over a set by a proof for a larger one.

    The larger set is never stored: it is made from the set at hand, so that the proof cannot bring its own.

    Parameters
    ----------
    relaxation : name of the larger set among the relaxations of the set at hand
    inner : proves a lower bound over it

    >>> from pvq.solvers.certificates.finite import FiniteCertificate
    >>> from pvq.solvers.feasible import fit_set
    >>> problem = LayerProblem(np.eye(1), np.array([0.25]))
    >>> inner = FiniteCertificate(problem.digest, np.ones(1), np.zeros(1))
    >>> feasible = fit_set("joint[bits=2,density=1,scale=1]", problem.w)
    >>> round(RelaxedCertificate("finite", inner).bound(problem, feasible), 12)
    0.0625
    """

    relaxation: str
    inner: Certificate

    def bound(self, problem: LayerProblem, feasible: FeasibleSet, slack: float = 1.0) -> float:
        """Return the proved lower bound, -inf if nothing is proved."""
        if not (isinstance(feasible, Relaxable) and feasible.n == problem.n):
            return -np.inf
        larger = feasible.relaxations().get(self.relaxation)
        return -np.inf if larger is None else self.inner.bound(problem, larger, slack)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Return what the inner proof stores."""
        return self.inner.arrays()

    def facts(self) -> dict[str, Any]:
        """Return the name of the larger set, and kind and facts of the inner proof."""
        inner = {"kind": CERTIFICATES.name_of(self.inner), **self.inner.facts()}
        return {"relaxation": self.relaxation, "inner": inner}

    @classmethod
    def restore(cls, problem: str, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Self:
        """Return the certificate that was stored."""
        kind = CERTIFICATES.get(facts["inner"]["kind"])
        if kind is cls:
            raise ValueError("inner must be a proof of another kind, got relaxed")
        return cls(facts["relaxation"], kind.restore(problem, arrays, facts["inner"]))  # type: ignore[attr-defined]

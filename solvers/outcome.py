"""What a solver hands back: a point, evidence, and why it stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, Self, runtime_checkable

from numpy.typing import NDArray

from pvq.arrays import F64
from pvq.registry import Registry

from .feasible import FeasibleSet
from .problem import LayerProblem

__all__ = ["CERTIFICATES", "Certificate", "Outcome", "Status"]


class Status(Enum):
    """Why a solver stopped, as a sentence."""

    OPTIMAL = "the point is optimal: its error meets the proved bound"
    BOUND = "converged to the bound of this relaxation"
    FEASIBLE = "a feasible point without proof of its quality"
    TIME_LIMIT = "stopped by the time limit; the bounds reached until then hold"
    ITERATION_LIMIT = "stopped by the iteration limit; the bounds reached until then hold"
    STALLED = "no further progress in floating point; the bounds reached until then hold"
    REFUSED = "this method does not apply to this problem and set"
    FAILED = "the numerics broke down before any result"


@runtime_checkable
class Certificate(Protocol):
    """Evidence for a lower bound, checked without the solver that made it."""

    def bound(self, problem: LayerProblem, feasible: FeasibleSet, slack: float = 1.0) -> float:
        """Return a lower bound of the error over the set, re-proved from scratch; -inf if it proves nothing.

        Parameters
        ----------
        slack : factor on every rounding-error allowance, at least 1
        """
        ...

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Return the numbers to store."""
        ...

    def facts(self) -> Mapping[str, Any]:
        """Return what else to store, fit for JSON."""
        ...

    @classmethod
    def restore(cls, problem: str, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Self:
        """Return the certificate that was stored for the problem with this content hash.

        Raises
        ------
        KeyError, TypeError, ValueError : something is missing or of the wrong kind
        """
        ...


CERTIFICATES: Registry[Certificate] = Registry("certificate", "pvq.solvers.certificates", Certificate)


@dataclass(frozen=True, eq=False)
class Outcome:
    """A solver's answer; `solve` prices the point and re-proves the certificate.

    Parameters
    ----------
    status : why it stopped
    point : (n,) feasible weights, None where the method gives none
    certificate : evidence for a lower bound, None where the method gives none
    iterations : of the method's main loop
    notes : remarks for the reader, such as a refusal's reason
    """

    status: Status
    point: F64 | None = None
    certificate: Certificate | None = None
    iterations: int = 0
    notes: str = ""

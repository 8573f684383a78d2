"""What a compression plan says: a format for every layer, what it costs, and what is proved of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pvq.solvers.stored_format import Cost, Decision, Storage

__all__ = ["SCHEMA", "VERSION", "ErrorSource", "Interval", "Plan", "PlannedLayer", "Totals"]

SCHEMA, VERSION = "pvq-plan", 1
ErrorSource: TypeAlias = Literal["weights", "run", "sampled run"]


@dataclass(frozen=True)
class Interval:
    """Two numbers that enclose one which is not negative."""

    lower: float
    upper: float

    def __post_init__(self) -> None:
        if not 0 <= self.lower <= self.upper < math.inf:
            raise ValueError(f"an interval must fulfil 0 <= lower <= upper < inf, got {self}")


@dataclass(frozen=True)
class PlannedLayer:
    """How one layer is stored.

    Parameters
    ----------
    name : of the layer, its tensor's in the state dict without a trailing ``.weight``
    camp : quantize, prune or keep
    format : spec of the storage format
    shape : rows (output channels) and weights of a row
    cost : bits
    error : of the stored weights
    factor : what the error counts in the objective
    scales : factors of the integers: none, one, or one for each row
    """

    name: str
    camp: Decision
    format: str
    shape: tuple[int, int]
    cost: Cost
    error: Interval
    factor: Interval
    scales: tuple[float, ...] = ()

    @property
    def n_weights(self) -> int:
        """Number of weights."""
        return self.shape[0] * self.shape[1]


@dataclass(frozen=True)
class Totals:
    """What a plan comes to.

    Parameters
    ----------
    weights : of all planned layers
    budget_bits : what the plan may cost
    bits : what it costs
    objective : sum over the layers of factor times error, rounded up
    bound : no plan from the same menu within the budget has a smaller objective; None where nothing is proved
    optimal : no plan from the menu has a smaller objective as far as the errors are known
    """

    weights: int
    budget_bits: int
    bits: int
    objective: float
    bound: float | None
    optimal: bool

    def __post_init__(self) -> None:
        if not 0 <= self.bits <= self.budget_bits:
            raise ValueError(f"bits must lie in [0, budget_bits = {self.budget_bits}], got {self.bits}")
        if self.bound is not None and not 0 <= self.bound <= self.objective:
            raise ValueError(f"bound must lie in [0, objective = {self.objective}], got {self.bound}")

    @property
    def gap(self) -> float | None:
        """How far the objective may lie above the least one, relative to the objective; None if unknown."""
        if self.bound is None:
            return None
        return 1.0 - self.bound / self.objective if self.objective else 0.0

    @property
    def bits_per_weight(self) -> float:
        """Average bits of a weight."""
        return self.bits / self.weights


@dataclass(frozen=True)
class Plan:
    """A recipe for storing a network.

    Parameters
    ----------
    model : name on the command line
    sha256 : of the file that its weights come from
    objective : relative, absolute or hessian
    errors : ``weights``, exact from the weights alone; ``run``, from all rows of a bound run; ``sampled
        run``, estimated from some of them
    storage : what all layers share
    totals : budget, cost, objective and bound
    layers : in the order of the network
    run : folder of the bound run that holds the weights, empty if errors are those of the weights
    note : remarks
    pvq : version that made the plan
    schema, version : of the file format
    """

    model: str
    sha256: str
    objective: str
    errors: ErrorSource
    storage: Storage
    totals: Totals
    layers: tuple[PlannedLayer, ...]
    run: str = ""
    note: str = ""
    pvq: str = ""
    schema: str = SCHEMA
    version: int = VERSION

    def __post_init__(self) -> None:
        if (self.schema, self.version) != (SCHEMA, VERSION):
            raise ValueError(f"schema must be {SCHEMA} {VERSION}, got {self.schema} {self.version}")
        if not self.layers:
            raise ValueError("layers must hold at least one, got none")
        sums = (sum(layer.n_weights for layer in self.layers), sum(layer.cost.bits for layer in self.layers))
        if sums != (self.totals.weights, self.totals.bits):
            raise ValueError(
                f"totals must be those of the layers, {sums[0]} weights and {sums[1]} bits, "
                f"got {self.totals.weights} and {self.totals.bits}"
            )
        names = [layer.name for layer in self.layers]
        if len(set(names)) < len(names):
            raise ValueError("layers must have different names")

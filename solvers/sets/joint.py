"""Levels that cost bits, under a budget: prune and quantize at once, ``joint[bits=4,budget=2.0]``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import F64, I64, as_f64
from pvq.solvers.feasible import SETS, STORED_SETS, FeasibleSet, FiniteSet, SparseSet
from pvq.solvers.gram import digest_of
from pvq.solvers.knapsack import MOST_ENTRIES, cheapest_classes, table_entries
from pvq.solvers.problem import LayerProblem
from pvq.theory.budget import Mask, density_at
from pvq.theory.codebook import Codebook
from pvq.theory.scale import ScaleRule

from .integer import Integer
from .sparse import Sparse

__all__ = ["Joint", "JointSet"]

LARGEST_COST = 2**31


@STORED_SETS.register("joint")
@dataclass(frozen=True, eq=False)
class JointSet:
    """Every weight is a level of the grid, and the levels taken cost at most the budget in all.

    Parameters
    ----------
    n : number of weights
    grid : levels of each weight, with or without scales
    costs : (L,) whole numbers >= 0, what a weight at level l costs, in bits for instance
    budget : whole number, at least n times the cheapest level

    Raises
    ------
    ValueError : costs that do not fit the levels, a budget that pays for no vector, more than two different
        costs in units so fine that `nearest` would need a table of over 2^28 entries

    >>> grid = FiniteSet(Codebook(np.array([-1.0, 0.0, 1.0])))
    >>> JointSet(3, grid, np.array([2, 0, 2]), 2).nearest(np.array([0.6, -0.9, 0.2]))
    array([ 0., -1.,  0.])
    """

    n: int
    grid: FiniteSet
    costs: I64
    budget: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "costs", _whole_costs(self.costs, len(self.grid.levels)))
        if self.n < 1:
            raise ValueError(f"n must be at least 1, got {self.n}")
        if self.grid.scales is not None and len(self.grid.scales) != self.n:
            raise ValueError(f"grid must have {self.n} scales, got {len(self.grid.scales)}")
        if not self.n * int(self.costs.min()) <= self.budget <= self.n * LARGEST_COST:
            raise ValueError(
                f"budget must pay for {self.n} of the cheapest level ({self.costs.min()}), got {self.budget}"
            )
        if table_entries(self.classes, self.budget, self.n) > MOST_ENTRIES:
            raise ValueError(f"costs must be in coarser units for a budget of {self.budget}")

    @cached_property
    def classes(self) -> I64:
        """The different costs, increasing, (C,)."""
        return np.unique(self.costs)

    @cached_property
    def nonzero(self) -> int:
        """How many weights may differ from zero at most: all where 0 is no level or not the cheapest."""
        zero = self.grid.levels == 0
        if not zero.any() or zero.all():
            return 0 if zero.all() else self.n
        free, least = int(self.costs[zero][0]), int(self.costs[~zero].min())
        return self.n if least <= free else min(self.n, (self.budget - self.n * free) // (least - free))

    def level_table(self, n: int, rows: slice = slice(None)) -> F64:
        """Return the levels of each weight, exact floats, increasing along rows, shape (n, L), read-only."""
        return self.grid.level_table(n, rows)

    def cost(self, x: F64) -> int:
        """Return what the levels x cost in all.

        Raises
        ------
        ValueError : an entry is no level
        """
        if x.shape != (self.n,) or not self.grid.contains(x):
            raise ValueError(f"x must hold {self.n} levels of the grid")
        table = self.level_table(self.n)
        return int(sum(int(self.costs[np.searchsorted(row, v)]) for row, v in zip(table, x, strict=True)))

    def contains(self, x: F64) -> bool:
        """Return whether x has n entries, all of them levels, that the budget pays for."""
        return x.shape == (self.n,) and self.grid.contains(x) and self.cost(x) <= self.budget

    def nearest(self, w: F64) -> F64:
        """Return the nearest vector of levels that the budget pays for; ties take the cheaper level."""
        rounded = np.array([self.part(cost).nearest(w) for cost in self.classes.tolist()])
        chosen = cheapest_classes((rounded - w) ** 2, self.classes, self.budget)
        return np.asarray(rounded[chosen, np.arange(self.n)])

    def part(self, cost: int) -> FiniteSet:
        """Return the grid of the levels that cost exactly so much."""
        return FiniteSet(Codebook(self.grid.levels[self.costs == cost]), self.grid.scales)

    @cached_property
    def affordable(self) -> NDArray[np.bool_]:
        """Which levels one weight can have if all others take the cheapest, (L,)."""
        cheapest = int(self.costs.min())
        return np.asarray(self.costs - cheapest <= self.budget - self.n * cheapest)

    def relaxations(self) -> dict[str, FeasibleSet]:
        """Return larger sets by kind: the affordable levels without a budget, the support without levels."""
        levels = FiniteSet(Codebook(self.grid.levels[self.affordable]), self.grid.scales)
        return {"finite": levels, "sparse": SparseSet(self.n, self.nonzero)}

    def candidates(self, problem: LayerProblem) -> Iterator[F64]:
        """Yield every point of the set."""
        table = self.level_table(self.n)
        for choice in product(range(len(self.costs)), repeat=self.n):
            if self.costs[list(choice)].sum() <= self.budget:
                yield table[np.arange(self.n), list(choice)]

    def describe(self) -> str:
        """Return levels, cost range, budget and a content hash of the costs."""
        low, high = int(self.costs.min()), int(self.costs.max())
        digest = digest_of(self.costs.astype(np.float64))[:16]
        return f"{self.grid.describe()}, costs {low} to {high}, {digest}, at most {self.budget} for {self.n}"

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return levels, scales and costs."""
        return {**self.grid.arrays(), "costs": self.costs}

    def facts(self) -> dict[str, Any]:
        """Return the budget."""
        return {"budget": self.budget}

    @classmethod
    def restore(cls, n: int, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Self:
        """Return the set that was stored."""
        if type(facts["budget"]) is not int:
            raise ValueError(f"budget must be stored as int, got {type(facts['budget']).__name__}")
        return cls(n, FiniteSet.restore(n, arrays, {}), arrays["costs"], facts["budget"])


def _whole_costs(costs: I64, levels: int) -> I64:
    array = np.asarray(costs)
    if array.dtype.kind not in "iu":
        raise ValueError(f"costs must be whole numbers, got {array.dtype}")
    if array.shape != (levels,):
        raise ValueError(f"costs must be one per level, shape ({levels},), got {array.shape}")
    if array.min() < 0 or array.max() > LARGEST_COST:
        raise ValueError(f"costs must lie in [0, 2^31], got {array.min()} to {array.max()}")
    array = array.astype(np.int64)
    array.setflags(write=False)
    return array


@SETS.register("joint")
@dataclass(frozen=True)
class Joint:
    """Prune and quantize: a kept weight costs `bits`, a pruned one nothing, within a budget per weight.

    The scale is that of the weights that magnitude pruning would keep: with the others set to zero, which is
    a level, only the kept ones have a rounding error.

    Parameters
    ----------
    bits : of a kept weight
    budget : bits per weight in all, mask included; or
    density : share of weights kept, k = round(density n), halves to even
    mask : how the mask is stored, with `budget`, see `pvq.theory.budget.mask_bits`
    grid : ``twos-complement`` or ``symmetric``; mid-rise grids have no zero
    scale, percentile, per, group : as of ``int``

    >>> feasible = Joint(bits=4, budget=2.0).fit(np.linspace(-1.0, 1.0, 9))
    >>> feasible.nonzero, feasible.budget
    (4, 16)
    >>> Joint(bits=4, budget=2.0, mask="bitmap").fit(np.linspace(-1.0, 1.0, 8)).nonzero
    2
    """

    bits: int
    budget: float | None = None
    density: float | None = None
    mask: Mask = "free"
    grid: Literal["twos-complement", "symmetric"] = "twos-complement"
    scale: ScaleRule = "mse"
    percentile: float = 99.9
    per: Literal["tensor", "row"] = "tensor"
    group: int | None = None

    def __post_init__(self) -> None:
        if (self.budget is None) == (self.density is None):
            raise ValueError("exactly one of budget and density must be given")
        if self.density is not None:
            Sparse(density=self.density)
        elif self.budget is not None:
            density_at(self.budget, self.mask, self.bits)
        if self.grid not in ("twos-complement", "symmetric"):
            raise ValueError(f"grid must be twos-complement or symmetric, got {self.grid!r}")
        self._integer()

    def fit(self, w: F64) -> JointSet:
        """Return the set of a row, or with one scale for all of w.

        Raises
        ------
        ValueError : several rows where each has scales of its own, see `fit_rows`
        """
        weights = as_f64(w, "w")
        n, k = weights.shape[-1], self._kept(weights.shape[-1])
        rows = [SparseSet(n, k).nearest(row) for row in weights.reshape(-1, n)]
        grid = self._integer().fit(np.array(rows).reshape(weights.shape))
        return JointSet(n, grid, np.where(grid.levels == 0, 0, self.bits), k * self.bits)

    def fit_rows(self, W: F64) -> list[FeasibleSet]:
        """Return the set of each row of W."""
        if self.group is None and self.per == "tensor":
            return [self.fit(W)] * len(W)
        return [self.fit(row) for row in W]

    def _kept(self, n: int) -> int:
        """Return how many weights are kept; a budget is never overdrawn by more than rounding."""
        if self.budget is None:
            return round((self.density or 0.0) * n)
        return math.floor(density_at(self.budget, self.mask, self.bits) * n * (1.0 + 1e-12))

    def _integer(self) -> Integer:
        return Integer(self.bits, self.grid, self.scale, self.percentile, self.per, self.group)

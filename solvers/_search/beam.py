"""Beam search over several orders of decision, each best point improved by local moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pvq.arrays import F64, I64

from .beam_kernels import beam
from .lattice import Lattice
from .move_kernels import descend, descend_pairs, slope_of

__all__ = ["best_of_beams", "improve", "round_in_order"]


def round_in_order(lattice: Lattice, order: str, width: int = 1, keep: int = 1) -> I64:
    """Return the levels (kept, m) of the best complete decisions in one order; width 1 is Babai's point."""
    factor = lattice.geometry.factor(order)
    found, _ = beam(
        factor.K,
        factor.weights,
        lattice.levels,
        lattice.uniform,
        lattice.centre[factor.order],
        width,
        keep,
    )
    index = np.empty_like(found)
    index[:, factor.order] = found
    return index


def improve(lattice: Lattice, index: I64, pairs: bool) -> tuple[float, I64]:
    """Return error (in lattice units) and level numbers of a point after single, or also pair, moves."""
    A, index = lattice.geometry.A, index.copy()
    slope = slope_of(A, lattice.levels, lattice.centre, index)
    move = descend_pairs if pairs else descend
    move(A, lattice.levels, lattice.uniform, index, slope)
    return cost_of(lattice, index), index


def cost_of(lattice: Lattice, index: I64) -> float:
    """Return (y - centre)' A (y - centre)."""
    change: F64 = lattice.levels[index] - lattice.centre
    return float(change @ (lattice.geometry.A @ change))


def best_of_beams(
    lattice: Lattice,
    orders: Sequence[str],
    width: int,
    keep: int,
    pairs: bool,
    stop: Callable[[], bool],
) -> I64:
    """Return the best point over the orders, at least the first; `keep` points of each are improved."""
    tried: list[tuple[float, I64]] = []
    for order in orders:
        tried += [improve(lattice, index, pairs) for index in round_in_order(lattice, order, width, keep)]
        if stop():
            break
    return min(tried, key=lambda pair: pair[0])[1]

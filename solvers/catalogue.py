"""Seeded problems for tests, benchmarks and examples; some have known answers.

Each entry is a function of (n, rng) that returns a LayerProblem; `CATALOGUE` lists them by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, product
from typing import Protocol, runtime_checkable

import numpy as np

from pvq.arrays import F64

from .feasible import FeasibleSet, FiniteSet, SparseSet
from .problem import LayerProblem
from .refit import refit

__all__ = ["CATALOGUE", "Enumerable", "brute_force", "catalogue_problem", "power_law"]

MOST_POINTS = 2_000_000


def catalogue_problem(name: str, n: int, seed: int = 0) -> LayerProblem:
    """Return the problem called `name` with n weights, the same for the same seed.

    >>> catalogue_problem("conv", 18).n
    18
    """
    return CATALOGUE[name](n, np.random.default_rng([seed, n]))


def power_law(n: int, condition: float, rng: np.random.Generator) -> F64:
    """Return H = Q diag(i^-a) Q' with a random rotation Q and the given condition number, (n, n)."""
    spectrum = np.logspace(0.0, -np.log10(condition), n) if n > 1 else np.ones(1)
    if n > 2:
        spectrum = np.arange(1.0, n + 1) ** (-np.log(condition) / np.log(n))
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    H = (Q * spectrum) @ Q.T
    return np.asarray(0.5 * (H + H.T))


def _conv(n: int, rng: np.random.Generator) -> LayerProblem:
    """Smooth random images, mixed over channels and rectified, seen through 3 x 3 windows."""
    channels, size = -(-n // 9), 24
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None, :])
    columns: list[F64] = []
    while len(columns) * (size - 4) ** 2 < 8 * n:
        noise = np.fft.fft2(rng.standard_normal((channels, size, size)))
        images = np.fft.ifft2(noise / (1 / 16 + frequency) ** 1.5).real
        mixed = np.einsum("ab,bij->aij", rng.standard_normal((channels, channels)) + np.eye(channels), images)
        maps = np.maximum(mixed / mixed.std() + 0.1 * rng.standard_normal(mixed.shape), 0.0)
        windows = np.lib.stride_tricks.sliding_window_view(maps, (3, 3), axis=(1, 2))
        columns.append(windows.transpose(1, 2, 0, 3, 4).reshape(-1, 9 * channels)[:, :n])
    X = np.concatenate(columns)
    return LayerProblem(X.T @ X / len(X), rng.standard_normal(n))


def _of_condition(condition: float) -> Callable[[int, np.random.Generator], LayerProblem]:
    def make(n: int, rng: np.random.Generator) -> LayerProblem:
        return LayerProblem(power_law(n, condition, rng), rng.standard_normal(n))

    return make


def _rank_deficient(n: int, rng: np.random.Generator) -> LayerProblem:
    """Half as many calibration rows as weights."""
    X = np.maximum(rng.standard_normal((max(1, n // 2), n)), 0.0)
    return LayerProblem(X.T @ X, rng.standard_normal(n))


def _repeated_columns(n: int, rng: np.random.Generator) -> LayerProblem:
    """Two inputs are always equal, so that H is exactly singular."""
    X = rng.standard_normal((4 * n, n))
    X[:, -1] = X[:, 0]
    return LayerProblem(X.T @ X, rng.standard_normal(n))


def _dead_inputs(n: int, rng: np.random.Generator) -> LayerProblem:
    """Every third input is always zero."""
    X = rng.standard_normal((4 * n, n)) @ rng.standard_normal((n, n))
    X[:, ::3] = 0.0
    return LayerProblem(X.T @ X, rng.standard_normal(n))


def _diagonal(n: int, rng: np.random.Generator) -> LayerProblem:
    """Uncorrelated inputs: rounding to nearest, and keeping the largest H_ii w_i^2, are optimal."""
    return LayerProblem(np.diag(rng.uniform(0.1, 3.0, n)), rng.standard_normal(n))


def _unequal(n: int, rng: np.random.Generator) -> LayerProblem:
    """Inputs whose sizes differ by up to six orders of magnitude."""
    X = rng.standard_normal((4 * n, n)) @ rng.standard_normal((n, n)) * 10.0 ** rng.uniform(-3, 3, n)
    return LayerProblem(X.T @ X, rng.standard_normal(n))


CATALOGUE: dict[str, Callable[[int, np.random.Generator], LayerProblem]] = {
    "conv": _conv,
    "condition-1e2": _of_condition(1e2),
    "condition-1e6": _of_condition(1e6),
    "condition-1e10": _of_condition(1e10),
    "rank-deficient": _rank_deficient,
    "repeated-columns": _repeated_columns,
    "dead-inputs": _dead_inputs,
    "diagonal": _diagonal,
    "unequal": _unequal,
}


@runtime_checkable
class Enumerable(Protocol):
    """A feasible set that brings its own enumeration."""

    def candidates(self, problem: LayerProblem) -> Iterator[F64]:
        """Yield finitely many points of the set, among which one has the least error."""
        ...


def brute_force(problem: LayerProblem, feasible: FeasibleSet) -> tuple[float, F64]:
    """Return the least error over the set and a point that has it, by looking at all points or supports.

    Raises
    ------
    ValueError : more than two million of them, or a set of another kind

    >>> brute_force(LayerProblem(np.eye(2), np.array([1.0, 2.0])), SparseSet(2, 1))[0]
    1.0
    """
    if isinstance(feasible, FiniteSet):
        return _best_levels(problem, feasible.level_table(problem.n))
    if isinstance(feasible, SparseSet):
        supports = combinations(range(problem.n), feasible.k)
        points = [refit(problem, np.array(kept, dtype=np.int64)) for kept in supports]
        best = min(points, key=problem.error)
        return problem.error(best), best
    if isinstance(feasible, Enumerable):
        best = min(feasible.candidates(problem), key=problem.error)
        return problem.error(best), best
    raise ValueError(f"feasible must have candidates, got {type(feasible).__name__}")


def _best_levels(problem: LayerProblem, table: F64) -> tuple[float, F64]:
    n, levels = table.shape
    if levels**n > MOST_POINTS:
        raise ValueError(f"brute force must look at most at {MOST_POINTS} points, got {levels}^{n}")
    points = np.array(list(product(*table)))
    change = points - problem.w
    best = points[np.argmin(np.einsum("ij,ij->i", change @ problem.H, change))]
    return problem.error(best), best

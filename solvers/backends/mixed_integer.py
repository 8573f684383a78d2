"""A problem as a mixed-integer program, in the units in which a general solver is accurate.

On unit diagonal, and with the error of the given incumbent as the unit of the objective (of sparse sets at
least a thousandth of the signal, lest terms cancel beyond the solver's tolerances), the program is

    min |F (x - w)|^2                                  finite sets: each x_i one of its levels,
    min |F (x - w)|^2, |x_i| <= M_i z_i                sparse sets, big-M: F'F = A,
    min |F (x - w)|^2 + sum d_i (t_i - 2 w_i x_i + w_i^2), x_i^2 <= t_i z_i, |x_i| <= M_i z_i
                                                       sparse sets, perspective: F'F = A - D.

No point better than the incumbent has |x_i| > M_i = |w_i| + sqrt(incumbent's error (A^-1)_ii).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from pvq.arrays import F64, I64
from pvq.solvers._dual.linalg import cholesky, inverse
from pvq.solvers.feasible import FiniteSet, SparseSet
from pvq.solvers.problem import LayerProblem
from pvq.solvers.refit import refit

from .scaled import Scaled, scale

__all__ = ["Form", "LevelProgram", "SparseProgram", "Unsuitable", "level_program", "sparse_program"]

Form: TypeAlias = Literal["perspective", "big-m"]
SLACK = 1e-4  # of the incumbent's error, so that rounding does not cut the incumbent off
RESOLUTION = 1e-7  # of the signal: below, a tolerance of 1e-6 does not see the error
LEAST = 1e-3  # of the signal: the smallest unit of the objective of sparse sets
SHRINK = 1e-9  # of D, so that A - D has a factor in floating point


class Unsuitable(ArithmeticError):
    """The problem has no program that a general solver could be trusted with."""


@dataclass(frozen=True, eq=False)
class LevelProgram:
    """Each weight is one of its levels.

    Parameters
    ----------
    scaled : the problem on unit diagonal
    feasible : the set
    unit : what 1 of the program's objective is worth in units of the error
    factor : (m, m) F, upper triangular where A allows
    w : (m,) scaled weights
    levels : (m, L) scaled levels, increasing
    start : (m,) number of the incumbent's level
    """

    scaled: Scaled
    feasible: FiniteSet
    unit: float
    factor: F64
    w: F64
    levels: F64
    start: I64

    @property
    def steps(self) -> F64 | None:
        """The distance of neighbouring levels, (m,), None where it differs within a weight."""
        gaps = np.diff(self.levels, axis=1)
        even = bool((np.ptp(gaps, axis=1) <= 1e-12 * np.abs(self.levels).max(axis=1)).all())
        return gaps.mean(axis=1) if even else None

    def point(self, chosen: F64) -> F64:
        """Return the weights for the numbers of the chosen levels, floats near whole numbers, (m,)."""
        table = self.feasible.level_table(self.scaled.problem.n)
        x = self.feasible.nearest(self.scaled.problem.w)
        number = np.clip(np.rint(chosen), 0, table.shape[1] - 1).astype(np.int64)
        x[self.scaled.alive] = table[self.scaled.alive, number]
        return x


@dataclass(frozen=True, eq=False)
class SparseProgram:
    """At most k weights differ from zero.

    Parameters
    ----------
    scaled, unit, factor, w : as of `LevelProgram`, with F'F = A - diag(d)
    k : most nonzero weights
    d : (m,) diagonal of the perspective terms, zero for big-M
    bound : (m,) M
    start : (m,) the incumbent
    """

    scaled: Scaled
    unit: float
    factor: F64
    w: F64
    k: int
    d: F64
    bound: F64
    start: F64

    def point(self, kept: F64) -> F64:
        """Return the refitted weights on the k largest of `kept`, (m,)."""
        live = np.argsort(-kept, kind="stable")[: self.k]
        return refit(self.scaled.problem, self.scaled.alive[live])


def level_program(problem: LayerProblem, feasible: FiniteSet, incumbent: F64) -> LevelProgram | None:
    """Return the program of a finite set, None where the incumbent has no error or nothing is to decide.

    Parameters
    ----------
    incumbent : (n,) a point of the set
    """
    table = feasible.level_table(problem.n)
    error = problem.error(incumbent)
    if table.shape[1] == 1 or error <= 0:
        return None
    scaled = scale(problem, (table[:, -1] - table[:, 0]) / (table.shape[1] - 1))
    unit = error / scaled.unit**2
    levels = table[scaled.alive]
    start = (levels < incumbent[scaled.alive, None]).sum(axis=1)
    return LevelProgram(
        scaled,
        feasible,
        error,
        _factor(scaled.A) / np.sqrt(unit),
        scaled.w,
        np.asarray(levels * scaled.stretch[:, None]),
        start,
    )


def sparse_program(
    problem: LayerProblem, feasible: SparseSet, incumbent: F64, d: F64, form: Form
) -> SparseProgram | None:
    """Return the program of a sparse set, None where the incumbent has no error.

    Parameters
    ----------
    incumbent : (n,) a point of the set
    d : (n,) diagonal with H - D semidefinite, for the perspective form

    Raises
    ------
    Unsuitable : H is singular, so that nothing bounds the weights, or the incumbent's error is too small
        beside the signal
    """
    error = problem.error(incumbent)
    if error <= 0:
        return None
    if error < RESOLUTION * problem.signal:
        raise Unsuitable("the incumbent's error is below a general solver's resolution")
    scaled = scale(problem, np.full(problem.n, float(np.abs(problem.w).max())))
    lower = cholesky(scaled.A)
    if lower is None:
        raise Unsuitable("H is singular: no bound on the weights")
    room = np.sqrt((1.0 + SLACK) * error / scaled.unit**2 * np.diagonal(inverse(lower)))
    error = max(error, LEAST * problem.signal)
    unit = error / scaled.unit**2
    split = (1.0 - SHRINK) * d[scaled.alive] / (scaled.stretch * scaled.unit) ** 2
    split = split if form == "perspective" else np.zeros(len(split))
    return SparseProgram(
        scaled,
        error,
        _factor(scaled.A - np.diag(split)) / np.sqrt(unit),
        scaled.w,
        feasible.k,
        split / unit,
        np.abs(scaled.w) + room,
        np.asarray(incumbent[scaled.alive] * scaled.stretch),
    )


def _factor(A: F64) -> F64:
    """Return F with F'F = A up to rounding: upper triangular, or from eigenvalues where A is singular."""
    lower = cholesky(A)
    if lower is not None:
        return np.asarray(lower.T)
    values, vectors = np.linalg.eigh(A)
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T)

"""A problem in the units in which general solvers are accurate: unit diagonal, changes of about one step.

General solvers work to absolute tolerances near 1e-6 and report a wrong optimum where entries of H are large
or small: of several scalings tried only those with entries near 1 agreed with brute force.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64, I64
from pvq.solvers.problem import LayerProblem

__all__ = ["Scaled", "scale"]


@dataclass(frozen=True, eq=False)
class Scaled:
    """The live inputs of a problem: with v the change of their weights, v'Hv = unit^2 (s v)'A(s v).

    Parameters
    ----------
    problem : as given
    alive : (m,) indices of the inputs that are not identically zero
    A : (m, m) with unit diagonal
    stretch : (m,) positive factors s from weights to scaled weights
    unit : length of one scaled unit
    """

    problem: LayerProblem
    alive: I64
    A: F64
    stretch: F64
    unit: float

    @property
    def w(self) -> F64:
        """The scaled weights, (m,)."""
        return np.asarray(self.problem.w[self.alive] * self.stretch)

    def spread(self, values: F64) -> F64:
        """Return values of live inputs with 0 at the dead ones, (n,)."""
        full = np.zeros(self.problem.n)
        full[self.alive] = values
        return full


def scale(problem: LayerProblem, step: F64) -> Scaled:
    """Return the scaled problem in which a change of a weight by its typical step is about 1.

    Parameters
    ----------
    step : (n,) positive; the distance of levels, or the size of the weights

    >>> scale(LayerProblem(np.diag([4.0, 0.0]), np.ones(2)), np.full(2, 0.5)).stretch
    array([2.])
    """
    alive = np.flatnonzero(problem.gram.alive)
    root = np.sqrt(np.diagonal(problem.H)[alive])
    A = problem.H[np.ix_(alive, alive)] / root[:, None] / root[None, :]
    typical = root * step[alive]
    largest = float(typical.max(initial=0.0)) or 1.0
    unit = largest * float(np.sqrt(np.mean((typical / largest) ** 2))) if len(alive) else 1.0
    return Scaled(problem, alive, A, root / unit, unit)

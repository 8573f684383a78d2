"""Random points around the relaxation's solution, rounded and improved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pvq.arrays import F64
from pvq.solvers._dual.linalg import cholesky, inverse
from pvq.solvers._dual.prepared import prepare
from pvq.solvers.certificates.finite import FiniteCertificate
from pvq.solvers.descent import descend_rows
from pvq.solvers.feasible import FeasibleSet, FiniteSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.row_levels import RowLevels
from pvq.solvers.solver import SOLVERS, Limits, RowsSolver

__all__ = ["Randomized"]

RIDGES = (0.0, 1e-12, 1e-9, 1e-6)  # tried in turn where H - D is singular, on the unit diagonal
CHUNK = 2**24  # entries of the samples held at once


@SOLVERS.register("randomized")
@dataclass(frozen=True)
class Randomized:
    """Draw from the normal law that the relaxation describes, round to nearest, descend, keep the best.

    J. Park, S. Boyd, arXiv 1504.07672, section 4. The relaxation's primal solution has the mean w + u and the
    covariance mu (H - D)^-1, of which the certificate holds u and D; mu is the size at which the cuts with
    multipliers D hold on average, E (y - a)(y - b) = 0 for the levels a < b around the mean. The relaxation's
    own point is among the candidates, its bound comes with the result. Draws depend on the seed alone.

    Parameters
    ----------
    samples : points drawn
    relaxation : which bound's solution; ``sdp`` is Park and Boyd's
    """

    samples: int = 64
    relaxation: Literal["hull", "sdp"] = "hull"

    def __post_init__(self) -> None:
        if self.samples < 0:
            raise ValueError(f"samples must not be negative, got {self.samples}")

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        """Refuse anything but a finite set."""
        return None if isinstance(feasible, FiniteSet) else "randomized rounds to levels; use swap to prune"

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        """Return the best point drawn, and the relaxation's certificate."""
        return self.run_rows([problem], [feasible], limits)[0]

    def run_rows(
        self, problems: Sequence[LayerProblem], sets: Sequence[FeasibleSet], limits: Limits
    ) -> list[Outcome]:
        """Return the best point of each row; the relaxations run together if their method can do that."""
        expired, method = limits.clock(), SOLVERS.build(self.relaxation)
        if isinstance(method, RowsSolver):
            relaxed = method.run_rows(problems, sets, limits)
        else:
            relaxed = [method.run(*row, limits) for row in zip(problems, sets, strict=True)]
        return [
            self._rounded(problem, chosen, outcome, np.random.default_rng(limits.seed), expired)
            for problem, chosen, outcome in zip(problems, sets, relaxed, strict=True)
        ]

    def _rounded(
        self,
        problem: LayerProblem,
        feasible: FeasibleSet,
        relaxed: Outcome,
        rng: np.random.Generator,
        expired: Callable[[], bool],
    ) -> Outcome:
        levels = RowLevels.of([feasible], problem.n)
        points = [feasible.nearest(problem.w) if relaxed.point is None else relaxed.point]
        left = self.samples if isinstance(relaxed.certificate, FiniteCertificate) else 0
        while left and not expired():
            count = min(left, max(1, CHUNK // problem.n))
            assert isinstance(relaxed.certificate, FiniteCertificate), "nothing is drawn otherwise"
            draws = _draw(problem, levels, relaxed.certificate, count, rng)
            rows = levels.repeat(count)
            starts = rows.nearest(draws)
            found, _ = descend_rows(problem.H, np.repeat(problem.w[None, :], count, 0), rows, starts, expired)
            points.append(min(found, key=problem.error))
            left -= count
        status = Status.TIME_LIMIT if expired() else Status.FEASIBLE
        return Outcome(status, min(points, key=problem.error), relaxed.certificate, self.samples - left)


def _draw(
    problem: LayerProblem, levels: RowLevels, proof: FiniteCertificate, count: int, rng: np.random.Generator
) -> F64:
    """Return points of the normal law that the certificate describes, (count, n); dead inputs do not vary."""
    prepared = prepare(problem.gram)
    alive, root = prepared.alive, prepared.root
    mean = problem.w + proof.u
    draws = np.repeat(mean[None, :], count, axis=0)
    d = proof.d[alive] / root**2
    factor = _factor(prepared.A - np.diag(d))
    if factor is None or len(alive) == 0:
        return draws
    low, high = levels.around(mean[None, :])
    room = np.maximum(0.0, (mean - low[0]) * (high[0] - mean))[alive] * root**2
    weight = np.maximum(d, 0.0)
    size = float(weight @ room) / max(float(weight @ np.diagonal(inverse(factor))), np.finfo(float).tiny)
    noise = np.linalg.solve(factor.T, rng.standard_normal((count, len(alive))).T)
    draws[:, alive] += np.sqrt(size) * noise.T / root
    return draws


def _factor(M: F64) -> F64 | None:
    for ridge in RIDGES:
        factor = cholesky(M + ridge * np.eye(len(M)))
        if factor is not None:
            return factor
    return None

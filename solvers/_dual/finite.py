"""From cuts to a certified bound: the dual path on normalised data, then a certificate for H itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.solvers.certificates.finite import FiniteCertificate
from pvq.solvers.descent import descend
from pvq.solvers.feasible import FiniteSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.rounding import proves_psd
from pvq.solvers.solver import CLAIM_SLACK, Limits

from .cuts import Grid
from .hull_cuts import HullCuts
from .path import Path
from .prepared import Prepared, prepare

__all__ = ["FiniteDual"]

LOOK_AT = 1.0  # relative gap; looking again later costs steps to centre and adds less than a thousandth
UPPER_SHARE = 0.3  # of a lower edge's multiplier, for the upper edge at the start
NEGLIGIBLE = 1e-7  # of the error of plain rounding: a bound below that is not worth more steps
NOISE = 1e-16  # per weight, in squared level distances: below it floating point does not see the bound


@dataclass(frozen=True, eq=False)
class FiniteDual:
    """The diagonal dual bound of one row over a finite set.

    Parameters
    ----------
    problem, feasible : the row and its levels
    hull : take all inequalities of the levels' hull that matter; otherwise the nearest lower edges alone
    """

    problem: LayerProblem
    feasible: FiniteSet
    hull: bool

    def run(self, limits: Limits) -> Outcome:
        """Return the bound's certificate and a rounded, 1-optimal point."""
        prepared = prepare(self.problem.gram)
        if len(self.feasible.levels) == 1 or len(prepared.alive) == 0:
            return self._only_point(prepared)
        grid, scale = self._grid(prepared)
        nearest = self.problem.error(self.feasible.nearest(self.problem.w)) / scale**2
        floor = max(NEGLIGIBLE * nearest, NOISE * len(grid.w))
        path, status = self._follow(prepared, grid, limits, floor)
        tangents = [path.point.u]
        if self.hull:
            tangents.append(np.clip(grid.w + path.point.u, grid.low, grid.high) - grid.w)
        certificate = self._certificate(prepared, path.point.D, [u / grid.stretch for u in tangents])
        point = self._rounded(prepared, (grid.w + path.point.u) / grid.stretch)
        return Outcome(status, point, certificate, path.iterations)

    def _grid(self, prepared: Prepared) -> tuple[Grid, float]:
        """Return the grid in coordinates that give H a unit diagonal and levels a distance of about 1.

        With v the change of the weights and s the second value returned, v'Hv = s^2 (stretch v)'A(stretch v).
        """
        levels = self.feasible.levels
        unit = float((levels[-1] - levels[0]) / (len(levels) - 1))
        scale = unit * float(np.sqrt(np.mean(prepared.root**2)))
        stretch = prepared.root / scale
        return Grid(self.problem.w[prepared.alive] * stretch, levels, stretch), scale

    def _follow(self, prepared: Prepared, grid: Grid, limits: Limits, floor: float) -> tuple[Path, Status]:
        """Follow the path, for the hull with one look for broken cuts on the way."""
        hull, d = HullCuts(grid), 0.9 * prepared.centre
        cuts, x = hull.nearest_edges(), d
        if self.hull:
            ends = hull.ends()
            x = np.concatenate([d, hull.start(ends, d) * np.where(ends.alpha < 0, UPPER_SHARE, 1.0)])
            cuts += ends
        path = Path.start(prepared.A, cuts, x, limits.clock(), limits.seed)
        if self.hull:
            status = path.follow(LOOK_AT, floor)
            if status is not Status.BOUND or path.gap < floor:
                return path, status
            extra = hull.broken(path.point.u, path.second_moment())
            if len(extra):
                path.extend(extra, *hull.hand_over(path.cuts, path.point.x, extra))
        return path, path.follow(limits.tolerance, floor)

    def _certificate(self, prepared: Prepared, D: F64, tangents: Iterable[F64]) -> FiniteCertificate:
        """Return the better certificate; the diagonal gives up as much as a proof about H itself needs."""
        square = prepared.root**2
        d = np.zeros(self.problem.n)
        for margin in [0.0, *(prepared.margin * 10.0**k for k in range(6))]:
            d[prepared.alive] = (D - margin) * square
            if proves_psd(self.problem.H, d, CLAIM_SLACK):
                break
        made = [FiniteCertificate(self.problem.digest, d, self._spread(prepared, u)) for u in tangents]
        return max(made, key=lambda proof: proof.bound(self.problem, self.feasible, CLAIM_SLACK))

    def _spread(self, prepared: Prepared, values: F64) -> F64:
        """Return values at the live inputs and 0 at the dead ones."""
        full = np.zeros(self.problem.n)
        full[prepared.alive] = values
        return full

    def _rounded(self, prepared: Prepared, relaxed: F64) -> F64:
        """Return the better of two 1-optimal points, from w and from the relaxation's minimiser."""
        guess = self.problem.w.copy()
        guess[prepared.alive] = relaxed
        starts = [self.feasible.nearest(self.problem.w), self.feasible.nearest(guess)]
        points = [descend(self.problem, self.feasible, start)[0] for start in starts]
        return min(points, key=self.problem.error)

    def _only_point(self, prepared: Prepared) -> Outcome:
        """Return the one point that matters: there is a single level, or no input is ever nonzero."""
        x = self.feasible.nearest(self.problem.w)
        u = (x - self.problem.w)[prepared.alive]
        return Outcome(Status.BOUND, x, self._certificate(prepared, np.zeros(len(u)), [u]), 0)

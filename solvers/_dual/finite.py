"""From cuts to a certified bound: the dual path on normalised data, then a certificate for H itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.solvers.certificates import FiniteCertificate
from pvq.solvers.descent import descend
from pvq.solvers.feasible import FiniteSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.rounding import proves_psd
from pvq.solvers.solver import CLAIM_SLACK, Limits

from .cuts import Cuts, Grid
from .path import Path
from .prepared import Prepared, prepare

__all__ = ["FiniteDual"]

ROUNDS_AT = 1.0  # relative gap at which broken cuts are looked for: later ones cost more steps to centre
HANDED_OVER = 0.2  # share of a weight's multiplier that its new cut starts with
VIOLATED = 0.02  # in widths of the weight's cell
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
        cuts, x = self._start(prepared, grid)
        path = Path.start(prepared.A, cuts, x, limits.clock(), limits.seed)
        if self.hull:
            status = path.follow(max(ROUNDS_AT, limits.tolerance), floor)
            if status is not Status.BOUND:
                return path, status
            extra = _violated(grid, grid.w + path.point.u)
            if len(extra):
                path.extend(extra, *self._hand_over(path, extra, grid))
        return path, path.follow(limits.tolerance, floor)

    def _start(self, prepared: Prepared, grid: Grid) -> tuple[Cuts, F64]:
        """Return the first cuts with multipliers near the analytic centre."""
        everywhere = np.arange(len(grid.w))
        cuts = grid.lower_edges(everywhere, grid.cell(grid.w))
        d = 0.9 * prepared.centre
        if not self.hull:
            return cuts, d
        gap = grid.gap()
        boxes = grid.below_top(grid.w > grid.high - gap) + grid.above_bottom(grid.w < grid.low + gap)
        outside = grid.upper_edges((grid.w > grid.high) | (grid.w < grid.low))
        x = [d, _like(boxes, d, grid), 0.3 * _like(outside, d, grid)]
        return cuts + boxes + outside, np.concatenate(x)

    def _hand_over(self, path: Path, extra: Cuts, grid: Grid) -> tuple[F64, F64]:
        """Return multipliers of the old and new cuts; new edges take theirs from the first, so D stays."""
        n = len(grid.w)
        new = HANDED_OVER * _like(extra, path.point.x[:n], grid)
        old = path.point.x.copy()
        old[:n] -= extra.diagonal(new, n)
        return old, new

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


def _like(cuts: Cuts, d: F64, grid: Grid) -> F64:
    """Return multipliers that weigh as much as the lower edges' d: times a length where alpha is 0."""
    return d[cuts.index] * np.where(cuts.alpha == 0, grid.gap()[cuts.index], 1.0)


def _violated(grid: Grid, y: F64) -> Cuts:
    """Return the cuts that y, outside the cell of w or outside the grid, breaks."""
    k, slack = grid.cell(grid.w), VIOLATED * grid.gap()
    lower, upper = grid.levels[k] * grid.stretch, grid.levels[k + 1] * grid.stretch
    down = np.flatnonzero((y < lower - slack) & (k > 0))
    up = np.flatnonzero((y > upper + slack) & (k < len(grid.levels) - 2))
    edges = grid.lower_edges(down, k[down] - 1) + grid.lower_edges(up, k[up] + 1)
    high = (y > grid.high + slack) & (grid.w <= grid.high - grid.gap())
    low = (y < grid.low - slack) & (grid.w >= grid.low + grid.gap())
    return edges + grid.below_top(high) + grid.above_bottom(low)

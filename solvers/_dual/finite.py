"""From cuts to a certified bound: the dual path on normalised data, then a certificate for H itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from pvq.arrays import F64
from pvq.solvers.certificates.finite import FiniteCertificate
from pvq.solvers.descent import descend
from pvq.solvers.feasible import FiniteSet
from pvq.solvers.outcome import Certificate, Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.rounding import proves_psd
from pvq.solvers.solver import CLAIM_SLACK, Limits

from .cuts import Grid
from .dense import dense_on
from .hull_cuts import HullCuts
from .path import Path
from .prepared import Prepared, prepare

__all__ = ["FiniteDual", "Scaled", "proved_diagonal", "spread"]

LOOK_AT = 0.05  # relative gap at which broken cuts are looked for: earlier, many look broken that are not
LOOK_FLOOR = (
    1e-3  # of the error of plain rounding: the gap at which they are looked for even if phi is near 0
)
UPPER_SHARE = 0.3  # of a lower edge's multiplier, for the upper edge at the start
NEGLIGIBLE = 1e-7  # of the error of plain rounding: a bound below that is not worth more steps
NOISE = 1e-16  # per weight, in squared level distances: below it floating point does not see the bound


@dataclass(frozen=True, eq=False)
class Scaled:
    """A row in coordinates that give H a unit diagonal and neighbouring levels a distance of about 1.

    With v the change of the weights, v'Hv = scale^2 (unit v)'A(unit v).

    Parameters
    ----------
    grid : weights and levels there
    unit : (m,) what a unit of each live weight is there
    scale : see above
    """

    grid: Grid
    unit: F64
    scale: float

    @staticmethod
    def of(problem: LayerProblem, feasible: FiniteSet, prepared: Prepared) -> Scaled:
        """Scale a row over a set of at least two levels."""
        levels, alive = feasible.levels, prepared.alive
        scales = np.ones(len(alive)) if feasible.scales is None else feasible.scales[alive]
        step = float((levels[-1] - levels[0]) / (len(levels) - 1))
        scale = step * float(np.sqrt(np.mean((prepared.root * scales) ** 2)))
        unit = prepared.root / scale
        return Scaled(Grid(problem.w[alive] * unit, levels, scales * unit), unit, scale)


@dataclass(frozen=True, eq=False)
class FiniteDual:
    """The diagonal dual bound of one row over a finite set.

    Parameters
    ----------
    problem, feasible : the row and its levels
    hull : take all inequalities of the levels' hull that matter; otherwise the nearest lower edges alone
    device : where the path is followed, see `dense_on`; the certificate is proved on the CPU
    """

    problem: LayerProblem
    feasible: FiniteSet
    hull: bool
    device: str = "cpu"

    def run(self, limits: Limits) -> Outcome:
        """Return the bound's certificate and a rounded, 1-optimal point."""
        expired, prepared = limits.clock(), prepare(self.problem.gram)
        if len(self.feasible.levels) == 1 or len(prepared.alive) == 0:
            return self._only_point(prepared)
        made = [self._bounded(ridged, limits, expired) for ridged in prepared.ridged]
        best = made[0] if len(made) == 1 else max(made, key=lambda outcome: self._bound(outcome.certificate))
        return replace(best, iterations=sum(outcome.iterations for outcome in made))

    def _bounded(self, prepared: Prepared, limits: Limits, expired: Callable[[], bool]) -> Outcome:
        """Return what following the path of one ridge gives."""
        row = Scaled.of(self.problem, self.feasible, prepared)
        nearest = self.problem.error(self.feasible.nearest(self.problem.w)) / row.scale**2
        floor = max(NEGLIGIBLE * nearest, NOISE * len(row.unit))
        path, hull = self._start(prepared, row.grid, expired, limits.seed)
        status = self._follow(path, hull, limits.tolerance, (floor, LOOK_FLOOR * nearest))
        grid, u = row.grid, path.point.u
        tangents = [u, np.clip(grid.w + u, grid.low, grid.high) - grid.w] if self.hull else [u]
        certificate = self._certificate(prepared, path.point.D, [u / row.unit for u in tangents])
        point = self._rounded(prepared, (grid.w + u) / row.unit)
        return Outcome(status, point, certificate, path.iterations)

    def _start(
        self, prepared: Prepared, grid: Grid, expired: Callable[[], bool], seed: int
    ) -> tuple[Path, HullCuts]:
        """Return a path that starts near the analytic centre, with the cuts that are worth having there."""
        hull, x = HullCuts(grid), 0.9 * prepared.centre_within(expired)
        if not self.hull:
            cuts = hull.nearest_edges()
        elif len(grid.levels) == 2:
            cuts = hull.pair_equations()
        else:
            cuts, ends = hull.nearest_edges(), hull.ends()
            x = np.concatenate([x, hull.start(ends, x) * np.where(ends.alpha < 0, UPPER_SHARE, 1.0)])
            cuts += ends
        return Path.start(dense_on(self.device), prepared.A, cuts, x, expired, seed), hull

    def _follow(self, path: Path, hull: HullCuts, tolerance: float, floors: tuple[float, float]) -> Status:
        """Follow the path, for the hull with one look for broken cuts on the way.

        Parameters
        ----------
        floors : gaps at which to stop and to look at the latest
        """
        if self.hull and len(hull.grid.levels) > 2:
            status = path.follow(LOOK_AT, max(floors))
            if status is not Status.BOUND:
                return status
            u, second = path.point.u, path.second_moment()
            extra = hull.broken(u, second)
            if len(extra):
                excess = np.abs(extra.excess(u, second))
                path.extend(extra, *hull.hand_over(path.cuts, path.point.x, extra, path.mu / excess))
        return path.follow(tolerance, floors[0])

    def _certificate(self, prepared: Prepared, D: F64, tangents: Iterable[F64]) -> FiniteCertificate:
        """Return the better certificate."""
        problem, d = self.problem, proved_diagonal(self.problem, prepared, D)
        made = [FiniteCertificate(problem.digest, d, spread(problem, prepared, u)) for u in tangents]
        return made[0] if len(made) == 1 else max(made, key=lambda proof: self._bound(proof))

    def _bound(self, proof: Certificate | None) -> float:
        assert proof is not None, "every path ends in a certificate"
        return proof.bound(self.problem, self.feasible, CLAIM_SLACK)

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


def proved_diagonal(problem: LayerProblem, prepared: Prepared, D: F64) -> F64:
    """Return the diagonal D of the normalised matrix in units of H, (n,), less what a proof about H needs."""
    for margin in [0.0, *(prepared.margin * 10.0**k for k in range(6))]:
        d = spread(problem, prepared, (D - margin) * prepared.root**2)
        if proves_psd(problem.H, d, CLAIM_SLACK):
            break
    return d


def spread(problem: LayerProblem, prepared: Prepared, values: F64) -> F64:
    """Return values at the live inputs and 0 at the dead ones, (n,)."""
    full = np.zeros(problem.n)
    full[prepared.alive] = values
    return full

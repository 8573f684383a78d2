"""From splits to a certified bound: rounds of cuts on the dual path, then a certificate for H itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pvq.arrays import F64
from pvq.solvers.certificates.split import SplitCertificate
from pvq.solvers.descent import descend
from pvq.solvers.feasible import FiniteSet
from pvq.solvers.lattice import Lattice, lattice_of
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import CLAIM_SLACK, Limits

from .finite import FiniteDual
from .prepared import Prepared, prepare
from .split_cuts import Kind, SplitCuts
from .split_path import SplitPath
from .split_search import SplitSearch

__all__ = ["SplitDual"]

FIRST_GAP, NEXT_GAP = 1.0, 0.3  # relative gap at which the first cuts are added, and its factor per round
IDLE = 0.2  # expected slack beyond which a cut is dropped before new ones come
SETTLED = 0.05  # relative gap, and slack, at which idle cuts are dropped for good: that saves a fifth
MOST_CUTS = 8000  # the Newton matrix then takes 0.5 GB
UPPER_SHARE = 0.3  # of a gap's multiplier, for the arch at the start
NEGLIGIBLE, NOISE = 1e-7, 1e-16  # as of `finite`


@dataclass(frozen=True, eq=False)
class SplitDual:
    """The dual bound of one row over levels on a lattice, with cuts across weights.

    Parameters
    ----------
    problem, feasible : the row and its levels
    rounds : how often cuts are added
    per_weight : how many cuts of two, three, ... weights, per weight, a round adds
    """

    problem: LayerProblem
    feasible: FiniteSet
    rounds: int
    per_weight: tuple[float, ...]

    def run(self, limits: Limits) -> Outcome:
        """Return the better certificate of the hull and the cuts, and the better rounded point."""
        start = time.perf_counter()
        hull = FiniteDual(self.problem, self.feasible, hull=True).run(limits)
        left = None if limits.seconds is None else limits.seconds - (time.perf_counter() - start)
        lattice, prepared = lattice_of(self.feasible, self.problem.n), prepare(self.problem.gram)
        if lattice is None:
            return replace(hull, notes="the levels have no common step, so that no cut joins weights")
        if len(prepared.alive) < 2 or (left is not None and left <= 0):
            return hull
        made = _Made.follow(self, prepared, lattice, replace(limits, seconds=left))
        return hull if made is None else self._better(hull, made)

    def _better(self, hull: Outcome, made: _Made) -> Outcome:
        """Return the stronger certificate with the better point."""
        proof, proved = made.certificate()
        points = [x for x in (hull.point, made.rounded()) if x is not None]
        best = min(points, key=self.problem.error)
        steps = hull.iterations + made.path.iterations
        if hull.certificate and hull.certificate.bound(self.problem, self.feasible, CLAIM_SLACK) >= proved:
            return Outcome(made.status, best, hull.certificate, steps)
        return Outcome(made.status, best, proof, steps)


@dataclass(frozen=True, eq=False)
class _Made:
    """A followed path, in coordinates that give the lattice steps of 1 and H a mean diagonal of 1."""

    dual: SplitDual
    prepared: Prepared
    step: F64
    scale: float
    search: SplitSearch
    path: SplitPath
    status: Status

    @staticmethod
    def follow(dual: SplitDual, prepared: Prepared, lattice: Lattice, limits: Limits) -> _Made | None:
        """Follow the path; None where floating point finds no way in."""
        problem, alive = dual.problem, prepared.alive
        step = lattice.step[alive]
        root = prepared.root * step
        scale = float(np.sqrt(np.mean(root**2)))
        root = root / scale
        search = SplitSearch((problem.w[alive] - lattice.origin[alive]) / step, lattice.integers)
        A, expired = prepared.A * root[:, None] * root, limits.clock()
        path = _start(A, search, 0.9 * prepared.centre * root**2, expired, limits.seed)
        if path is None:
            return None
        nearest = problem.error(dual.feasible.nearest(problem.w)) / scale**2
        floor = max(NEGLIGIBLE * nearest, NOISE * len(step))
        status = _follow_rounds(dual, path, search, limits.tolerance, floor)
        return _Made(dual, prepared, step, scale, search, path, status)

    def rounded(self) -> F64:
        """Return a 1-optimal point, from the relaxation's minimiser."""
        problem, alive = self.dual.problem, self.prepared.alive
        guess = problem.w.copy()
        guess[alive] += self.path.point.u * self.step
        return descend(problem, self.dual.feasible, self.dual.feasible.nearest(guess))[0]

    def certificate(self) -> tuple[SplitCertificate, float]:
        """Return the certificate and its bound; the diagonal gives up what a proof about H itself needs."""
        margins = [0.0, *(self.prepared.margin * 10.0**k for k in range(6))]
        bounds = ((proof, self._bound(proof)) for proof in map(self._proof, margins))
        proof, proved = next((made for made in bounds if made[1] > -np.inf), (self._proof(0.0), -np.inf))
        y = self.search.c + self.path.point.u
        inside = replace(proof, u=self._spread((np.clip(y, 0, self.search.top) - self.search.c) * self.step))
        return max((proof, proved), (inside, self._bound(inside)), key=lambda made: made[1])

    def _bound(self, proof: SplitCertificate) -> float:
        return proof.bound(self.dual.problem, self.dual.feasible, CLAIM_SLACK)

    def _proof(self, margin: float) -> SplitCertificate:
        cuts, x, n = self.path.cuts, self.path.point.x, len(self.step)
        single = cuts.directions.entries == 1
        splits = cuts.take(~single)
        alone = cuts.take(single)
        d = alone.directions.gather(alone.alpha * x[single], n) * (self.scale / self.step) ** 2
        a, alive = splits.directions, self.prepared.alive
        assert (splits.kind == Kind.GAP).all(), "only single weights have ends"
        return SplitCertificate(
            self.dual.problem.digest,
            self._spread(d - margin * self.prepared.root**2),
            self._spread(self.path.point.u * self.step),
            a.start,
            alive[a.index],
            a.coefficient.astype(np.int64),
            splits.lo,
            x[~single] * self.scale**2,
        )

    def _spread(self, values: F64) -> F64:
        """Return values at the live inputs and 0 at the dead ones."""
        full = np.zeros(self.dual.problem.n)
        full[self.prepared.alive] = values
        return full


def _start(A: F64, search: SplitSearch, d: F64, expired: Callable[[], bool], seed: int) -> SplitPath | None:
    """Return the path at multipliers d of the gaps, those of the other cuts of the hull as much."""
    cuts = search.hull()
    width = search.integers[-1] - search.integers[-2]
    share = np.choose(cuts.kind, [1.0, float(width), float(search.integers[1]), UPPER_SHARE])
    return SplitPath.start(A, cuts, d[cuts.directions.index] * share, expired, seed)


def _follow_rounds(
    dual: SplitDual, path: SplitPath, search: SplitSearch, tolerance: float, floor: float
) -> Status:
    """Follow the path, with a look for broken cuts at each of a falling sequence of gaps."""
    for number in range(dual.rounds):
        status = path.follow(max(tolerance, FIRST_GAP * NEXT_GAP**number), floor)
        if status is not Status.BOUND or path.gap < floor:
            return status
        path.drop((path.cuts.directions.entries == 1) | (path.slacks() < IDLE))
        extra = _broken(dual, path, search)
        if len(extra) == 0:
            break
        path.extend(extra)
    if tolerance < SETTLED:
        status = path.follow(SETTLED, floor)
        if status is not Status.BOUND or path.gap < floor:
            return status
        path.drop((path.cuts.directions.entries == 1) | (path.slacks() < SETTLED))
    return path.follow(tolerance, floor)


def _broken(dual: SplitDual, path: SplitPath, search: SplitSearch) -> SplitCuts:
    """Return what to add, within the room that is left."""
    y, S, taken, n = search.c + path.point.u, path.covariance(), set(path.cuts.names()), len(search.c)
    singles = search.broken_singles(y, S, taken)
    room = MOST_CUTS - len(path.cuts) - len(singles)
    asked = n * sum(dual.per_weight)
    share = min(1.0, max(0, room) / asked) if asked else 0.0
    counts = tuple(int(share * n * count) for count in dual.per_weight)
    return singles + search.broken_splits(y, S, counts, taken)

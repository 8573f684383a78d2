"""From the path of levels under a budget to a certified bound for H itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from pvq.arrays import F64, I64
from pvq.solvers.certificates.joint import JointCertificate
from pvq.solvers.certificates.relaxed import RelaxedCertificate
from pvq.solvers.feasible import FiniteSet, SparseSet
from pvq.solvers.outcome import Certificate, Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.rounding import proves_psd
from pvq.solvers.sets.joint import JointSet
from pvq.solvers.solver import CLAIM_SLACK, Limits

from .finite import FiniteDual
from .joint_branches import Branches
from .joint_path import JointPath, Priced
from .prepared import Prepared, prepare
from .sparse import SparseDual

__all__ = ["JointDual"]

NEGLIGIBLE = 1e-7  # of the error of plain rounding: a bound below that is not worth more steps
NOISE = 1e-16  # per weight, in squared units: below it floating point does not see the bound
OFFSETS = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584, 4181, 6765, 10946)
MOST_BRANCHES = 40  # levels of one cost that the path looks at all together
LOOKS = (1e-1, 1e-2)  # relative gaps at which it looks again where the levels matter


@dataclass(frozen=True, eq=False)
class JointDual:
    """The diagonal dual bound of one row over levels under a budget.

    Parameters
    ----------
    problem, feasible : the row and its set
    relaxations : also bound the levels without budget and the support without levels, and keep the best
    """

    problem: LayerProblem
    feasible: JointSet
    relaxations: bool = True

    def run(self, limits: Limits) -> Outcome:
        """Return the best bound's certificate and the better of two rounded points."""
        start = perf_counter()
        prepared = prepare(self.problem.gram)
        outcomes = [self._joint(prepared, limits)] if self._is_bound_by_budget(prepared) else []
        if self.relaxations or not outcomes:
            outcomes.append(self._finite(_rest(limits, start)))
        if self.relaxations and self.feasible.nonzero < self.problem.n:
            outcomes.append(self._sparse(_rest(limits, start)))
        best = max(outcomes, key=self._proved)
        points = [p.point for p in outcomes if p.point is not None and self.feasible.contains(p.point)]
        points.append(self.feasible.nearest(self.problem.w))
        status = next((p.status for p in outcomes if p.status is Status.TIME_LIMIT), best.status)
        return Outcome(
            status, min(points, key=self.problem.error), best.certificate, sum(p.iterations for p in outcomes)
        )

    def _proved(self, outcome: Outcome) -> float:
        proof = outcome.certificate
        return -np.inf if proof is None else float(proof.bound(self.problem, self.feasible, CLAIM_SLACK))

    def _is_bound_by_budget(self, prepared: Prepared) -> bool:
        """Return whether live weights have levels of different costs, which the budget does not all pay."""
        costs = self.feasible.costs[self.feasible.affordable]
        dearest = int(costs.max())
        free = self.problem.n - len(prepared.alive)
        everything = dearest * len(prepared.alive) + int(costs.min()) * free
        return len(prepared.alive) > 0 and dearest > costs.min() and everything > self.feasible.budget

    def _finite(self, limits: Limits) -> Outcome:
        levels = self.feasible.relaxations()["finite"]
        assert isinstance(levels, FiniteSet), "the relaxation of that name"
        return _of_relaxation("finite", FiniteDual(self.problem, levels, hull=True).run(limits))

    def _sparse(self, limits: Limits) -> Outcome:
        support = self.feasible.relaxations()["sparse"]
        assert isinstance(support, SparseSet), "the relaxation of that name"
        return _of_relaxation("sparse", SparseDual(self.problem, support).run(limits))

    def _joint(self, prepared: Prepared, limits: Limits) -> Outcome:
        """Follow the path on normalised data; give up in d what a proof about H itself needs."""
        table, w = self.feasible.level_table(self.problem.n)[prepared.alive], self.problem.w[prepared.alive]
        unit = self._unit(table, w)
        scale = unit * float(np.sqrt(np.mean(prepared.root**2)))
        sampled = _Sampled((table - w[:, None]) * (prepared.root / scale)[:, None], self.feasible)
        path = JointPath(
            prepared.A,
            sampled.around(np.zeros(len(w))),
            0.9 * prepared.centre,
            limits.clock(),
            np.random.default_rng(limits.seed),
        )
        floor = max(NEGLIGIBLE * float((sampled.change**2).min(axis=1).sum()), NOISE * len(w))
        status = Status.BOUND
        for tolerance in (*(LOOKS if sampled.is_partial else ()), limits.tolerance):
            status = path.follow(max(tolerance, limits.tolerance), floor)
            if status is not Status.BOUND or tolerance <= limits.tolerance:
                break
            path.look_at(sampled.around(path.vertex()))
        best = path.best
        proof = self._certificate(prepared, best, prepared.root / scale, scale**2 / sampled.dearest)
        guess = self.problem.w.copy()
        guess[prepared.alive] += best.e * scale / prepared.root
        return Outcome(status, self.feasible.nearest(guess), proof, path.iterations)

    def _unit(self, table: F64, w: F64) -> float:
        """Return a weight difference that makes the numbers of the path neither large nor small."""
        spacing: float = float(np.mean(table[:, -1] - table[:, 0])) / (table.shape[1] - 1)
        return max(spacing, float(np.sqrt(np.mean(((table - w[:, None]) ** 2).min(axis=1)))))

    def _certificate(
        self, prepared: Prepared, best: Priced, stretch: F64, unit_price: float
    ) -> JointCertificate:
        """Return the certificate for H itself."""
        d, u, square = np.zeros(self.problem.n), np.zeros(self.problem.n), prepared.root**2
        u[prepared.alive] = best.e / stretch
        for margin in [0.0, *(prepared.margin * 10.0**k for k in range(6))]:
            d[prepared.alive] = (best.d - margin) * square
            if proves_psd(self.problem.H, d, CLAIM_SLACK):
                break
        return JointCertificate(self.problem.digest, d, u, best.t * unit_price)


@dataclass(frozen=True, eq=False)
class _Sampled:
    """The affordable branches of the live weights, thinned out where one cost has very many levels.

    The path looks at levels next to where each weight wants to go, and at ever fewer further away. The
    certificate looks at all of them.

    Parameters
    ----------
    change : (m, L) stretched level - w
    feasible : tells costs and budget
    """

    change: F64
    feasible: JointSet

    @property
    def dearest(self) -> int:
        """The largest affordable cost, the unit of prices."""
        return int(self.feasible.costs[self.feasible.affordable].max())

    @property
    def is_partial(self) -> bool:
        """Return whether the branches depend on where one looks."""
        return any(len(columns) > MOST_BRANCHES for _, columns in self._classes())

    def around(self, target: F64) -> Branches:
        """Return the branches to look at where each weight's change is about `target`, (m,)."""
        parts, prices = [], []
        for cost, columns in self._classes():
            part = self.change[:, columns]
            if len(columns) > MOST_BRANCHES:
                part = np.take_along_axis(part, _spread(part, target), axis=1)
            parts.append(part)
            prices.append(np.full(part.shape[1], cost / self.dearest))
        dead = self.feasible.n - len(self.change)
        budget = self.feasible.budget - dead * int(self.feasible.costs.min())
        return Branches(np.concatenate(parts, axis=1), np.concatenate(prices), budget / self.dearest)

    def _classes(self) -> list[tuple[int, I64]]:
        costs, affordable = self.feasible.costs, self.feasible.affordable
        return [(cost, np.flatnonzero(costs == cost)) for cost in np.unique(costs[affordable]).tolist()]


def _spread(part: F64, target: F64) -> I64:
    """Return indices of the levels next to each target and of ever sparser ones beyond, of rows of `part`."""
    last = part.shape[1] - 1
    steps = np.array(OFFSETS)
    offsets = np.concatenate([-steps[:0:-1], steps])
    position = np.abs(part - target[:, None]).argmin(axis=1)
    chosen = np.clip(position[:, None] + offsets[np.abs(offsets) <= last], 0, last)
    chosen[:, 0], chosen[:, -1] = 0, last
    return np.asarray(chosen)


def _of_relaxation(name: str, outcome: Outcome) -> Outcome:
    proof: Certificate | None = outcome.certificate
    return replace(outcome, certificate=None if proof is None else RelaxedCertificate(name, proof))


def _rest(limits: Limits, start: float) -> Limits:
    """Return the limits with the time that is left."""
    if limits.seconds is None:
        return limits
    return replace(limits, seconds=max(0.0, limits.seconds - (perf_counter() - start)))

"""Branch and bound over supports: best-first with diving, each part bounded by a relaxation of its own."""

from __future__ import annotations

import heapq
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import F64, Bool
from pvq.solvers.certificates.tree import ANCHOR, CLOSE, KEEP, KINDS, PRICE, REMOVE, TreeCertificate
from pvq.solvers.certificates.tree_leaf import KEPT, OPEN, REMOVED, Normal, complete
from pvq.solvers.rounding import psd_shift
from pvq.solvers.solver import CLAIM_SLACK

from .branches import Region
from .reduce import Whole, active_of, reduce_to_part
from .relax import (
    BEST,
    CLOSED,
    HAS_START,
    ITERATIONS,
    RUNNING,
    SHRINK,
    STUCK,
    Iterate,
    Trail,
    branching_scores,
    confirm_best,
    relax,
)
from .start import new_trail
from .start import start as begin
from .tree import Multipliers, Node, Start, TreeState

__all__ = ["PruningSearch"]

MARGIN = 1e-7  # by which leaves without the best point must beat it, so that rounding does not matter
STEPS = 120  # of the barrier method at one part
WORK = 1e9  # multiplications in one call of a kernel, less than a second
KEPT_SHARE = 1e-8  # of the floor: the diagonal of kept weights in proofs
BLEND = 0.2  # of the root's diagonal in a start
SHRINKAGE = 2e-6  # by which stored diagonals are smaller, so that rounding to float32 keeps them provable
State = NDArray[np.int8]


class PruningSearch:
    """The search over one row; all its progress is in `tree`.

    Parameters
    ----------
    normal : the problem
    tree : a new tree or one to be taken up again, its best support included
    price : the error of the best point on a support in normal units, and its x - w
    floor : H - floor * identity is positive definite, with room for rounding
    """

    def __init__(
        self, normal: Normal, tree: TreeState, price: Callable[[Bool], tuple[float, F64]], floor: float
    ) -> None:
        self.normal, self.tree, self.price, self.floor = normal, tree, price, floor
        n = len(normal.w)
        self.whole = Whole(
            normal.H,
            normal.w,
            normal.low,
            normal.high,
            normal.group,
            normal.quota,
            normal.boxed,
            1.05 * CLAIM_SLACK * psd_shift(n) * np.diagonal(normal.H),
            KEPT_SHARE * floor,
            _scaled_floor(normal.H),
        )
        self.upper = price(tree.kept)[0]
        self.shrink = SHRINKAGE
        if not tree.open and tree.nodes[0].is_fresh:
            state = np.zeros(n, dtype=np.int8)
            complete(state, normal.group, normal.quota)
            zero = np.zeros(n, dtype=np.float32)
            tree.open[0] = Start(state, 0.0, zero, zero)
        self.queue = [(start.bound, number) for number, start in tree.open.items()]
        heapq.heapify(self.queue)

    @property
    def lower(self) -> float:
        """The bound that all open nodes leave, in normal units."""
        return min([self.upper, *(start.bound for start in self.tree.open.values())])

    def run(self, expired: Callable[[], bool], nodes: int) -> bool:
        """Search until every part is closed, or time or nodes are used up; return whether closed."""
        following = -1
        while True:
            number = following if following in self.tree.open else self._best_open()
            if number < 0:
                return True
            if expired() or self.tree.done >= nodes:
                return False
            following = self._process(number, expired)
            self.tree.done += following != number

    def certificate(self, problem: str) -> TreeCertificate:
        """Return the proof of what was reached."""
        program, d, e = self.tree.program()
        return TreeCertificate(problem, program, d, e, self.whole.kept, self.floor)

    def _best_open(self) -> int:
        """Return the open node of least bound that may hold a better point, -1 if there is none."""
        while self.queue:
            bound, number = heapq.heappop(self.queue)
            if number in self.tree.open and bound < self.upper * (1.0 + MARGIN):
                return number
        return -1

    def _process(self, number: int, expired: Callable[[], bool]) -> int:
        """Close a node or branch; return the child to dive into, -1 at a leaf, the node if time is up."""
        start, node = self.tree.open[number], self.tree.nodes[number]
        while (start.state == OPEN).any():
            region = self._region(start.state)
            at = self._started(region, start)
            trail = new_trail(len(at.d))
            verdict = self._relaxed(region, at, trail, expired)
            if verdict == RUNNING:
                self._interrupted(number, start, region, at, trail)
                return number
            if verdict == CLOSED:
                del self.tree.open[number]
                node.prove(Multipliers(trail.d[0].copy(), trail.e[0].copy()))
                node.program.append(CLOSE)
                return -1
            start = self._restarted(start, region, at)
            if not (trail.side > 0).any():
                return self._branched(number, start, region, at, trail)
            start = self._fixed(node, start, trail)
            self.tree.open[number] = start
        self._decided(number, start.state)
        return -1

    def _region(self, state: State) -> Region:
        region, definite = reduce_to_part(self.whole, state)
        if not definite:
            raise np.linalg.LinAlgError("a part of H is not positive definite in floating point")
        return region

    def _started(self, region: Region, start: Start) -> Iterate:
        """Return a strictly feasible start: from the parent's multipliers where there are any."""
        active = active_of(self.whole, start.state)
        d, e = start.d[active].astype(np.float64), start.e[active].astype(np.float64)
        gap = self.upper * (1.0 + MARGIN) - region.constant
        if d.min() > 0:
            d = (1.0 - BLEND) * d + BLEND * self.whole.inside[active]
            at, feasible = begin(region, d, e - region.ahead, gap, self.shrink, True)
            if feasible:
                return at
        at, feasible = begin(region, _scaled_floor(region.H), np.zeros(len(d)), gap, self.shrink, False)
        if not feasible:
            raise np.linalg.LinAlgError("a part of H is singular in floating point")
        return at

    def _relaxed(self, region: Region, at: Iterate, trail: Trail, expired: Callable[[], bool]) -> int:
        """Run the barrier method in calls short enough to be interrupted; RUNNING means that time is up."""
        share = max(1, int(WORK / (12.0 * len(at.d) ** 3 + 1.0)))
        while at.number[ITERATIONS] < STEPS:
            before = at.number[ITERATIONS]
            verdict = relax(region, at, trail, min(share, STEPS - int(before)), True)
            self.shrink = min(max(self.shrink, at.number[SHRINK] / 8.0), 1e-3)
            if verdict != RUNNING:
                return int(verdict)
            if expired():
                return RUNNING
        return STUCK

    def _restarted(self, start: Start, region: Region, at: Iterate) -> Start:
        """Return the start for what is left of the part, with the bound reached."""
        active = active_of(self.whole, start.state)
        d, e = np.zeros_like(start.d), np.zeros_like(start.e)
        early = at.number[HAS_START] > 0
        d[active] = at.start_d if early else at.d
        e[active] = (at.start_e if early else np.zeros(len(active))) + region.ahead
        return Start(start.state, start.bound, d, e)

    def _interrupted(self, number: int, start: Start, region: Region, at: Iterate, trail: Trail) -> None:
        """Leave a node open with the bound reached."""
        bound = float(at.number[BEST]) + region.constant
        if bound > start.bound and confirm_best(region, at, trail):
            self.tree.nodes[number].prove(Multipliers(trail.d[0].copy(), trail.e[0].copy()))
            start = start._replace(bound=bound)
        self.tree.open[number] = start
        heapq.heappush(self.queue, (start.bound, number))

    def _fixed(self, node: Node, start: Start, trail: Trail) -> Start:
        """Write down the weights that were fixed, proof by proof, and fix them."""
        active, state = active_of(self.whole, start.state), start.state.copy()
        for row in np.unique(trail.fixed[trail.side > 0]):
            members = np.flatnonzero((trail.fixed == row) & (trail.side > 0))
            if not (state[active[members]] == OPEN).any():
                continue
            node.prove(Multipliers(trail.d[row].copy(), trail.e[row].copy()))
            for j in members:
                if state[active[j]] == OPEN:
                    node.program.append(KINDS * int(active[j]) + (KEEP if trail.side[j] == 1 else REMOVE))
                    state[active[j]] = KEPT if trail.side[j] == 1 else REMOVED
                    complete(state, self.normal.group, self.normal.quota)
        node.program.append(ANCHOR)
        return start._replace(state=state)

    def _branched(self, number: int, start: Start, region: Region, at: Iterate, trail: Trail) -> int:
        """Branch on the weight with the largest score; return the child that rounding prefers."""
        active, node = active_of(self.whole, start.state), self.tree.nodes[number]
        j = int(np.argmax(branching_scores(region, at)))
        bound = float(at.number[BEST]) + region.constant
        if bound > start.bound and confirm_best(region, at, trail):
            node.last = Multipliers(trail.d[0].copy(), trail.e[0].copy())
            start = start._replace(bound=bound)
        del self.tree.open[number]
        removed, kept = start.state.copy(), start.state.copy()
        removed[active[j]], kept[active[j]] = REMOVED, KEPT
        for state in (removed, kept):
            complete(state, self.normal.group, self.normal.quota)
        children = self.tree.branch(
            number, int(active[j]), start._replace(state=removed), start._replace(state=kept)
        )
        for child in children:
            heapq.heappush(self.queue, (start.bound, child))
        return children[0] if trail.share[j] >= 0.5 else children[1]

    def _decided(self, number: int, state: State) -> None:
        """Price a leaf in which every weight is decided; keep its support if it is the best."""
        error, change = self.price(state == KEPT)
        if error < self.upper:
            self.upper, self.tree.kept = error, state == KEPT
        node = self.tree.nodes[number]
        del self.tree.open[number]
        if self.normal.boxed:
            active = active_of(self.whole, state)
            d = np.full(len(active), 0.9 * self.floor, dtype=np.float32)
            node.prove(Multipliers(d, change[active].astype(np.float32)))
            node.program.append(CLOSE)
        else:
            node.program.append(PRICE)


def _scaled_floor(H: F64) -> F64:
    """Return 0.7 lambda s^2 with s_i^2 = 1 / (H^-1)_ii and lambda the least eigenvalue of H scaled by s."""
    s = 1.0 / np.sqrt(np.diagonal(np.linalg.inv(H)))
    least = float(np.linalg.eigvalsh(H / s[:, None] / s[None, :])[0])
    return np.asarray(0.7 * max(least, 0.0) * s * s)

"""Which of the endlessly many cuts across weights to add: the broken ones with the least variance.

On the central path the relaxation's minimiser y has mean w + u and covariance S = mu Z. A split along an
integer vector a is broken by v = f (1 - f) - a'Sa with f the fraction of a'y. Almost all broken ones are
broken by nearly 1/4, so the violation v alone tells little; what a multiplier can gain grows like v / a'Sa,
which is the score here. The best scores crowd on few weights, and many cuts of few weights say the same:
no weight may take part in more than CROWD times its even share of the cuts of one round.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64, I64, Bool

from .split_cuts import Directions, Kind, SplitCuts

__all__ = ["SplitSearch"]

BROKEN = 0.01  # least violation of a split; at most 1/4
LEFT = 0.02  # steps by which y must leave a cell or the box before another cut of that weight is added
CROWD = 1.5
POOL = 10  # pairs per weight that are extended to triples
LOOKED_AT = 30  # candidates per weight that compete for the places of a round
CHUNK = 2**21  # candidates scored at once


@dataclass(frozen=True, eq=False)
class _Candidates:
    """K integer vectors with r entries +-1, indices increasing, the first sign +, and their scores."""

    index: I64
    sign: F64
    score: F64

    def best(self, count: int) -> _Candidates:
        """Return the `count` best, best first; equal scores in the order they come."""
        order = np.argsort(-self.score, kind="stable")[:count]
        return _Candidates(self.index[order], self.sign[order], self.score[order])


@dataclass(frozen=True, eq=False)
class SplitSearch:
    """Cuts for weights c (n,), in units of the lattice, whose levels are the given integers.

    >>> search = SplitSearch(np.array([0.4, 3.5]), np.array([0, 1, 2]))
    >>> search.hull().kind.tolist()
    [0, 0, 1, 2, 3]
    """

    c: F64
    integers: I64

    @property
    def top(self) -> int:
        """The largest level."""
        return int(self.integers[-1])

    def hull(self) -> SplitCuts:
        """Return the gap around each weight, the box for the outermost gaps, the arch beyond the ends."""
        n, c, levels = len(self.c), self.c, self.integers
        masks = [c > levels[-2], c < levels[1], (c < 0) | (c > self.top)]
        return self._gaps(np.arange(n), c) + self._ends([np.flatnonzero(mask) for mask in masks])

    def broken_singles(self, y: F64, S: F64, taken: set[tuple[int, ...]]) -> SplitCuts:
        """Return the cuts of single weights that are broken and not taken."""
        lo, hi = self._cell(self.c)
        away = np.flatnonzero((y < lo - LEFT) | (y > hi + LEFT))
        over = y * (self.top - y) - np.diagonal(S) < -LEFT
        masks = [y > self.top + LEFT, y < -LEFT, over]
        found = self._gaps(away, y) + self._ends([np.flatnonzero(mask) for mask in masks])
        return found.take(_fresh(found, taken))

    def broken_splits(
        self, y: F64, S: F64, counts: tuple[int, ...], taken: set[tuple[int, ...]]
    ) -> SplitCuts:
        """Return about `counts` broken splits of two, three, ... weights that are not taken."""
        n = len(y)
        looked_at = LOOKED_AT * n + len(taken)
        found = _pairs(y, S, looked_at)
        chosen = self._splits(found, y, counts[0], taken)
        for size, count in enumerate(counts[1:], 3):
            if n < size or len(found.score) == 0 or not any(counts[size - 2 :]):
                break
            found = _extended(y, S, found.best(POOL * n), 2 * looked_at)
            chosen += self._splits(found, y, count, taken)
        return chosen

    def _splits(self, found: _Candidates, y: F64, count: int, taken: set[tuple[int, ...]]) -> SplitCuts:
        """Return the best of the candidates, spread over the weights."""
        directions = Directions.of(found.index, found.sign)
        lo = np.floor(directions.along(y)).astype(np.int64)
        cuts = SplitCuts.of(directions, self.c, np.full(len(lo), Kind.GAP), lo, lo + 1)
        return cuts.take(_spread_out(found.index, _fresh(cuts, taken), count, len(y)))

    def _cell(self, t: F64) -> tuple[I64, I64]:
        """Return the neighbouring levels around t, the outermost two beyond the ends."""
        k = np.clip(np.searchsorted(self.integers, t, side="right") - 1, 0, len(self.integers) - 2)
        return self.integers[k], self.integers[k + 1]

    def _gaps(self, index: I64, y: F64) -> SplitCuts:
        kind = np.full(len(index), Kind.GAP)
        return SplitCuts.of(Directions.units(index), self.c, kind, *self._cell(y[index]))

    def _ends(self, where: list[I64]) -> SplitCuts:
        """Return TOP, BOTTOM and ARCH at the given weights; of two levels the arch is the gap reversed."""
        kinds = [Kind.TOP, Kind.BOTTOM, Kind.ARCH]
        if len(self.integers) == 2:
            where, kinds = where[:2], kinds[:2]
        index = np.concatenate(where)
        kind = np.repeat(np.array(kinds, dtype=np.int64), [len(places) for places in where])
        lo, hi = np.zeros(len(index), dtype=np.int64), np.full(len(index), self.top)
        return SplitCuts.of(Directions.units(index), self.c, kind, lo, hi)


def _fresh(cuts: SplitCuts, taken: set[tuple[int, ...]]) -> Bool:
    return np.array([key not in taken for key in cuts.names()], dtype=np.bool_)


def _spread_out(index: I64, fresh: Bool, count: int, n: int) -> Bool:
    """Mark the first `count` fresh ones that crowd no weight."""
    marked = np.zeros(len(index), dtype=np.bool_)
    used, most = [0] * n, CROWD * count * index.shape[1] / n
    for m in np.flatnonzero(fresh).tolist():
        weights = index[m].tolist()
        if count <= 0:
            break
        if max(used[i] for i in weights) < most:
            marked[m] = True
            count -= 1
            for i in weights:
                used[i] += 1
    return marked


def _score(t: F64, variance: F64) -> F64:
    """Return violation / variance of the split around t, -1 where it is hardly broken."""
    fraction = t - np.floor(t)
    violation = fraction * (1.0 - fraction) - variance
    return np.where(violation > BROKEN, violation / np.maximum(variance, 1e-300), -1.0)


def _pairs(y: F64, S: F64, most: int) -> _Candidates:
    """Return the pairs e_i +- e_j of best score."""
    first, second = np.triu_indices(len(y), 1)
    spread, common = np.diagonal(S)[first] + np.diagonal(S)[second], 2.0 * S[first, second]
    scores = [_score(y[first] + sign * y[second], spread + sign * common) for sign in (1.0, -1.0)]
    score = np.concatenate(scores)
    chosen = _largest(score, most)
    pair = chosen % len(first)
    sign = np.where(chosen < len(first), 1.0, -1.0)
    index = np.stack([first[pair], second[pair]], axis=1)
    found = _Candidates(index, np.stack([np.ones(len(sign)), sign], axis=1), score[chosen])
    return found.best(most)


def _extended(y: F64, S: F64, base: _Candidates, most: int) -> _Candidates:
    """Return the vectors base +- e_k of best score, each once."""
    rows = max(1, CHUNK // len(y))
    parts = [
        _extend(y, S, base.index[start : start + rows], base.sign[start : start + rows], most)
        for start in range(0, len(base.score), rows)
    ]
    index, sign, score = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(index, axis=1, kind="stable")
    index, sign = np.take_along_axis(index, order, 1), np.take_along_axis(sign, order, 1)
    sign = sign * sign[:, :1]
    _, once = np.unique(np.concatenate([index, sign.astype(np.int64)], axis=1), axis=0, return_index=True)
    return _Candidates(index[once], sign[once], score[once]).best(most)


def _extend(y: F64, S: F64, index: I64, sign: F64, most: int) -> tuple[I64, F64, F64]:
    """Return indices, signs and scores of the best extensions of some vectors."""
    count, n = len(index), len(y)
    image = np.einsum("mr,mrj->mj", sign, S[index])
    variance = (sign * np.take_along_axis(image, index, 1)).sum(1)
    t = (sign * y[index]).sum(1)
    scores = np.empty((2, count, n))
    for i, new in enumerate((1.0, -1.0)):
        spread = variance[:, None] + np.diagonal(S) + 2.0 * new * image
        scores[i] = _score(t[:, None] + new * y, spread)
        np.put_along_axis(scores[i], index, -1.0, axis=1)
    chosen = _largest(scores.ravel(), most)
    which, row, added = np.unravel_index(chosen, scores.shape)
    signs = np.column_stack([sign[row], np.where(which == 0, 1.0, -1.0)])
    return np.column_stack([index[row], added]), signs, scores.ravel()[chosen]


def _largest(score: F64, most: int) -> I64:
    """Return, in order of place, where the `most` largest positive scores are."""
    places = np.flatnonzero(score > 0)
    if len(places) > most:
        places = np.sort(places[np.argpartition(-score[places], most)[:most]])
    return places

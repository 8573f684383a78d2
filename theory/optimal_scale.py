"""The scale of a number format that is globally best for a tensor of weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from pvq.arrays import F64, I64, as_f64
from pvq.theory.sorted_weights import SortedWeights

__all__ = ["optimal_scale"]

LEAF = 4096  # breakpoints that an interval may hold to be solved outright
BATCH = 512  # intervals looked at together; bounds the memory
WIDEST = 1e100  # ratio of magnitudes whose squares still fit
NARROWEST = 2.0**-46  # relative width below which an interval is solved whatever it holds


def optimal_scale(w: ArrayLike | SortedWeights, levels: ArrayLike) -> float:
    """Return a global minimiser over s > 0 of E(s) = sum_i (w_i - s * nearest(w_i / s))^2.

    Parameters
    ----------
    w : weights of any shape, finite, not all zero; sorted beforehand where several formats are tried
    levels : (L,) strictly increasing, at unit scale, such as -8 ... 7

    Raises
    ------
    ValueError : NaN, infinity or no element; levels that do not increase; all weights zero; no scale that
        brings the error below that of setting every weight to zero, or none that is finite

    Notes
    -----
    With l_i(s) the level that w_i rounds to, A(s) = sum_i w_i l_i(s) and B(s) = sum_i l_i(s)^2,
    E(s) = ||w||^2 - 2 s A(s) + s^2 B(s), and A, B only change where some w_i / s crosses a cell edge.

    *Why the minimum is global.* As s grows, w_i / s moves towards 0, so |l_i(s)| never grows and B never
    grows. E is a minimum of parabolas, one for each assignment, so its kinks bend downwards. On [a, b]
    every piece of E(s) - B(a) s^2 has second derivative 2 B(s) - 2 B(a) <= 0, hence that function is
    concave and lies above its chord:

        E(s) >= ((b - s) E(a) + (s - a) E(b)) / (b - a) - B(a) (s - a) (b - s).

    An interval whose right side exceeds an error already attained holds no minimiser and is dropped; the
    others are halved until they hold few breakpoints, and then every piece is visited. The best parabola
    reaches ||w||^2 - A^2 / B at s = A / B; E lies below each parabola, so the best value over the pieces is
    attained, and no piece is left out. Sums over cells come from prefix sums over the sorted weights: one
    E(s) costs O(L log n), the sort O(n log n). Statements hold up to rounding, about 1e-15 ||w||^2.

    >>> optimal_scale([1.0, 2.0, 3.0], [-1.0, 0.0, 1.0])
    2.5
    """
    unit = as_f64(levels, "levels", ndim=1)
    if (np.diff(unit) <= 0).any():
        raise ValueError(f"levels must be strictly increasing, got {unit}")
    weights = w if isinstance(w, SortedWeights) else SortedWeights.of(_sorted(w))
    size, reach = weights.exponent, int(np.frexp(np.abs(unit).max())[1])  # powers of two: exact
    tensor = _Tensor(weights, np.ldexp(unit, -reach))
    if tensor.last_breakpoint > WIDEST:
        raise ValueError(f"levels must not leave edges below {1 / WIDEST:g} of the largest level, got {unit}")
    try:
        return max(math.ldexp(_search(tensor), size - reach), math.ulp(0.0))
    except OverflowError as error:
        raise ValueError(f"levels must be large enough for a finite scale, got {unit}") from error


def _sorted(w: ArrayLike) -> F64:
    weights = np.sort(as_f64(w, "w"), axis=None)
    if not weights.any():
        raise ValueError("w must hold a weight that is not zero: at all zeros every scale is as good")
    return weights


class _Points(NamedTuple):
    """E and its parts at m scales: cell borders as positions among the sorted weights, A, B and E."""

    s: F64  # (m,)
    border: I64  # (m, L - 1)
    A: F64  # (m,)
    B: F64  # (m,)
    E: F64  # (m,)

    def take(self, where: I64) -> _Points:
        return _Points(self.s[where], self.border[where], self.A[where], self.B[where], self.E[where])


class _Best(NamedTuple):
    error: float
    s: float


@dataclass(frozen=True)
class _Tensor:
    """Sorted weights, and the levels they round to."""

    weights: SortedWeights
    levels: F64  # (L,)

    @property
    def square(self) -> float:
        return self.weights.square

    @property
    def edges(self) -> F64:
        return self.levels[:-1] + 0.5 * np.diff(self.levels)

    @property
    def last_breakpoint(self) -> float:
        """The largest s at which a weight crosses an edge; 0 if none ever does."""
        edges = self.edges
        lowest, highest = self.weights.scaled(np.array([0, self.weights.values.size - 1]))
        above = highest / edges[edges > 0][:1]
        below = lowest / edges[edges < 0][-1:]
        return float(max(0.0, *above, *below))

    def at(self, s: F64) -> _Points:
        border = self.weights.border(s[:, None] * self.edges)
        rise, rise_of_square = np.diff(self.levels), np.diff(self.levels**2)
        A = self.levels[-1] * self.weights.anchors[-1] - self.weights.total(border) @ rise
        B = self.levels[-1] ** 2 * self.weights.size - self.weights.count(border) @ rise_of_square
        return _Points(s, border, A, B, self.square - 2 * s * A + s * s * B)

    def vertex(self, A: F64, B: F64) -> _Best:
        """Return the lowest vertex of the parabolas with these A and B, s > 0."""
        s = np.divide(A, B, out=np.zeros_like(A), where=(A > 0) & (B > 0))
        error = np.where(s > 0, self.square - A * s, np.inf)
        best = int(np.argmin(error))
        return _Best(float(error[best]), float(s[best]))


def _search(tensor: _Tensor, leaf: int = LEAF) -> float:
    """Branch and bound over s; see `optimal_scale`."""
    ends = tensor.at(np.array([0.0, max(tensor.last_breakpoint * (1 + 1e-9), 1.0)]))
    best = tensor.vertex(ends.A, ends.B)
    stack = [(ends.take(np.array([0])), ends.take(np.array([1])))]
    while stack:
        lo, hi = stack.pop()
        open_ = np.flatnonzero(_lower_bound(lo, hi) < best.error)
        lo, hi = lo.take(open_), hi.take(open_)
        crossings = np.abs(hi.border - lo.border).sum(axis=1)
        small = (crossings <= leaf) | (hi.s - lo.s <= NARROWEST * hi.s)
        best = min(best, _solve_leaves(tensor, lo.take(small.nonzero()[0]), hi.take(small.nonzero()[0])))
        wide = np.flatnonzero(~small)
        if wide.size:
            lo, hi = lo.take(wide), hi.take(wide)
            middle = tensor.at(0.5 * (lo.s + hi.s))
            best = min(best, tensor.vertex(middle.A, middle.B))
            stack += _batches(_join(lo, middle), _join(middle, hi))
    if best.error >= tensor.square:
        raise ValueError("levels must hold one of the sign of some weight: no scale is better than all zeros")
    return best.s


def _lower_bound(lo: _Points, hi: _Points) -> F64:
    """Return the least value of chord minus parabola on each interval."""
    width, rise, K = hi.s - lo.s, hi.E - lo.E, lo.B
    steepness = K * width**2
    t = np.clip(0.5 - np.divide(rise, 2 * steepness, out=np.zeros_like(rise), where=steepness > 0), 0, 1)
    inside: F64 = lo.E + t * rise - steepness * t * (1 - t)
    return np.where(steepness > 0, inside, np.minimum(lo.E, hi.E))


def _solve_leaves(tensor: _Tensor, lo: _Points, hi: _Points) -> _Best:
    """Return the lowest vertex over every piece of E on the intervals."""
    leaf, edge, position = _crossings(lo.border, hi.border)
    if not leaf.size:
        return tensor.vertex(np.append(lo.A, 0.0), np.append(lo.B, 0.0))
    order = np.lexsort((tensor.weights.scaled(position) / tensor.edges[edge], leaf))
    leaf, edge, position = leaf[order], edge[order], position[order]
    number, value = tensor.weights.number(position), tensor.weights.scaled(position)
    towards_zero = -np.sign(tensor.edges[edge])  # which way the weight's level moves as s grows
    step_A = towards_zero * np.diff(tensor.levels)[edge] * value * number
    step_B = towards_zero * np.diff(tensor.levels**2)[edge] * number
    A, B = (_running(start, step, leaf) for start, step in ((lo.A, step_A), (lo.B, step_B)))
    return min(tensor.vertex(A, B), tensor.vertex(lo.A, lo.B))


def _crossings(before: I64, after: I64) -> tuple[I64, I64, I64]:
    """Return interval, edge and weight of every crossing, from the borders at both ends (m, L - 1)."""
    start, number = np.minimum(before, after), np.abs(after - before)
    interval, edge = np.nonzero(number)
    sizes, starts = number[interval, edge], start[interval, edge]
    offset = np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
    return np.repeat(interval, sizes), np.repeat(edge, sizes), offset + np.arange(offset.size)


def _running(start: F64, steps: F64, interval: I64) -> F64:
    """Return start[interval] plus the running sum of the steps within each interval; sorted by interval."""
    running = np.cumsum(steps)
    first = np.searchsorted(interval, np.arange(start.size))
    before = np.append(0.0, running)[first]
    return np.asarray((start - before)[interval] + running)


def _join(left: _Points, right: _Points) -> _Points:
    s, A, B, E = (np.concatenate(parts) for parts in zip(_floats(left), _floats(right), strict=True))
    return _Points(s, np.concatenate([left.border, right.border]), A, B, E)


def _floats(points: _Points) -> tuple[F64, F64, F64, F64]:
    return points.s, points.A, points.B, points.E


def _batches(lo: _Points, hi: _Points) -> list[tuple[_Points, _Points]]:
    """Return the intervals in batches; the one with the lowest bounds last, to be looked at first."""
    order = np.argsort(-_lower_bound(lo, hi), kind="stable")
    parts = np.array_split(order, -(-order.size // BATCH))
    return [(lo.take(part), hi.take(part)) for part in parts]

"""The best single move, or pair of moves, among levels whose costs must stay within a budget."""

from __future__ import annotations

from pvq.arrays import F64, I64

from .jit import kernel
from .levels import nearest_level

__all__ = ["improve"]


@kernel
def improve(
    H: F64,
    x: F64,
    slope: F64,
    chosen: I64,
    levels: F64,
    edges: F64,
    scales: F64,
    costs: I64,
    slack: int,
    pairs: bool,
    most: int,
) -> tuple[int, int]:
    """Make the best affordable move again and again, at most `most` times, in place.

    Parameters
    ----------
    H : (n, n) symmetric
    x, slope : (n,) levels and H (x - w)
    chosen : (n,) cost class of each weight
    levels, edges : (C, L), (C, L - 1): codebook of each class, padded with its last level and inf
    scales : (n,)
    costs : (C,) increasing
    slack : what is left of the budget
    pairs : look for moves of two weights, one to a cheaper class and one to a dearer, where none moves alone

    Returns
    -------
    how many moves were made, and what is left of the budget
    """
    for made in range(most):
        i, c, level = _single(H, x, slope, chosen, levels, edges, scales, costs, slack)
        if i >= 0:
            slack -= costs[c] - costs[chosen[i]]
            _move(H, x, slope, chosen, i, c, level)
            continue
        if not pairs:
            return made, slack
        i, c, level, j, e, other = _pair(H, x, slope, chosen, levels, edges, scales, costs, slack)
        if i < 0:
            return made, slack
        slack -= costs[c] - costs[chosen[i]] + costs[e] - costs[chosen[j]]
        _move(H, x, slope, chosen, i, c, level)
        _move(H, x, slope, chosen, j, e, other)
    return most, slack


@kernel
def _move(H: F64, x: F64, slope: F64, chosen: I64, i: int, c: int, level: float) -> None:
    step = level - x[i]
    x[i], chosen[i] = level, c
    for j in range(len(x)):
        slope[j] += step * H[i, j]


@kernel
def _single(
    H: F64, x: F64, slope: F64, chosen: I64, levels: F64, edges: F64, scales: F64, costs: I64, slack: int
) -> tuple[int, int, float]:
    """Return weight, class and level of the best affordable single move, weight -1 if none gains."""
    best, weight, kind, target = 0.0, -1, -1, 0.0
    for i in range(len(x)):
        curvature = H[i, i]
        if curvature <= 0.0:
            continue
        for c in range(len(costs)):
            if costs[c] - costs[chosen[i]] > slack:
                continue
            level = nearest_level(levels[c], edges[c], scales[i], x[i] - slope[i] / curvature)
            step = level - x[i]
            change = step * (2.0 * slope[i] + step * curvature)
            if change < best and change < -1e-12 * step * step * curvature:
                best, weight, kind, target = change, i, c, level
    return weight, kind, target


@kernel
def _pair(
    H: F64, x: F64, slope: F64, chosen: I64, levels: F64, edges: F64, scales: F64, costs: I64, slack: int
) -> tuple[int, int, float, int, int, float]:
    """Return weight, class and level of both moves of the best pair, the cheaper first; -1 if none gains."""
    best, i, c, level, j, e, other = 0.0, -1, -1, 0.0, -1, -1, 0.0
    for a in range(len(x)):
        for k in range(chosen[a]):
            near = x[a] if H[a, a] <= 0.0 else x[a] - slope[a] / H[a, a]
            down = nearest_level(levels[k], edges[k], scales[a], near)
            step = down - x[a]
            loss = step * (2.0 * slope[a] + step * H[a, a])
            room = slack + costs[chosen[a]] - costs[k]
            limit = min(best, -1e-10 * abs(loss))
            gain, b, m, up = _answer(
                H, x, slope, chosen, levels, edges, scales, costs, room, a, step, limit - loss
            )
            if b >= 0:
                best, i, c, level, j, e, other = loss + gain, a, k, down, b, m, up
    return i, c, level, j, e, other


@kernel
def _answer(
    H: F64,
    x: F64,
    slope: F64,
    chosen: I64,
    levels: F64,
    edges: F64,
    scales: F64,
    costs: I64,
    room: int,
    a: int,
    step: float,
    limit: float,
) -> tuple[float, int, int, float]:
    """Return the best dearer move once weight a has moved by `step`, if its change is below the limit."""
    best, weight, kind, target = limit, -1, -1, 0.0
    for b in range(len(x)):
        curvature = H[b, b]
        if b == a or curvature <= 0.0:
            continue
        pull = slope[b] + step * H[a, b]
        if -pull * pull / curvature >= best:
            continue
        for m in range(chosen[b] + 1, len(costs)):
            if costs[m] - costs[chosen[b]] > room:
                break
            level = nearest_level(levels[m], edges[m], scales[b], x[b] - pull / curvature)
            move = level - x[b]
            change = move * (2.0 * pull + move * curvature)
            if change < best:
                best, weight, kind, target = change, b, m, level
    return best, weight, kind, target

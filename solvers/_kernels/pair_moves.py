"""Moves of two weights at once, and kicks followed by descent, on levels of one row."""

from __future__ import annotations

from pvq.arrays import F64, I64

from .descent import sweep_row
from .jit import kernel
from .levels import index_of

__all__ = ["kick_and_descend", "settle"]

MOST_SWEEPS = 200


@kernel
def kick_and_descend(
    H: F64, x: F64, slope: F64, levels: F64, edges: F64, scales: F64, where: I64, up: F64
) -> int:
    """Move the weights where[k] to a neighbouring level, settle, and go back unless that lowered the error.

    Parameters
    ----------
    H : (n, n) symmetric
    x, slope : (n,) levels and H (x - w), settled
    levels, edges, scales : (L,), (L - 1,), (n,)
    where, up : (kicks, size) weights, and draws in [0, 1): up from a half

    Returns
    -------
    how many kicks were kept
    """
    kept = 0
    for k in range(len(where)):
        old_x, old_slope, change = x.copy(), slope.copy(), 0.0
        for i, draw in zip(where[k], up[k]):  # noqa: B905 - numba knows no strict
            change += _step(H, x, slope, levels, edges, scales, i, 1 if draw >= 0.5 else -1)
        change += settle(H, x, slope, levels, edges, scales, MOST_SWEEPS)
        if change < -1e-9 * abs(old_slope @ (x - old_x)) and change < 0.0:
            kept += 1
        else:
            x[:], slope[:] = old_x, old_slope
    return kept


@kernel
def settle(H: F64, x: F64, slope: F64, levels: F64, edges: F64, scales: F64, sweeps: int) -> float:
    """Descend by single moves and by pairs until neither helps, in place; return the change of the error.

    Parameters
    ----------
    sweeps : over all pairs, at most
    """
    change = 0.0
    for _ in range(sweeps):
        before = change
        for _ in range(MOST_SWEEPS):
            single = sweep_row(H, x, slope, levels, edges, scales)
            change += single
            if single >= 0.0:
                break
        change += _pair_sweep(H, x, slope, levels, edges, scales)
        if change >= before:
            break
    return change


@kernel
def _step(H: F64, x: F64, slope: F64, levels: F64, edges: F64, scales: F64, i: int, direction: int) -> float:
    """Move one weight to the next level above or below, if there is one; return the change of the error."""
    now = index_of(edges, x[i] / scales[i])
    then = min(max(now + direction, 0), len(levels) - 1)
    return _move(H, x, slope, i, scales[i] * levels[then])


@kernel
def _move(H: F64, x: F64, slope: F64, i: int, level: float) -> float:
    step = level - x[i]
    if step == 0.0:
        return 0.0
    change = step * (2.0 * slope[i] + step * H[i, i])
    x[i] = level
    for j in range(len(x)):
        slope[j] += step * H[i, j]
    return float(change)


@kernel
def _pair_sweep(H: F64, x: F64, slope: F64, levels: F64, edges: F64, scales: F64) -> float:
    """For each weight, a step to a neighbouring level with the best answer of another one, if that gains."""
    change = 0.0
    for i in range(len(x)):
        now = index_of(edges, x[i] / scales[i])
        for then in (now - 1, now + 1):
            if 0 <= then < len(levels) and H[i, i] > 0.0:
                step = scales[i] * levels[then] - x[i]
                loss = step * (2.0 * slope[i] + step * H[i, i])
                j, level = _answer(H, x, slope, levels, edges, scales, i, step, loss)
                if j >= 0:
                    change += _move(H, x, slope, i, scales[i] * levels[then])
                    change += _move(H, x, slope, j, level)
                    break
    return change


@kernel
def _answer(
    H: F64,
    x: F64,
    slope: F64,
    levels: F64,
    edges: F64,
    scales: F64,
    i: int,
    step: float,
    loss: float,
) -> tuple[int, float]:
    """Return the weight and level that gain most after weight i moved by `step`, -1 unless above the loss."""
    best, weight, target = -loss - 1e-10 * abs(loss), -1, 0.0
    for j in range(len(x)):
        pull = slope[j] + step * H[i, j]
        if j == i or H[j, j] <= 0.0 or -pull * pull >= best * H[j, j]:
            continue
        level = scales[j] * levels[index_of(edges, (x[j] - pull / H[j, j]) / scales[j])]
        move = level - x[j]
        change = move * (2.0 * pull + move * H[j, j])
        if change < best:
            best, weight, target = change, j, level
    return weight, target

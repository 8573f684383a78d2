"""Supports by operator splitting: a whole layer at once, the penalty rising until they settle."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pvq.arrays import F64, Bool
from pvq.solvers._dual.prepared import prepare
from pvq.solvers.gram import Gram
from pvq.solvers.problem import LayerProblem
from pvq.solvers.supports import Supports

__all__ = ["split", "split_rows"]

FIRST_PENALTY = 0.01  # of the mean eigenvalue; 0.1 settles on worse supports where H is ill-conditioned
LOOK_EVERY = 3
RISES = ((0.1, 1.3), (0.005, 1.2), (0.0, 1.1))  # share of the support that changed, factor on the penalty
MOST_ITERATIONS = 300


def split(gram: Gram, W: F64, supports: Sequence[Supports], expired: Callable[[], bool]) -> tuple[Bool, int]:
    """Return supports for all rows by ADMM on x = z, z sparse, with multipliers v.

    With A the normalised matrix and b = A w, each iteration does

        x = (A + rho I)^-1 (b - v + rho z),   z = nearest(x + v / rho),   v += rho (x - z),

    where the nearest sparse vector keeps those weights that gain most, clipped to the box if there is one;
    every third the penalty rho of a row rises by 1.3, 1.2 or 1.1, as at least 10 %, 0.5 % or any of its
    support changed since the last look; a row ends when none did (X. Meng, K. Behdin, H. Wang, R. Mazumder,
    "ALPS", arXiv 2406.07831; for given masks V. Boza, arXiv 2401.02938). One eigendecomposition serves
    all rows and penalties.

    Parameters
    ----------
    W : (R, n) weights
    supports : of each row; groups and counts are those of the first, boxes each row's own
    expired : asked at every look

    Returns
    -------
    (R, n) which weights are kept, dead inputs never, and the iterations of the last row
    """
    prepared = prepare(gram)
    live = Supports(supports[0].group[prepared.alive], supports[0].keep)
    values, Q = np.linalg.eigh(prepared.A)
    w = W[:, prepared.alive] * prepared.root
    size = np.abs(w).max(axis=1, initial=0.0, keepdims=True)
    size = np.where(size > 0, size, 1.0)
    w, unit = w / size, prepared.root / size
    low, high = (
        np.array(ends)[:, None] * unit for ends in zip(*((s.low, s.high) for s in supports), strict=True)
    )
    Z, V, B = w.copy(), np.zeros_like(w), w @ prepared.A
    rho = np.full((len(w), 1), FIRST_PENALTY * float(values.mean()) if len(values) else 1.0)
    masks, rows, step = live.largest(np.abs(w)), np.arange(len(w)), 0
    previous = masks.copy()
    kept_total = max(1, int(live.keep.sum()))
    while len(rows) and step < MOST_ITERATIONS and len(values):
        X = ((B - V + rho * Z) @ Q / (values + rho)) @ Q.T
        pulled = X + V / rho
        clipped = np.clip(pulled, low[rows], high[rows])
        masks[rows] = live.largest(np.abs(clipped) * np.abs(2.0 * pulled - clipped))
        Z = np.where(masks[rows], clipped, 0.0)
        V = V + rho * (X - Z)
        step += 1
        if step % LOOK_EVERY:
            continue
        changed = np.count_nonzero(masks[rows] & ~previous[rows], axis=1) / kept_total
        previous[rows] = masks[rows]
        rho *= np.select([changed > share for share, _ in RISES], [rise for _, rise in RISES], 1.0)[:, None]
        go = (changed > 0) | (step <= LOOK_EVERY)
        rows, Z, V, B, rho = rows[go], Z[go], V[go], B[go], rho[go]
        if expired():
            break
    kept = np.zeros(W.shape, dtype=np.bool_)
    kept[:, prepared.alive] = masks
    return kept, step


def split_rows(
    problems: Sequence[LayerProblem], supports: Sequence[Supports], expired: Callable[[], bool]
) -> list[tuple[Bool, int]]:
    """Return `split`'s support and iterations of each row; rows with the same counts run together."""
    alike: dict[bytes, list[int]] = {}
    for r, rule in enumerate(supports):
        alike.setdefault(rule.group.tobytes() + rule.keep.tobytes(), []).append(r)
    found: dict[int, tuple[Bool, int]] = {}
    for rows in alike.values():
        W = np.array([problems[r].w for r in rows])
        masks, steps = split(problems[0].gram, W, [supports[r] for r in rows], expired)
        found |= {r: (mask, steps) for r, mask in zip(rows, masks, strict=True)}
    return [found[r] for r in range(len(problems))]

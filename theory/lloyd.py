"""Lloyd-Max codebooks: edges halfway between levels, levels at the means of their cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, solve_banded

from pvq.arrays import F64
from pvq.errors import PvqError
from pvq.theory.cells import cell_error
from pvq.theory.codebook import Codebook
from pvq.theory.distribution import WeightDistribution
from pvq.theory.distributions.empirical import Empirical
from pvq.theory.snr import signal_power

__all__ = ["centroid_shift", "lloyd_max"]

_STEPS = 2_000
_LEAST_DAMPED, _MOST_DAMPED = 1e-6, 1e3  # below, Newton's step; above, Lloyd's
_TOLERANCE = 1e-9  # of the distance between neighbouring levels; the error is off by its square
_BENDS = (2 / 3, 1.0, 1 / 3)  # of the starting codebooks, see _start
_GRID = 1 << 12
_WINDOW = 0.02  # half-width of the window that measures the density at an edge, in level distances


class _State(NamedTuple):
    levels: F64
    mass: F64  # of each cell
    pull: F64  # first moment of each cell about its level, zero at a stationary point
    error: float


def lloyd_max(law: WeightDistribution, count: int) -> Codebook:
    """Return the codebook of `count` levels with the least squared error found from several starts.

    Lloyd's conditions (Max 1960; Lloyd, IEEE Trans. IT 28, 1982) are solved by Newton steps on the levels,
    whose matrix is tridiagonal, damped until the error falls and at the end replaced by Lloyd's own step. The
    result is stationary: every level is the mean of its cell to 1e-9 of its distance to the next. For a
    log-concave law the stationary codebook is unique and so the optimum (Trushkin, IEEE Trans. IT 28, 1982);
    for other laws and for tensors the best of three starts is returned.

    Parameters
    ----------
    law : law of the weights
    count : number of levels, at least 1; a tensor with fewer distinct values gets those

    Raises
    ------
    ValueError : count below 1; infinite second moment
    PvqError : no start became stationary

    >>> from pvq.theory.distributions.uniform import Uniform
    >>> lloyd_max(Uniform(), 2).levels.round(9)
    array([-0.5,  0.5])
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    signal_power(law)
    if isinstance(law, Empirical):
        distinct = np.unique(law.values)
        if distinct.size <= count:
            return Codebook(distinct)
    size = max(_GRID, 16 * count)
    x = law.quantile((np.arange(size) + 0.5) / size)
    found = [state for bend in _BENDS if (state := _settle(law, _start(x, count, bend))) is not None]
    if not found:
        raise PvqError(f"no stationary codebook of {count} levels was found for {law} in {_STEPS} steps")
    return Codebook(min(found, key=lambda state: state.error).levels)


def centroid_shift(law: WeightDistribution, codebook: Codebook) -> float:
    """Return how far any level is from the mean of its cell, in distances to the nearest other level.

    Zero means stationary; a cell without mass counts as stationary.

    >>> from pvq.theory.distributions.uniform import Uniform
    >>> centroid_shift(Uniform(), Codebook(np.array([-0.5, 0.5])))
    0.0
    """
    return _shift(_state(law, codebook.levels))


def _start(x: F64, count: int, bend: float) -> F64:
    """Return levels equally far apart in the integral of p^(1 - bend) over x.

    At bend 2/3 that is p^(1/3), the best companding at many levels (Panter and Dite 1951); at 1 the levels
    are uniform, at 0 they would be quantiles. The integral is taken over equally probable steps `x`.
    """
    travelled = np.concatenate([[0.0], np.cumsum(np.diff(x) ** bend)])
    return np.asarray(np.interp((np.arange(count) + 0.5) / count * travelled[-1], travelled, x))


def _settle(law: WeightDistribution, levels: F64) -> _State | None:
    """Step from `levels` until stationary, damping each step until it improves; None if that fails."""
    if (np.diff(levels) <= 0).any():
        return None
    state, damping = _state(law, levels), 1.0
    for _ in range(_STEPS):
        if _shift(state) <= _TOLERANCE:
            return state
        lloyd = damping > _MOST_DAMPED
        trial = _step(law, state, 0.0 if lloyd else damping, coupled=not lloyd)
        if trial is not None and _improves(trial, state):
            state, damping = trial, 0.0 if damping < _LEAST_DAMPED else 0.1 * min(damping, _MOST_DAMPED)
        elif lloyd:
            return None
        else:
            damping = max(10 * damping, _LEAST_DAMPED)
    return None


def _improves(trial: _State, state: _State) -> bool:
    """Lower the error or, where rounding hides that, come nearer to stationary."""
    hidden = trial.error < state.error * (1 + 1e-13) and _shift(trial) < _shift(state)
    return trial.error < state.error or hidden


def _state(law: WeightDistribution, levels: F64) -> _State:
    edges = Codebook(levels).edges
    mass, first = (law.partial_moment(order, edges[:-1], edges[1:]) for order in (0, 1))
    error = float(cell_error(law, levels, edges[:-1], edges[1:]).sum())
    return _State(levels, mass, first - levels * mass, error)


def _shift(state: _State) -> float:
    full = state.mass > 0
    moves = np.abs(state.pull[full] / state.mass[full])
    return float((moves / _distance(state.levels)[full]).max(initial=0.0))


def _distance(levels: F64) -> F64:
    """Return the distance of each level to its nearest neighbour; the level's size where it has none."""
    gaps = np.concatenate([[np.inf], np.diff(levels), [np.inf]])
    nearest = np.minimum(gaps[:-1], gaps[1:])
    return np.where(np.isfinite(nearest), nearest, np.maximum(np.abs(levels), np.finfo(float).tiny))


def _step(law: WeightDistribution, state: _State, damping: float, coupled: bool) -> _State | None:
    """Solve the linearised condition pull = 0 with `damping` times the masses added; None if unusable.

    With h the half distance of two neighbours and p the density at the edge between them, the derivative of
    `pull` is -mass + (h p)_left / 2 + (h p)_right / 2 on the diagonal and h p / 2 beside it. Not
    `coupled`, the terms in h p are left out: undamped, that is Lloyd's step, which never raises the error.
    """
    levels, edges = state.levels, 0.5 * (state.levels[1:] + state.levels[:-1])
    half = 0.5 * np.diff(levels)
    window = _WINDOW * half
    coupling = coupled * 0.5 * half * law.partial_moment(0, edges - window, edges + window) / (2 * window)
    diagonal = -(1 + damping) * state.mass
    diagonal[1:] += coupling
    diagonal[:-1] += coupling
    banded = np.stack([np.r_[0.0, coupling], np.where(diagonal == 0, -1.0, diagonal), np.r_[coupling, 0.0]])
    try:
        moved = levels - solve_banded((1, 1), banded, state.pull)
    except LinAlgError:
        return None
    usable = np.isfinite(moved).all() and (np.diff(moved) > 0).all()
    return _state(law, moved) if usable else None

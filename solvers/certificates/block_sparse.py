"""Small matrices on the diagonal that prove a lower bound over sparse vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import F64, I64
from pvq.solvers.feasible import FeasibleSet, SparseSet
from pvq.solvers.outcome import CERTIFICATES
from pvq.solvers.problem import LayerProblem
from pvq.solvers.rounding import TINY, UNIT, gamma, proves_psd

from .parts import Tangent

__all__ = ["LARGEST_BLOCK", "BlockSparseCertificate", "remainder_is_psd"]

LARGEST_BLOCK = 10  # its 1,024 subsets are looked at one by one
DEFINITE = (0.5, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10)  # shares of diag(D) tried as a lower bound of D


@CERTIFICATES.register("block_sparse")
@dataclass(frozen=True, eq=False)
class BlockSparseCertificate:
    """Lower bound for vectors with at least p zeros, from a block-diagonal D with M = H - D semidefinite.

    v'Hv >= -e'Me + sum over blocks B of [ v_B'D_B v_B + 2 (Me)_B'v_B ]. For each subset P of a block the
    bracket is minimised over the weights that are kept, with v_P = -w_P; the least total with p weights
    removed follows by dynamic programming over the blocks.

    Rounding: with residual r = (Dv + g)_K at an approximate minimiser v and D_B - mu diag(D_B) semidefinite,
    the bracket is nowhere less than its value at v minus sum_K r_i^2 / (mu D_ii).

    Parameters
    ----------
    problem : content hash of H and w
    blocks : (number, s) weights of each block, -1 after the last; a weight in no block has a zero row in H
    D : (number, s, s) symmetric; rows and columns after a block's last weight are ignored
    e : (n,) tangent point, an estimate of x - w

    >>> problem = LayerProblem(np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([1.0, 1.0]))
    >>> D = problem.H[None] / 1.001
    >>> proof = BlockSparseCertificate(problem.digest, np.array([[0, 1]]), D, np.zeros(2))
    >>> round(proof.bound(problem, SparseSet(2, 1)), 2)  # the optimum is 1.5
    1.5
    """

    problem: str
    blocks: I64
    D: F64
    e: F64

    def bound(self, problem: LayerProblem, feasible: FeasibleSet, slack: float = 1.0) -> float:
        """Return the proved lower bound, -inf if nothing is proved."""
        if not (slack >= 1.0 and isinstance(feasible, SparseSet) and feasible.n == problem.n):
            return -np.inf
        if not (self.problem == problem.digest and self._is_sound(problem)):
            return -np.inf
        members = [block[block >= 0] for block in self.blocks]
        parts = [D[: len(block), : len(block)] for D, block in zip(self.D, members, strict=True)]
        with np.errstate(all="ignore"):
            if not remainder_is_psd(problem.H, parts, members, slack):
                return -np.inf
            tangent = _tangent(problem, parts, members, self.e, slack)
            costs = [
                _least_costs(part, problem.w[block], tangent.g[block], tangent.error[block], slack)
                for part, block in zip(parts, members, strict=True)
            ]
            dead = problem.n - sum(len(block) for block in members)
            return _total(costs, max(0, feasible.removed - dead), tangent.quadratic)

    def _is_sound(self, problem: LayerProblem) -> bool:
        """Return whether shapes fit, no weight is in two blocks, and only dead inputs are in none."""
        if self.blocks.ndim != 2 or self.e.shape != (problem.n,) or self.blocks.shape[1] > LARGEST_BLOCK:
            return False
        if self.D.shape != (*self.blocks.shape, self.blocks.shape[1]) or self.blocks.size == 0:
            return False
        if not (np.isfinite(self.D).all() and np.isfinite(self.e).all()):
            return False
        if not np.array_equal(self.D, self.D.transpose(0, 2, 1)):
            return False
        used = self.blocks[self.blocks >= 0]
        within = bool((used < problem.n).all()) and len(np.unique(used)) == len(used)
        return within and not problem.H[np.setdiff1d(np.arange(problem.n), used)].any()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is stored: blocks, D and e."""
        return {"blocks": self.blocks, "D": self.D, "e": self.e}

    def facts(self) -> dict[str, Any]:
        """Return what is stored beside the arrays: nothing."""
        return {}

    @classmethod
    def restore(cls, problem: str, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Self:
        """Return the certificate that was stored."""
        for name, kind in (("blocks", np.int64), ("D", np.float64), ("e", np.float64)):
            if arrays[name].dtype != kind:
                raise ValueError(f"{name} must be stored as {kind.__name__}, got {arrays[name].dtype}")
        return cls(problem, arrays["blocks"], arrays["D"], arrays["e"])


def remainder_is_psd(H: F64, parts: list[F64], members: list[I64], slack: float) -> bool:
    """Return True only if H - D is semidefinite.

    Off the diagonal H_ij - D_ij is rounded; the errors, at most UNIT |H_ij - D_ij| each, are made up for on
    the diagonal, which dominates them row by row.
    """
    M, d = H.copy(), np.zeros(len(H))
    for part, block in zip(parts, members, strict=True):
        inside = np.ix_(block, block)
        off = M[inside] - part
        np.fill_diagonal(off, 0.0)
        error = 2.0 * UNIT * np.abs(off).sum(axis=1) + 4 * len(block) * TINY
        d[block] = np.nextafter(np.diagonal(part) + error, np.inf)
        M[inside] = off
        M[block, block] = H[block, block]
    return bool(np.isfinite(d).all()) and proves_psd(M, d, slack)


def _tangent(problem: LayerProblem, parts: list[F64], members: list[I64], e: F64, slack: float) -> Tangent:
    """Evaluate g = (H - D) e, each a sum of at most n + s products, and e'g (see `parts.tangent_of`)."""
    n, size = problem.n, np.abs(e)
    g, spread = problem.H @ e, problem.gram.magnitude @ size
    for part, block in zip(parts, members, strict=True):
        g[block] -= part @ e[block]
        spread[block] += np.abs(part) @ size[block]
    allowance = slack * gamma(2 * (n + LARGEST_BLOCK) + 16)
    error = allowance * spread + slack * 4 * (n + LARGEST_BLOCK) * TINY
    quadratic = float(e @ g) + allowance * float(size @ np.abs(g)) + 1.01 * float(size @ error)
    return Tangent(g, error, float(np.nextafter(quadratic + 8 * n * TINY, np.inf)))


class _Subsets(NamedTuple):
    """For each subset of a block which weights are removed, and an approximate minimiser."""

    removed: NDArray[np.bool_]  # (2^m, m)
    v: F64  # (2^m, m)


def _least_costs(D: F64, w: F64, g: F64, error: F64, slack: float) -> F64:
    """Return lower bounds of the least cost with j weights of the block removed, (m + 1,)."""
    m = len(w)
    share = next((x for x in DEFINITE if proves_psd(D, x * np.diagonal(D), slack)), 0.0)
    if not (share > 0.0 and (np.diagonal(D) > 0).all()):
        return np.full(m + 1, -np.inf)
    subsets = _minimisers(D, w, g)
    v, size = subsets.v, np.abs(subsets.v)
    spread = size @ np.abs(D) + np.abs(g)
    allowance = slack * gamma(4 * m + 16)
    product = v @ D
    doubt = allowance * ((size * spread).sum(axis=1) + size @ np.abs(g)) + 2.02 * (size @ error)
    value = (v * (product + 2.0 * g)).sum(axis=1) - doubt - 64 * m * TINY * (2.0 + size.sum(axis=1))
    residual = np.abs(product + g) + allowance * spread + 1.01 * error + 64 * m * TINY
    loss = np.where(subsets.removed, 0.0, residual * (residual / (share * np.diagonal(D))))
    lost = (1.0 + slack * gamma(4 * m + 16)) * loss.sum(axis=1) + 64 * m * TINY * (2.0 + residual.sum(axis=1))
    cost = np.nextafter(value - lost, -np.inf)
    count = subsets.removed.sum(axis=1)
    return np.array([cost[count == j].min() for j in range(m + 1)])


def _minimisers(D: F64, w: F64, g: F64) -> _Subsets:
    """Solve D_KK v_K = -(g + D v_P)_K with v_P = -w_P for every subset; inaccuracy only weakens the bound."""
    m = len(w)
    removed = (np.arange(1 << m)[:, None] >> np.arange(m)) & 1 == 1
    fixed = np.where(removed, -w, 0.0)
    scale = 1.0 / np.sqrt(np.diagonal(D))
    kept = np.where(removed, 0.0, scale)
    system = kept[:, :, None] * D * kept[:, None, :] + np.eye(m) * removed[:, :, None]
    side = -kept * (g + fixed @ D)
    try:
        solution = np.linalg.solve(system, side[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:
        solution = np.zeros_like(side)
    return _Subsets(removed, fixed + np.where(removed, 0.0, kept * solution))


def _total(costs: list[F64], removed: int, quadratic: float) -> float:
    """Return a lower bound of the least total with `removed` weights removed, -inf where one is unknown.

    Each total is a sum of as many terms as there are blocks, and errs by at most gamma(blocks + 1) times the
    sum of their magnitudes.
    """
    if not (np.isfinite(quadratic) and all(np.isfinite(cost).all() for cost in costs)):
        return -np.inf
    best = np.full(removed + 1, np.inf)
    best[0] = -quadratic
    for cost in costs:
        longer = np.full((len(cost), removed + 1), np.inf)
        for j, value in enumerate(cost[: removed + 1]):
            longer[j, j:] = best[: removed + 1 - j] + value
        best = longer.min(axis=0)
    most = abs(quadratic) + sum(float(np.abs(cost).max()) for cost in costs)
    total = float(best[removed]) - 1.01 * gamma(2 * len(costs) + 8) * most
    return float(np.nextafter(total, -np.inf)) if np.isfinite(total) else -np.inf

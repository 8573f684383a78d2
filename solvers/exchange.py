"""Search over supports: the best exchange of a removed and a kept weight, again and again, then kicks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pvq.arrays import F64, Bool
from pvq.solvers._dual.linalg import cholesky, inverse
from pvq.solvers._dual.prepared import prepare
from pvq.solvers.problem import LayerProblem
from pvq.solvers.supports import Supports

__all__ = ["Exchange"]

GAIN = 1e-10  # gain, relative to the error, below which an exchange is rounding
WORK = 2e8  # multiplications that one call of the kernel may take, a fraction of a second
CONFIRMATIONS = 8  # fresh starts of the tableau in one climb


class Exchange:
    """Local search over the supports of one row, on the swept tableau of `_kernels.exchange`.

    Dead inputs stay out; the weights are put to unit diagonal and unit length; a singular H is used with the
    ridge of `_dual.prepared`. With B = inv(A_KK), T = -B A_KS, the Schur complement G on the removed weights,
    multipliers lambda = G w_S and refitted weights x, keeping a and removing b changes the error by

        (x_b + T_ba lambda_a / G_aa)^2 / (B_bb + T_ba^2 / G_aa) - lambda_a^2 / G_aa.

    Parameters
    ----------
    problem, supports : the row, and which supports are allowed
    kept : (n,) the support to start from, where it is not full it is filled up
    expired : asked between calls of the kernel
    """

    def __init__(
        self, problem: LayerProblem, supports: Supports, kept: Bool, expired: Callable[[], bool]
    ) -> None:
        prepared = prepare(problem.gram)
        self.n, self.alive, self.A = problem.n, prepared.alive, prepared.A
        w = problem.w[self.alive] * prepared.root
        self.w = w / max(float(np.linalg.norm(w)), np.finfo(float).tiny)
        self.b = self.A @ self.w
        self.live = Supports(supports.group[self.alive], supports.keep)
        self.expired = expired
        self.exchanges = 0
        self.inside, self.M, self.c = self._tableau(
            self.live.largest(2.0 * kept[self.alive] + np.abs(self.w) / 2.0)
        )

    @property
    def kept(self) -> Bool:
        """The support reached, (n,)."""
        kept = np.zeros(self.n, dtype=np.bool_)
        kept[self.alive[self.inside]] = True
        return kept

    @property
    def error(self) -> float:
        """Error of the refitted weights, relative to unit length."""
        out = ~self.inside
        return max(0.0, float(self.w[out] @ self.c[out]))

    def climb(self) -> None:
        """Exchange until a tableau made afresh shows no gain, or time is up."""
        for _ in range(CONFIRMATIONS):
            if self._descend() == 0 or self.expired():
                return
            self.inside, self.M, self.c = self._tableau(self.inside)

    def kick(self, kicks: int, size: int, rng: np.random.Generator) -> None:
        """Exchange `size` random pairs and climb, `kicks` times; what does not help is undone."""
        for _ in range(kicks):
            pairs = self._random_pairs(size, rng)
            if self.expired() or not pairs:
                return
            before = self.error
            best = self.M.copy(), self.c.copy(), self.inside.copy()
            self._exchange(pairs)
            self._descend()
            if self.error < before * (1.0 - GAIN):
                self.climb()
            if not self.error < before * (1.0 - GAIN):
                self.M, self.c, self.inside = best

    def _descend(self) -> int:
        """Exchange until this tableau shows no gain; return the number of exchanges."""
        from ._kernels.exchange import climb

        m, done = len(self.w), 0
        share = max(1, int(WORK / (4.0 * m * m + 1.0)))
        starts = self.live.starts
        while not self.expired():
            made = climb(self.M, self.c, self.inside, self.live.group, starts, GAIN * self.error, share)
            done += made
            if made < share or done > 4 * m:
                break
        self.exchanges += done
        return done

    def _exchange(self, pairs: list[tuple[int, int]]) -> None:
        from ._kernels.exchange import exchange

        for a, b in pairs:
            exchange(self.M, self.c, self.inside, a, b)

    def _random_pairs(self, size: int, rng: np.random.Generator) -> list[tuple[int, int]]:
        """Return at most `size` disjoint pairs of a removed and a kept weight of one group."""
        order = rng.permutation(len(self.w)).tolist()
        removed: dict[int, list[int]] = {}
        for i in order:
            if not self.inside[i]:
                removed.setdefault(int(self.live.group[i]), []).append(i)
        pairs: list[tuple[int, int]] = []
        for b in order:
            options = removed.get(int(self.live.group[b]))
            if self.inside[b] and options and len(pairs) < size:
                pairs.append((options.pop(), b))
        return pairs

    def _tableau(self, inside: Bool) -> tuple[Bool, F64, F64]:
        """Return the support with M and c made afresh."""
        K, S = np.flatnonzero(inside), np.flatnonzero(~inside)
        factor = cholesky(np.asfortranarray(self.A[np.ix_(K, K)])) if len(K) else np.empty((0, 0))
        assert factor is not None, "a part of a positive definite matrix is one"
        B, AKS = inverse(factor), self.A[np.ix_(K, S)]
        T = B @ AKS
        G = self.A[np.ix_(S, S)] - AKS.T @ T
        M, c = np.empty(self.A.shape), np.empty(len(self.w))
        M[np.ix_(K, K)], M[np.ix_(K, S)], M[np.ix_(S, K)], M[np.ix_(S, S)] = -B, T, T.T, G
        c[K], c[S] = B @ self.b[K], G @ self.w[S]
        return inside, M, c

"""Newton's equations of the dual path of levels under a budget, solved without cancellation.

With P = R^-1, e = P g, E = diag(e), the negative Hessian in (g, d, t) is

    [ 2 P + W       2 P E + W F1              W f2    ]      W, F1 = diag(f1), f2: curvature of the branches
    [ 2 E P + F1 W  2 E P E + mu P o P + ...  ...     ]      in g, and regression of those in d and t on it;
    [ f2'W          ...                       ...     ]      C: what the regression leaves

and eliminating g leaves, with Q = (W^-1 + R/2)^-1 and v = [E - F1, -f2],

    S = [mu P o P, 0; 0, mu / t^2] + C + v'Qv.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64

from .joint_branches import Curvature
from .linalg import cholesky, solve_factored

__all__ = ["System", "factored"]


@dataclass(frozen=True, eq=False)
class System:
    """The Newton equations with g eliminated: R, Q = (W^-1 + R/2)^-1, the branches' curvature and e."""

    R: F64
    Q: F64
    bend: Curvature
    e: F64

    def schur(self) -> F64:
        """Return C + v'Qv, of order n + 1."""
        n, (on_d, on_t), (dd, dt, tt) = len(self.e), self.bend.on_g, self.bend.rest
        f = self.e - on_d
        S = np.empty((n + 1, n + 1), order="F")
        S[:n, :n] = f[:, None] * self.Q * f
        Qt = self.Q @ on_t
        S[n, :n] = S[:n, n] = dt - f * Qt
        S[n, n] = float(tt.sum() + on_t @ Qt)
        S[np.arange(n), np.arange(n)] += dd
        return S

    def solve(self, factor: F64, rhs: F64) -> F64:
        """Return the solution for a right-hand side (g, d, t)."""
        n, W, (on_d, on_t) = len(self.e), self.bend.g, self.bend.on_g
        g, d, t = rhs[:n], rhs[n:-1], float(rhs[-1])
        Qg = self.Q @ (g / W)
        reduced = np.concatenate([d - on_d * g - (self.e - on_d) * Qg, [t - float(on_t @ (g - Qg))]])
        y = solve_factored(factor, reduced)
        left = g / W - on_d * y[:n] - on_t * y[n]
        move = 0.5 * (self.R @ (self.Q @ left)) - (self.Q @ (self.e * y[:n])) / W
        return np.concatenate([move, y])


def factored(S: F64) -> F64 | None:
    """Return the Cholesky factor of S, with a ridge where rounding asks for one."""
    for ridge in (0.0, 1e-14, 1e-12, 1e-10):
        factor = cholesky(S + np.diag(ridge * np.diagonal(S)))
        if factor is not None:
            return factor
    return None

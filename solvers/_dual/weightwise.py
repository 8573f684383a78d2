"""The constraints of the perspective relaxation that concern one weight each.

With g = (A - D) e = u a weight that is kept costs at least theta if

    [[d + s z, u - s z c], [u - s z c, -theta + s z a b]] >= 0,   z >= 0,

for then d v^2 + 2 u v - theta >= s z (v - a)(b - v) >= 0 on its box a <= v <= b, c = (a + b) / 2; without a
box z = 0. By the S-lemma nothing is lost. One that is removed, v = -w, costs theta + t at least if

    d w^2 - 2 u w - t - theta >= 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pvq.arrays import F64

__all__ = ["SHARED", "Eliminated", "Weightwise"]

SHARED = 3  # u, d and t are coupled across weights; theta and z are not


class Eliminated(NamedTuple):
    """The Schur complement of one weight's own variables, per weight."""

    shared: F64  # (n, 3, 3) what is left on u, d and t
    own: F64  # (n, m - 3, m - 3)
    coupling: F64  # (n, m - 3, 3): own^-1 times the coupling


class Weightwise(NamedTuple):
    """Coefficients of the m variables u, d, t, theta (and z) of each weight.

    The small block [[x, y], [y, z]] is stored as (x, y, z).
    """

    pair: F64  # (n, 3, m)
    line: F64  # (n, r, m), with one row, or two where there is a box

    @staticmethod
    def of(w: F64, box: F64 | None) -> Weightwise:
        """Return the coefficients for weights w (n,) and boxes (2, n) of v = x - w, or none."""
        n, m = len(w), 4 if box is None else 5
        pair, line = np.zeros((n, 3, m)), np.zeros((n, m - 3, m))
        pair[:, 1, 0] = pair[:, 0, 1] = 1.0
        pair[:, 2, 3] = line[:, 0, 2] = line[:, 0, 3] = -1.0
        line[:, 0, 0], line[:, 0, 1] = -2.0 * w, w * w
        if box is not None:
            a, b = box
            scale = 1.0 / (1.0 + np.maximum(a * a, b * b))
            pair[:, :, 4] = scale[:, None] * np.stack([np.ones(n), -0.5 * (a + b), a * b], axis=1)
            line[:, 1, 4] = 1.0
        return Weightwise(pair, line)

    @property
    def variables(self) -> int:
        """How many variables a weight has."""
        return int(self.pair.shape[2])

    def apply(self, y: F64) -> tuple[F64, F64]:
        """Return the blocks (3, n) and lines (r, n) at variables y (m, n)."""
        column = y.T[:, :, None]
        return (self.pair @ column)[:, :, 0].T, (self.line @ column)[:, :, 0].T

    def adjoint(self, pairs: F64, line: F64) -> F64:
        """Return the adjoint at blocks (3, n) and lines (r, n), shape (m, n)."""
        a, b, c = pairs
        inner = np.stack([a, 2.0 * b, c], axis=1)[:, None, :] @ self.pair
        return (inner + line.T[:, None, :] @ self.line)[:, 0, :].T

    def eliminated(self, X: F64, Y: F64, ratio: F64) -> Eliminated:
        """Return the Schur complement tr(A_j X A_k Y) + ratios of lines, without each weight's own variables.

        Parameters
        ----------
        X, Y : (3, n) primal blocks and inverse slacks
        ratio : (r, n) primal lines over their slacks
        """
        full = self.pair.transpose(0, 2, 1) @ _pair_form(X, Y) @ self.pair
        full += (self.line * ratio.T[:, :, None]).transpose(0, 2, 1) @ self.line
        own = full[:, SHARED:, SHARED:]
        coupling = np.asarray(np.linalg.solve(own, full[:, SHARED:, :SHARED]), dtype=np.float64)
        return Eliminated(full[:, :SHARED, :SHARED] - full[:, :SHARED, SHARED:] @ coupling, own, coupling)


def _pair_form(X: F64, Y: F64) -> F64:
    """Return tr(E_j X E_k Y), symmetric part, for E = first corner, off-diagonal pair and second corner."""
    (xa, xb, xc), (ya, yb, yc) = X, Y
    aa, ab, ac = xa * ya, xa * yb + xb * ya, xb * yb
    bb, bc, cc = xa * yc + xc * ya + 2.0 * xb * yb, xb * yc + xc * yb, xc * yc
    return np.array([[aa, ab, ac], [ab, bb, bc], [ac, bc, cc]]).transpose(2, 0, 1)

"""The blocks' part of Newton's system of the smoothed block bound (kernels over all blocks).

Blocks lie one after another; block b holds the weights starts[b] to starts[b + 1]. Arrays of blocks are
padded to the largest block, of s weights, N = 2^s subsets and m = s + s (s + 1) / 2 + 1 local variables.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from pvq.arrays import F64, I64

from .block_oracle import block_share, factor, fill_curvature, fill_slopes, linear_reach, solve_subsets

__all__ = [
    "add_couplings",
    "block_costs",
    "block_reach",
    "block_systems",
    "eliminate",
    "share_all",
    "solve_all",
]

RIDGE = 1e-14  # relative, so that rounding leaves each local system definite


@njit(cache=True, error_model="numpy")
def _local(s: int) -> int:
    """Return the number of local variables of a block of s weights."""
    return s + s * (s + 1) // 2 + 1


@njit(cache=True, error_model="numpy")
def solve_all(D: F64, u: F64, w: F64, starts: I64, V: F64, G: F64, q: F64) -> bool:
    """Fill minimisers, inverses and costs of all subsets; False if some block of D is not definite."""
    for b in range(len(starts) - 1):
        first, last = starts[b], starts[b + 1]
        s = last - first
        N = 1 << s
        if not solve_subsets(
            D[b, :s, :s], u[first:last], w[first:last], V[b, :N, :s], G[b, :N, :s, :s], q[b, :N]
        ):
            return False
    return True


@njit(cache=True, error_model="numpy")
def block_costs(q: F64, size: I64, starts: I64, cost: F64) -> None:
    """Fill the least cost of removing j weights from each block, (blocks, s + 1)."""
    cost[:, :] = np.inf
    for b in range(len(starts) - 1):
        for P in range(1 << (starts[b + 1] - starts[b])):
            cost[b, size[P]] = min(cost[b, size[P]], q[b, P])


@njit(cache=True, error_model="numpy")
def share_all(q: F64, G: F64, size: I64, starts: I64, t: float, mu: float, share: F64) -> float:
    """Fill the shares of all subsets and return the sum of the blocks' smoothed values."""
    total = 0.0
    for b in range(len(starts) - 1):
        s = starts[b + 1] - starts[b]
        N = 1 << s
        total += block_share(q[b, :N], size, t, mu, share[b, :N])
        inverse = G[b, 0, :s, :s].copy()
        factor(inverse, s)
        for i in range(s):
            total -= 2.0 * mu * math.log(inverse[i, i])
    return total


@njit(cache=True, error_model="numpy")
def block_systems(
    V: F64, G: F64, share: F64, size: I64, starts: I64, mu: float, slopes: F64, sides: F64, C: F64
) -> None:
    """Fill the slopes of subsets, the blocks' gradients with their change by mu, and minus their curvature.

    Parameters
    ----------
    sides : (blocks, 2, m)
    C : (blocks, m, m)
    """
    sides[:, :, :] = 0.0
    C[:, :, :] = 0.0
    for b in range(len(starts) - 1):
        s = starts[b + 1] - starts[b]
        N, m = 1 << s, _local(s)
        fill_slopes(V[b, :N, :s], size, slopes[b, :N, :m])
        fill_curvature(V[b, :N, :s], G[b, :N, :s, :s], share[b, :N], slopes[b, :N, :m], mu, C[b, :m, :m])
        _add_shares(share[b, :N], slopes[b, :N, :m], mu, sides[b, :, :m])
        _add_determinant(G[b, 0, :s, :s], mu, sides[b, :, :m], C[b, :m, :m])


@njit(cache=True, error_model="numpy")
def _add_shares(share: F64, slopes: F64, mu: float, sides: F64) -> None:
    """Add sum_P s_P slope_P, and its change with mu: ds_P = (s_P - s_P^2 / sum s^2) / mu."""
    squares = 0.0
    for P in range(len(share)):
        squares += share[P] ** 2
    for P in range(len(share)):
        change = (share[P] - share[P] ** 2 / squares) / mu
        for a in range(slopes.shape[1]):
            sides[0, a] += share[P] * slopes[P, a]
            sides[1, a] += change * slopes[P, a]


@njit(cache=True, error_model="numpy")
def _add_determinant(Z: F64, mu: float, sides: F64, C: F64) -> None:
    """Add slope and curvature of mu logdet D, with Z = D^-1."""
    s = len(Z)
    row = s
    for i in range(s):
        for j in range(i, s):
            one = 1.0 if i == j else 2.0
            sides[0, row] += mu * one * Z[i, j]
            sides[1, row] += one * Z[i, j]
            column = s
            for k in range(s):
                for h in range(k, s):
                    C[row, column] += mu * _pair_product(Z, i, j, k, h)
                    column += 1
            row += 1


@njit(cache=True, error_model="numpy")
def _pair_product(Z: F64, i: int, j: int, k: int, h: int) -> float:
    """Return tr(Z E Z F) for the symmetric units E of (i, j) and F of (k, h)."""
    both = (1.0 if i == j else 2.0) * (1.0 if k == h else 2.0)
    return float(0.5 * both * (Z[i, k] * Z[j, h] + Z[i, h] * Z[j, k]))


@njit(cache=True, error_model="numpy")
def eliminate(C: F64, sides: F64, e: F64, starts: I64, Cinv: F64, B: F64, rest: F64) -> bool:
    """Pass from du to dx = du + dD e, in place in C and sides, and eliminate dx block by block.

    Fills inv(C_xx) (blocks, s, s), B = inv(C_xx) C_xz (blocks, s, m - s) and the Schur complement
    (blocks, m - s, m - s); False where rounding left a system that is not definite.
    """
    for b in range(len(starts) - 1):
        first, last = starts[b], starts[b + 1]
        s = last - first
        m = _local(s)
        local = C[b, :m, :m]
        _shear(local, e[first:last])
        _shear(local.T, e[first:last])
        _shear(sides[b, :, :m], e[first:last])
        if not _eliminate_block(local, s, Cinv[b, :s, :s], B[b, :s, : m - s], rest[b, : m - s, : m - s]):
            return False
    return True


@njit(cache=True, error_model="numpy")
def _shear(rows: F64, e: F64) -> None:
    """Subtract from each column D_ij what dD_ij e moves u by."""
    s = len(e)
    for r in range(len(rows)):
        c = s
        for i in range(s):
            for j in range(i, s):
                rows[r, c] -= rows[r, i] * e[j] + (rows[r, j] * e[i] if j != i else 0.0)
                c += 1


@njit(cache=True, error_model="numpy")
def _eliminate_block(C: F64, s: int, Cinv: F64, B: F64, rest: F64) -> bool:
    m = len(C)
    L = C.copy()
    for i in range(m):
        L[i, i] *= 1.0 + RIDGE
    if not factor(L, m):
        return False
    for a in range(m - s):
        for c in range(m - s):
            total = 0.0
            for k in range(s, s + min(a, c) + 1):
                total += L[s + a, k] * L[s + c, k]
            rest[a, c] = total
    _solve_upper(L, s, L[s:, :s].T, B, m - s)
    column = np.empty((s, s))
    for i in range(s):
        for j in range(s):
            total = 1.0 if i == j else 0.0
            for k in range(i):
                total -= L[i, k] * column[k, j]
            column[i, j] = total / L[i, i]
    _solve_upper(L, s, column, Cinv, s)
    return True


@njit(cache=True, error_model="numpy")
def _solve_upper(L: F64, s: int, right: F64, out: F64, columns: int) -> None:
    """Fill out with the solution of L[:s, :s]' out = right."""
    for c in range(columns):
        for i in range(s - 1, -1, -1):
            total = right[i, c]
            for k in range(i + 1, s):
                total -= L[k, i] * out[k, c]
            out[i, c] = total / L[i, i]


@njit(cache=True, error_model="numpy")
def add_couplings(S: F64, P: F64, Q: F64, B: F64, rest: F64, starts: I64, offsets: I64, mu: float) -> None:
    """Fill the lower triangle of S: mu (P o P terms) + the blocks' rests + B'QB; t is its last row.

    Parameters
    ----------
    offsets : (blocks,) first D variable of each block in S
    """
    S[:, :] = 0.0
    t = len(S) - 1
    for b in range(len(starts) - 1):
        for c in range(b + 1):
            _add_pair(S, P, Q, B, starts, offsets, mu, b, c)
        count = _local(starts[b + 1] - starts[b]) - (starts[b + 1] - starts[b])
        for i in range(count - 1):
            for j in range(i + 1):
                S[offsets[b] + i, offsets[b] + j] += rest[b, i, j]
            S[t, offsets[b] + i] += rest[b, count - 1, i]
        S[t, t] += rest[b, count - 1, count - 1]


@njit(cache=True, error_model="numpy")
def _add_pair(S: F64, P: F64, Q: F64, B: F64, starts: I64, offsets: I64, mu: float, b: int, c: int) -> None:
    """Add the coupling of blocks b >= c."""
    f, g = starts[b], starts[c]
    sb, sc = starts[b + 1] - f, starts[c + 1] - g
    nb, nc, t = _local(sb) - sb, _local(sc) - sc, len(S) - 1
    half = B[b, :sb, :nb].T.copy() @ Q[f : f + sb, g : g + sc].copy()
    full = half @ B[c, :sc, :nc].copy()
    row = 0
    for i in range(sb):
        for j in range(i, sb):
            column = 0
            for k in range(sc):
                for h in range(k, sc):
                    product = _pair_product(P, f + i, f + j, g + k, g + h)
                    S[offsets[b] + row, offsets[c] + column] += mu * product + full[row, column]
                    column += 1
            row += 1
    for a in range(nc - 1):
        S[t, offsets[c] + a] += full[nb - 1, a]
    if b != c:
        for a in range(nb - 1):
            S[t, offsets[b] + a] += full[a, nc - 1]
    S[t, t] += full[nb - 1, nc - 1] * (1.0 if b == c else 2.0)


@njit(cache=True, error_model="numpy")
def block_reach(share: F64, slopes: F64, starts: I64, move: F64, mu: float, drift: float) -> float:
    """Return the largest relative fall of an r_P under local moves (blocks, m), as `linear_reach`."""
    worst = 0.0
    for b in range(len(starts) - 1):
        s = starts[b + 1] - starts[b]
        N, m = 1 << s, _local(s)
        worst = max(worst, linear_reach(share[b, :N], slopes[b, :N, :m], move[b, :m], mu, drift))
    return worst

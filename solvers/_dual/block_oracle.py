"""What one block of weights adds to the smoothed block bound: value, slopes and curvature (kernels).

A block of s weights has a matrix D > 0, a vector u and the price t of a removal. For each subset P of its
weights that is removed, v_P = -w_P, the kept ones K cost the least they can,

    q_P(u, D) = min over v_K of v'Dv + 2u'v,    r_P = q_P - t |P| - theta,

and the block's smoothed share, concave in (u, D, t), is

    F = max over theta of theta + mu sum_P log r_P + mu logdet D,    s_P = mu / r_P,  sum_P s_P = 1.

dq_P = 2 v'du + v'dD v, and -d2q_P = 2 y'D_KK^-1 y with y = (du + dD v)_K. Bit i of the number of P says
whether weight i is removed. Local variables are ordered u (s), D_ij with i <= j (s (s + 1) / 2), t.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from pvq.arrays import F64, I64

__all__ = ["block_share", "factor", "fill_curvature", "fill_slopes", "linear_reach", "solve_subsets"]

NEGLIGIBLE = 1e-12  # share of a subset that adds nothing to the curvature


@njit(cache=True, error_model="numpy")
def factor(A: F64, m: int) -> bool:
    """Overwrite the lower triangle of A[:m, :m] by its Cholesky factor; False where it has none."""
    for j in range(m):
        for k in range(j):
            A[j, j] -= A[j, k] * A[j, k]
        if not A[j, j] > 0.0:
            return False
        A[j, j] = math.sqrt(A[j, j])
        for i in range(j + 1, m):
            for k in range(j):
                A[i, j] -= A[i, k] * A[j, k]
            A[i, j] /= A[j, j]
    return True


@njit(cache=True, error_model="numpy")
def _invert_factor(L: F64, m: int) -> None:
    """Overwrite the lower triangular L[:m, :m] by its inverse."""
    for j in range(m):
        L[j, j] = 1.0 / L[j, j]
        for i in range(j + 1, m):
            total = 0.0
            for k in range(j, i):
                total -= L[i, k] * L[k, j]
            L[i, j] = total / L[i, i]


@njit(cache=True, error_model="numpy")
def _scatter_inverse(L: F64, kept: I64, m: int, G: F64) -> None:
    """Fill G at the kept places with L'L, where L[:m, :m] is an inverse Cholesky factor, elsewhere with 0."""
    G[:, :] = 0.0
    for a in range(m):
        for b in range(a + 1):
            total = 0.0
            for c in range(a, m):
                total += L[c, a] * L[c, b]
            G[kept[a], kept[b]] = G[kept[b], kept[a]] = total


@njit(cache=True, error_model="numpy")
def _least(D: F64, u: F64, w: F64, kept: I64, m: int, G: F64, v: F64) -> float:
    """Fill v with the minimiser that is -w outside the m kept places; return its cost."""
    s = len(u)
    v[:] = -w
    for a in range(m):
        v[kept[a]] = 0.0
    side = u.copy()
    for i in range(s):
        for j in range(s):
            side[i] += D[i, j] * v[j]
    cost = 0.0
    for i in range(s):
        cost += v[i] * (side[i] + u[i])
    for a in range(m):
        for b in range(m):
            v[kept[a]] -= G[kept[a], kept[b]] * side[kept[b]]
        cost += v[kept[a]] * side[kept[a]]
    return float(cost)


@njit(cache=True, error_model="numpy")
def solve_subsets(D: F64, u: F64, w: F64, V: F64, G: F64, q: F64) -> bool:
    """Fill minimisers V (2^s, s), inverses G (2^s, s, s) and costs q (2^s,); False if D is not definite."""
    s = len(u)
    work, kept = np.empty((s, s)), np.empty(s, dtype=np.int64)
    for P in range(1 << s):
        m = 0
        for i in range(s):
            if not (P >> i) & 1:
                kept[m] = i
                m += 1
        for a in range(m):
            for b in range(a + 1):
                work[a, b] = D[kept[a], kept[b]]
        if not factor(work, m):
            return False
        _invert_factor(work, m)
        _scatter_inverse(work, kept, m, G[P])
        q[P] = _least(D, u, w, kept, m, G[P], V[P])
    return True


@njit(cache=True, error_model="numpy")
def block_share(q: F64, size: I64, t: float, mu: float, share: F64) -> float:
    """Fill the shares s_P (2^s,) and return theta + mu sum_P log r_P.

    theta solves sum_P mu / (q_P - t |P| - theta) = 1; Newton's method on the reciprocal of the sum, which is
    concave in the distance of theta below the least q_P - t |P|, rises to it from distance mu.
    """
    lowest = np.inf
    for P in range(len(q)):
        share[P] = q[P] - t * size[P]
        lowest = min(lowest, share[P])
    gap = mu
    for _ in range(60):
        total, slope = 0.0, 0.0
        for P in range(len(q)):
            x = mu / (share[P] - lowest + gap)
            total += x
            slope += x * x
        step = mu * total * (total - 1.0) / slope
        gap += step
        if abs(step) <= 1e-14 * gap:
            break
    value = lowest - gap
    for P in range(len(q)):
        r = share[P] - lowest + gap
        value += mu * math.log(r)
        share[P] = mu / r
    return value


@njit(cache=True, error_model="numpy")
def fill_slopes(V: F64, size: I64, slopes: F64) -> None:
    """Fill the slopes of q_P - t |P| in the local variables, (2^s, s + s (s + 1) / 2 + 1)."""
    s = V.shape[1]
    for P in range(len(V)):
        for i in range(s):
            slopes[P, i] = 2.0 * V[P, i]
        c = s
        for i in range(s):
            for j in range(i, s):
                slopes[P, c] = V[P, i] * V[P, j] * (1.0 if i == j else 2.0)
                c += 1
        slopes[P, c] = -size[P]


@njit(cache=True, error_model="numpy")
def fill_curvature(V: F64, G: F64, share: F64, slopes: F64, mu: float, C: F64) -> None:
    """Add minus the second derivative of theta + mu sum_P log r_P to C, (m, m)."""
    m = slopes.shape[1]
    squares, mean = 0.0, np.zeros(m)
    for P in range(len(share)):
        squares += share[P] ** 2
        mean += share[P] ** 2 * slopes[P]
    mean /= squares
    for P in range(len(share)):
        if share[P] > NEGLIGIBLE:
            _add_bend(V[P], G[P], 2.0 * share[P], C)
        weight = share[P] ** 2 / mu
        if weight * mu > NEGLIGIBLE**2:
            for a in range(m):
                x = weight * (slopes[P, a] - mean[a])
                for b in range(m):
                    C[a, b] += x * (slopes[P, b] - mean[b])


@njit(cache=True, error_model="numpy")
def _add_bend(v: F64, G: F64, weight: float, C: F64) -> None:
    """Add weight * y'Gy with y = du + dD v."""
    s = len(v)
    image = np.empty(s)
    for i in range(s):
        for j in range(i - 1, s):  # j = i - 1 stands for u_i
            row = i if j < i else s + i * s - (i * (i - 1)) // 2 + j - i
            one = 1.0 if j < i else v[j]
            other = 0.0 if j <= i else v[i]
            for k in range(s):
                image[k] = weight * (G[k, i] * one + (G[k, j] * other if other != 0.0 else 0.0))
            c = s
            for k in range(s):
                C[row, k] += image[k]
                for h in range(k, s):
                    C[row, c] += image[k] * v[h] + (image[h] * v[k] if h != k else 0.0)
                    c += 1


@njit(cache=True, error_model="numpy")
def linear_reach(share: F64, slopes: F64, move: F64, mu: float, drift: float) -> float:
    """Return the largest relative fall of an r_P when the variables move and mu grows by drift * mu.

    To first order; theta moves by its own slope and by -drift * mu / sum_P s_P^2.
    """
    squares, mean = 0.0, 0.0
    rise = np.empty(len(share))
    for P in range(len(share)):
        rise[P] = 0.0
        for a in range(len(move)):
            rise[P] += slopes[P, a] * move[a]
        squares += share[P] ** 2
        mean += share[P] ** 2 * rise[P]
    theta = mean / squares - drift * mu / squares
    worst = 0.0
    for P in range(len(share)):
        worst = max(worst, share[P] * (theta - rise[P]) / mu)
    return worst

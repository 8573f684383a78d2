"""A proof over a finite set whose levels are equally spaced, by inequalities across several weights.

On a lattice x_i = o_i + s_i m_i with integers m_i, every integer vector a gives an integer t = a'm, so that
(t - k)(t - k - 1) >= 0 for any integer k: a *split*. With floats b_i = a_i / s_i and v = x - w,

    b'v = t - b'(w - o) + e,  |e| <= E,     hence, with f = b'(w - o) - k,
    (b'v)^2 >= (1 - 2f) b'v + f (1 - f) - E     wherever E <= 1/2,

because (j + e)(j + e - 1) >= -|e| for integers j and |e| <= 1/2. Multipliers z_m >= 0 of such cuts, a
diagonal D = diag(d) and M = H - D - B' diag(z) B positive semidefinite split the error:

    v'Hv = v'Mv + sum_m z_m (b_m'v)^2 + sum_i d_i v_i^2
        >= -u'Mu + sum_m z_m (f_m (1 - f_m) - E_m) + sum_i [ d_i v_i^2 + 2 g_i v_i ],
    g = Mu + B' z(1/2 - f),

for any u; the bracket is minimised over each weight's own levels, floats as they are. (Splits bound
integer quadratic programs in C. Buchheim, A. Wiegele, Math. Program. 141, 2013, for single weights, and in
A. N. Letchford, Integer quadratic quasi-polyhedra, IPCO 2010, in general.)

Error model. B and z are exact floats, so the identity above is exact; what is rounded is covered thus.
E_m bounds how far levels are off the lattice (`lattice.Lattice.deviation`), that b_i s_i is not a_i (one
rounding), and the rounding of b'(w - o) and of f. The entries of B' diag(z) B and of M are sums of at most
c products, c the largest number of cuts that share a weight: they err by gamma(c + 8) of the sum of
magnitudes, a symmetric error R with |R_ij| <= r_ij, and R <= diag(sum_j r_ij q_i / q_j) for any q > 0,
because 2 |z_i z_j| <= z_i^2 q_i / q_j + z_j^2 q_j / q_i (q = sqrt(H_ii) is used). That diagonal is given up
before the shifted Cholesky factorisation of `rounding.proves_psd`. Mu and g are sums of at most n + c + r
products, r the longest row of B; twice that many roundings are allowed, relative to the sums of magnitudes.
Cuts with b or z beyond [1e-100, 1e100], or z b^2 beyond [1e-280, 1e280], prove nothing: then what a product
loses by underflow, at most 1e100 * 2^-1022 after all factors, is far below gamma times the floor of 1e-180
that is added to magnitudes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pvq.arrays import F64, I64
from pvq.solvers.feasible import FeasibleSet, FiniteSet
from pvq.solvers.lattice import Lattice, lattice_of
from pvq.solvers.outcome import CERTIFICATES
from pvq.solvers.problem import LayerProblem
from pvq.solvers.rounding import TINY, UNIT, gamma, proves_psd

from .finite import least_over_levels
from .parts import Multipliers, Tangent, sum_down

__all__ = ["SplitCertificate"]

FLOOR = 1e-180  # of magnitudes in allowances: gamma times it exceeds every underflow that can occur
LARGEST_INTEGER = 2**40  # of coefficients and k: floats hold them, and their products with levels, well


@CERTIFICATES.register("split")
@dataclass(frozen=True, eq=False)
class SplitCertificate(Multipliers):
    """Lower bound for a finite set on a lattice, from splits (t - k)(t - k - 1) >= 0 with t = a'm.

    Parameters
    ----------
    problem, d, u : as of every dual certificate; d may have any sign
    start : (N + 1,) cut m has the entries start_m ... start_m+1 - 1 of the next two
    index, coefficient : (entries,) weights, increasing within a cut, and the integers a
    k : (N,) integers, in units of the lattice whose origin is the lowest level of each weight
    z : (N,) multipliers, positive, for squares of b'v with b = a / step

    >>> from pvq.solvers.feasible import fit_set
    >>> H = np.array([[1.0, 1.0], [1.0, 1.0]])
    >>> problem = LayerProblem(H, np.array([0.25, 0.25]))
    >>> cut = {"start": np.array([0, 2]), "index": np.array([0, 1]), "coefficient": np.array([1, 1])}
    >>> proof = SplitCertificate(
    ...     problem.digest, -1e-9 * np.ones(2), np.zeros(2), **cut, k=np.array([0]), z=np.ones(1)
    ... )
    >>> round(proof.bound(problem, fit_set("levels[0;1]", problem.w)), 6)
    0.25
    """

    start: I64
    index: I64
    coefficient: I64
    k: I64
    z: F64

    def bound(self, problem: LayerProblem, feasible: FeasibleSet, slack: float = 1.0) -> float:
        """Return the proved lower bound, -inf if nothing is proved."""
        if not (slack >= 1.0 and isinstance(feasible, FiniteSet) and self.is_about(problem)):
            return -np.inf
        lattice = lattice_of(feasible, problem.n)
        if lattice is None or not self._well_formed(problem.n):
            return -np.inf
        with np.errstate(all="ignore"):
            splits = _splits(self, problem.w, lattice, slack)
            if splits is None or not _remainder_is_psd(problem, self.d, splits, slack):
                return -np.inf
            tangent, quadratic = _tangent(problem, self.d, self.u, splits, slack)
            lowest = least_over_levels(problem.w, feasible, self.d, tangent, slack)
            constant = _constants(splits, slack)
        return sum_down([*lowest, *constant, -quadratic])

    def _well_formed(self, n: int) -> bool:
        """Return whether the cuts are integer vectors, each weight at most once; z is looked at later."""
        start, index = self.start, self.index
        if any(values.ndim != 1 or values.dtype.kind not in "iu" for values in self._integers()):
            return False
        if not (start.size == self.k.size + 1 == self.z.size + 1 and index.size == self.coefficient.size):
            return False
        if start[0] != 0 or start[-1] != index.size or (np.diff(start.astype(np.int64)) < 1).any():
            return False
        if index.size and (index.min() < 0 or index.max() >= n):
            return False
        inside = np.ones(max(0, index.size - 1), dtype=np.bool_)
        inside[start[1:-1].astype(np.int64) - 1] = False
        ordered = bool((np.diff(index.astype(np.int64))[inside] > 0).all())
        sized = all(
            (values.astype(np.float64) <= LARGEST_INTEGER).all()
            and (values.astype(np.float64) >= -LARGEST_INTEGER).all()
            for values in (self.coefficient, self.k)
        )
        return ordered and sized and self.z.ndim == 1

    def _integers(self) -> list[I64]:
        return [self.start, self.index, self.coefficient, self.k]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is stored."""
        names = ("d", "u", "start", "index", "coefficient", "k", "z")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def restore(cls, problem: str, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Self:
        """Return the certificate that was stored."""
        names = ("d", "u", "start", "index", "coefficient", "k", "z")
        return cls(problem, *(arrays[name] for name in names))


class _Splits(NamedTuple):
    """B as given and by magnitude, (N, n) sparse; z, f and E of each cut; the most terms of a sum."""

    B: sparse.csr_array
    size: sparse.csr_array
    z: F64
    f: F64
    error: F64
    terms: int


def _splits(proof: SplitCertificate, w: F64, lattice: Lattice, slack: float) -> _Splits | None:
    """Return the cuts in weight units, None where a number leaves the range of safe arithmetic."""
    index, start = proof.index.astype(np.int64), proof.start.astype(np.int64)
    entries = np.diff(start)
    a = proof.coefficient.astype(np.float64)
    b = a / lattice.step[index]
    weight = np.repeat(proof.z, entries) * b * b
    if not (_within(np.abs(b), 100) and _within(proof.z, 100) and _within(weight, 280)):
        return None
    shape = (len(proof.z), len(w))
    B = sparse.csr_array((b, index, start), shape=shape)
    size = sparse.csr_array((np.abs(b), index, start), shape=shape)
    longest, shared = entries.max(initial=0), np.bincount(index, minlength=1).max()
    terms = int(longest + shared)
    offset = w - lattice.origin
    k = proof.k.astype(np.float64)
    f = B @ offset - k
    allowance = slack * gamma(2 * terms + 32)
    rounding = allowance * (size @ np.abs(offset) + np.abs(k) + np.abs(f) + 1e-100)
    inexact = slack * 2 * UNIT * lattice.top * np.add.reduceat(np.abs(a), start[:-1]) if len(k) else k
    error: F64 = np.asarray(1.01 * (size @ lattice.deviation + inexact + rounding), dtype=np.float64)
    return _Splits(B, size, proof.z, f, error, terms) if (error <= 0.5).all() else None


def _within(values: F64, exponent: int) -> bool:
    return bool(((values >= 10.0**-exponent) & (values <= 10.0**exponent)).all())


def _constants(splits: _Splits, slack: float) -> F64:
    """Return lower bounds of z (f (1 - f) - E)."""
    f, z = splits.f, splits.z
    product = z * (f * (1.0 - f))
    return product - slack * gamma(16) * np.abs(product) - 1.01 * (z * splits.error) - 16 * TINY


def _remainder_is_psd(problem: LayerProblem, d: F64, splits: _Splits, slack: float) -> bool:
    """Return True only if H - diag(d) - B' diag(z) B is positive semidefinite."""
    if len(splits.z) == 0:
        return proves_psd(problem.H, d, slack)
    used, used_size = _square(splits.B, splits.z), _square(splits.size, splits.z)
    rest = problem.H - used
    error = slack * gamma(splits.terms + 16) * (used_size + np.abs(rest))
    root = np.sqrt(np.where(problem.gram.alive, np.diagonal(problem.H), 1.0))
    given_up = 1.01 * (root * (error @ (1.0 / root) + 4 * problem.n * TINY)) + 4 * TINY
    lower = np.tril(rest)
    return proves_psd(lower + np.tril(lower, -1).T, np.nextafter(d + given_up, np.inf), slack)


def _square(B: sparse.csr_array, z: F64) -> F64:
    """Return B' diag(z) B, dense."""
    return np.asarray((B.T @ (sparse.diags_array(z) @ B)).toarray())


def _tangent(problem: LayerProblem, d: F64, u: F64, splits: _Splits, slack: float) -> tuple[Tangent, float]:
    """Return g = Mu + B' z (1/2 - f) with a bound of its error, and an upper bound of u'Mu."""
    B, size, z, n = splits.B, splits.size, splits.z, problem.n
    size_u = np.abs(u)
    along, along_size = B @ u, size @ size_u + FLOOR
    half = 0.5 - splits.f
    half_size = 0.5 + np.abs(splits.f)
    allowance = slack * gamma(2 * (n + splits.terms) + 32)
    image = problem.H @ u - d * u - B.T @ (z * along)
    magnitude = problem.gram.magnitude @ size_u + np.abs(d) * size_u + size.T @ (z * along_size)
    error: F64 = allowance * (magnitude + FLOOR)
    quadratic = float(u @ image) + allowance * float(size_u @ np.abs(image)) + 1.01 * float(size_u @ error)
    slope = B.T @ (z * half)
    error = error + allowance * (size.T @ (z * half_size) + np.abs(image) + np.abs(slope))
    quadratic = float(np.nextafter(quadratic + 8 * n * TINY, np.inf))
    return Tangent(image + slope, np.asarray(error), quadratic), quadratic

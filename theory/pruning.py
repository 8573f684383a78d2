"""Pruning in patterns: N of M, and the density that is fair to a quantizer's own zeros."""

from __future__ import annotations

import numpy as np
from scipy.special import betainc, betaln

from pvq.arrays import F64, I64
from pvq.theory.budget import DENSE_BITS
from pvq.theory.codebook import Codebook
from pvq.theory.distribution import WeightDistribution
from pvq.theory.distributions.empirical import Empirical
from pvq.theory.quadrature import integrate
from pvq.theory.snr import pruning_error, signal_power, snr_db

__all__ = ["corrected_density", "n_of_m_error", "n_of_m_snr", "natural_sparsity"]

_PIECES = 8  # of (0, 1), shrinking towards both ends, where powers and logarithms stand


def n_of_m_error(law: WeightDistribution, n: int, m: int) -> float:
    """Return the expected squared error per weight of keeping the n largest magnitudes of every m weights.

    A weight whose magnitude has rank v in [0, 1] is removed if at least n of its m - 1 independent companions
    are larger, which has probability I_(1-v)(n, m-n). Integrated by parts, the error is the mean of
    `pruning_error` at sparsity V over V ~ Beta(m-n, n): magnitude pruning at densities around n/m.

    Parameters
    ----------
    law : law of independent weights
    n, m : kept, group size; 1 <= n <= m

    Raises
    ------
    ValueError : not 1 <= n <= m; infinite second moment

    >>> from pvq.theory.distributions.uniform import Uniform
    >>> round(n_of_m_error(Uniform(), 1, 2), 12)  # E min(U, V)^2 / 2 = 1/12
    0.083333333333
    """
    if not 1 <= n <= m:
        raise ValueError(f"n and m must fulfil 1 <= n <= m, got n={n}, m={m}")
    if n == m:
        return 0.0
    if isinstance(law, Empirical):
        return _atoms(np.sort(np.abs(law.values)), n, m)
    signal_power(law)

    def integrand(x: F64, piece: I64) -> F64:
        errors = np.reshape([pruning_error(law, float(density)) for density in x.ravel()], x.shape)
        logs = (n - 1) * np.log(x) + (m - n - 1) * np.log1p(-x) - betaln(n, m - n)
        return np.asarray(errors * np.exp(logs))

    ends = _graded_ends()
    return float(integrate(integrand, ends[:-1], ends[1:], rtol=1e-8).sum())


def _graded_ends() -> F64:
    half = 0.5 ** np.arange(_PIECES, 0, -1)
    return np.concatenate([[0.0], half, (1 - half[::-1])[1:], [1.0]])


def _atoms(sizes: F64, n: int, m: int) -> float:
    """Sum size^2 times the integral of I_(1-v)(n, m-n) over each atom's share of ranks, in closed form."""
    v = np.arange(sizes.size + 1) / sizes.size
    removed = v * betainc(n, m - n, 1 - v) + (m - n) / m * betainc(m - n + 1, n, v)
    return float((sizes**2 * np.diff(removed)).sum())


def n_of_m_snr(law: WeightDistribution, n: int, m: int) -> float:
    """Return the SNR of N:M pruning in dB; inf for n = m.

    >>> from pvq.theory.distributions.gaussian import Gaussian
    >>> round(n_of_m_snr(Gaussian(), 2, 4), 3)
    8.78
    """
    return snr_db(signal_power(law), n_of_m_error(law, n, m))


def natural_sparsity(law: WeightDistribution, codebook: Codebook) -> float:
    """Return the share of weights that `codebook` rounds to zero; 0 if it has no level zero.

    >>> from pvq.theory.distributions.uniform import Uniform
    >>> natural_sparsity(Uniform(), Codebook(np.array([-1.0, 0.0, 1.0])))
    0.5
    """
    zero = np.flatnonzero(codebook.levels == 0)
    if zero.size == 0:
        return 0.0
    lo, hi = codebook.edges[zero[0]], codebook.edges[zero[0] + 1]
    return float(law.partial_moment(0, lo, hi))


def corrected_density(law: WeightDistribution, codebook: Codebook, bits: float) -> float:
    """Return (1 - natural sparsity) * bits / 16: pruning that must also match the quantizer's own zeros.

    This is what the release of Kuzmin et al. (arXiv 2307.02973) calls corrected.

    Raises
    ------
    ValueError : bits not in (0, 16]

    >>> from pvq.theory.distributions.uniform import Uniform
    >>> corrected_density(Uniform(), Codebook(np.array([-1.0, 0.0, 1.0])), 4)
    0.125
    """
    if not 0 < bits <= DENSE_BITS:
        raise ValueError(f"bits must lie in (0, {DENSE_BITS:g}], got {bits}")
    return (1 - natural_sparsity(law, codebook)) * bits / DENSE_BITS

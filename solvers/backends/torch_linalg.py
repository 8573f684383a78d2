"""The dense kernels of the dual path in torch float64, on the CPU or on a CUDA device."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from pvq.arrays import F64

from .._dual.dense import Newton

__all__ = ["TorchDense", "refusal"]


def refusal(device: str) -> str | None:
    """Return why `device`, "cpu" or "cuda", cannot be used here, None if it can.

    >>> refusal("cpu") is None
    True
    """
    if device == "cuda" and not torch.cuda.is_available():
        return "device=cuda needs a CUDA device that torch can use"
    return None


class TorchDense:
    """Matrices are float64 tensors on `device`; vectors come and go as NumPy arrays.

    >>> backend = TorchDense("cpu")
    >>> factor = backend.factor(backend.load(2.0 * np.eye(2)), np.ones(2))
    >>> backend.solve(factor, np.array([1.0, 2.0]))
    array([1., 2.])
    """

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)

    def load(self, A: F64) -> torch.Tensor:
        """Return A on the device."""
        return torch.tensor(A, dtype=torch.float64, device=self.device)

    def factor(self, A: torch.Tensor, D: F64) -> torch.Tensor | None:
        """Return the Cholesky factor of A - diag(D), None where that is not positive definite."""
        M = A.clone()
        M.diagonal().sub_(self.load(D))
        return _factored(M)

    def solve(self, L: torch.Tensor, b: F64) -> F64:
        """Solve LL'x = b."""
        columns = self.load(b.reshape(len(b), -1))
        return _numpy(torch.cholesky_solve(columns, L)).reshape(b.shape)

    def log_diagonal(self, L: torch.Tensor) -> float:
        """Return the sum of the logarithms of the diagonal."""
        return float(L.diagonal().log().sum())

    def inverse(self, L: torch.Tensor) -> torch.Tensor:
        """Return (LL')^-1."""
        return torch.cholesky_inverse(L)

    def diagonal(self, Z: torch.Tensor) -> F64:
        """Return the diagonal."""
        return _numpy(Z.diagonal())

    def newton(self, Z: torch.Tensor, parts: Newton) -> torch.Tensor | None:
        """Return the Cholesky factor of the Newton matrix, None where that is not positive definite."""
        a, g, ridge = (self.load(part) for part in (parts.a, parts.g, parts.ridge))
        if not np.array_equal(parts.places, np.arange(len(Z))):
            index = torch.tensor(parts.places, device=self.device)
            Z = Z[index][:, index]
        K = torch.outer(g, g).addcmul_(torch.outer(a, a), Z).mul_(Z)
        K.diagonal().add_(ridge)
        return _factored(K)

    def congruence(self, L: torch.Tensor, delta: F64) -> Callable[[F64], F64]:
        """Return v -> L^-1 diag(delta) L^-T v."""
        scale = self.load(delta)[:, None]

        def apply(v: F64) -> F64:
            right = torch.linalg.solve_triangular(L.mT, self.load(v)[:, None], upper=True)
            return _numpy(torch.linalg.solve_triangular(L, scale * right, upper=False))[:, 0]

        return apply


def _factored(M: torch.Tensor) -> torch.Tensor | None:
    factor, info = torch.linalg.cholesky_ex(M)
    return factor if int(info) == 0 and bool(factor.diagonal().isfinite().all()) else None


def _numpy(tensor: torch.Tensor) -> F64:
    return np.asarray(tensor.cpu().numpy(), dtype=np.float64)

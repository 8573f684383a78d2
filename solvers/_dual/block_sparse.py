"""From the block-diagonal relaxation to a certified pruning bound for H itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64, I64
from pvq.solvers.certificates.block_sparse import BlockSparseCertificate, remainder_is_psd
from pvq.solvers.feasible import SparseSet
from pvq.solvers.outcome import Outcome
from pvq.solvers.problem import LayerProblem
from pvq.solvers.refit import refit
from pvq.solvers.solver import CLAIM_SLACK, Limits

from .block_path import BlockPath, BlockRelaxed
from .partition import partition
from .prepared import Prepared, prepare
from .sparse import NEGLIGIBLE, SparseDual

__all__ = ["BlockDual"]


@dataclass(frozen=True, eq=False)
class BlockDual:
    """The dual bound of one row over sparse vectors, with blocks of `size` weights in D."""

    problem: LayerProblem
    feasible: SparseSet
    size: int

    def run(self, limits: Limits) -> Outcome:
        """Return the bound's certificate and the refitted weights that the relaxation keeps."""
        prepared = prepare(self.problem.gram)
        w = self.problem.w[prepared.alive] * prepared.root
        unit = float(np.linalg.norm(w)) / np.sqrt(max(1, len(w)))
        removed = self.feasible.removed - (self.problem.n - len(w))  # dead inputs are removed for free
        if unit == 0 or not 0 < removed < len(w):
            return SparseDual(self.problem, self.feasible).run(limits)
        blocks = partition(prepared.A, self.size)
        order = np.concatenate(blocks)
        starts = np.cumsum([0, *(len(block) for block in blocks)])
        A = np.asfortranarray(prepared.A[np.ix_(order, order)])
        path = BlockPath(A, w[order] / unit, removed, starts)
        d = 0.9 * prepared.centre[order]
        relaxed = path.solve(d, limits.tolerance, 1e-3 * NEGLIGIBLE * len(w), limits.clock(), limits.seed)
        certificate = self._certificate(prepared, blocks, relaxed, unit)
        return Outcome(
            relaxed.status, self._rounded(prepared.alive[order], relaxed), certificate, relaxed.iterations
        )

    def _certificate(
        self, prepared: Prepared, blocks: list[I64], relaxed: BlockRelaxed, unit: float
    ) -> BlockSparseCertificate:
        """Return the certificate; D gives up as much as a proof about H itself needs."""
        order = np.concatenate(blocks)
        e = np.zeros(self.problem.n)
        e[prepared.alive[order]] = relaxed.e * unit / prepared.root[order]
        members, roots = _padded(blocks, prepared)
        scale = roots[:, :, None] * roots[:, None, :]
        live = [block[block >= 0] for block in members]
        D = relaxed.D * scale
        for margin in [0.0, *(prepared.margin * 4.0**k for k in range(8))]:
            D = (relaxed.D - margin * np.eye(relaxed.D.shape[1])) * scale
            parts = [part[: len(block), : len(block)] for part, block in zip(D, live, strict=True)]
            if remainder_is_psd(self.problem.H, parts, live, CLAIM_SLACK):
                break
        return BlockSparseCertificate(self.problem.digest, members, D, e)

    def _rounded(self, live: I64, relaxed: BlockRelaxed) -> F64:
        """Return refitted weights on the k live inputs that the relaxation removes least."""
        removal = np.full(self.problem.n, 2.0)
        removal[live] = relaxed.removal
        return refit(self.problem, np.argsort(removal, kind="stable")[: self.feasible.k])


def _padded(blocks: list[I64], prepared: Prepared) -> tuple[I64, F64]:
    """Return members (blocks, s) as indices of all inputs, -1 for none, and square roots of their H_ii."""
    members = np.full((len(blocks), max(len(block) for block in blocks)), -1, dtype=np.int64)
    roots = np.zeros(members.shape)
    for row, block in enumerate(blocks):
        members[row, : len(block)] = prepared.alive[block]
        roots[row, : len(block)] = prepared.root[block]
    return members, roots

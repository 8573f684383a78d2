"""A tree of decisions whose leaves prove, each for its part of the problem, that no point there is better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from pvq.solvers.feasible import FeasibleSet
from pvq.solvers.outcome import CERTIFICATES
from pvq.solvers.problem import LayerProblem

__all__ = ["ANCHOR", "BRANCH", "CLOSE", "KEEP", "KINDS", "PRICE", "PROOF", "REMOVE", "TreeCertificate"]

PROOF, CLOSE, PRICE, REMOVE, KEEP, BRANCH, ANCHOR = range(7)
KINDS = 7  # an entry of the program is KINDS * weight + one of the above


@CERTIFICATES.register("tree")
@dataclass(frozen=True, eq=False)
class TreeCertificate:
    """Lower bound for sparse, N:M and boxed sparse sets: the least over a covering tree's leaves.

    The tree is a program in preorder. ``PROOF`` reads multipliers for the part at the last anchor
    (`tree_leaf.prove`); ``REMOVE i`` and ``KEEP i`` go on with one side and leave the other to what the
    last proof says about it, which holds for all that lies within the anchor's part; ``ANCHOR`` moves the
    anchor here; ``BRANCH i`` is followed by the subtree that removes i and the one that keeps it; ``CLOSE``
    ends a leaf with the best value of the proofs on its way, 0 where there is none; ``PRICE`` ends a leaf
    in which every weight is decided. What the quotas decide is not written. The program must be used up
    exactly, so that nothing is left out; every number is re-proved from H and w.

    Parameters
    ----------
    problem : content hash of H and w
    program : int32
    d, e : float32, multipliers of the active weights, proof after proof, in the normal form of `tree_leaf`
    kept : diagonal of kept weights in proofs
    floor : what can be taken off the whole diagonal, used by PRICE

    >>> from pvq.solvers.feasible import SparseSet
    >>> problem = LayerProblem(np.eye(2), np.array([2.0, 1.0]))
    >>> price = np.array([BRANCH, PRICE, PRICE], dtype=np.int32)
    >>> tree = TreeCertificate(problem.digest, price, np.zeros(0, "f4"), np.zeros(0, "f4"), 1e-9, 0.5)
    >>> round(tree.bound(problem, SparseSet(2, 1)), 12)
    1.0
    """

    problem: str
    program: NDArray[np.int32]
    d: NDArray[np.float32]
    e: NDArray[np.float32]
    kept: float
    floor: float

    @property
    def leaves(self) -> int:
        """Number of parts that the tree distinguishes, those refuted by fixing included."""
        kind = self.program % KINDS
        return int(np.isin(kind, (CLOSE, PRICE, REMOVE, KEEP)).sum())

    def bound(self, problem: LayerProblem, feasible: FeasibleSet, slack: float = 1.0) -> float:
        """Return the proved lower bound, -inf if nothing is proved."""
        from .tree_leaf import normalise, remains_psd

        if not (slack >= 1.0 and self.problem == problem.digest and self._is_usable()):
            return -np.inf
        normal = normalise(problem, feasible)
        if normal is None:
            return -np.inf
        everywhere, floor = np.arange(len(normal.w)), np.full(len(normal.w), self.floor)
        sure = self.floor > 0 and remains_psd(normal.H, everywhere, floor, slack)
        try:
            value = _Walk(self, normal, self.floor if sure else 0.0, slack).run()
            return float(math.ldexp(value, normal.exponent)) if value > -np.inf else value
        except (_Malformed, OverflowError):
            return -np.inf

    def _is_usable(self) -> bool:
        return (
            self.program.dtype == np.dtype(np.int32)
            and self.d.dtype == self.e.dtype == np.dtype(np.float32)
            and self.program.ndim == self.d.ndim == self.e.ndim == 1
            and self.d.shape == self.e.shape
            and bool((self.program >= 0).all())
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the program and the multipliers."""
        return {"program": self.program, "d": self.d, "e": self.e}

    def facts(self) -> dict[str, Any]:
        """Return the two diagonals."""
        return {"kept": self.kept, "floor": self.floor}

    @classmethod
    def restore(cls, problem: str, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Self:
        """Return the certificate that was stored."""
        for name in ("kept", "floor"):
            if type(facts[name]) is not float:
                raise ValueError(f"{name} must be stored as float, got {type(facts[name]).__name__}")
        return cls(problem, arrays["program"], arrays["d"], arrays["e"], facts["kept"], facts["floor"])


class _Malformed(Exception):
    """The program is not a tree over this problem."""


class _Place(NamedTuple):
    """Where a walk goes on: the part, the larger one that proofs are about, last proof and best value."""

    state: NDArray[np.int8]
    anchor: NDArray[np.int8]
    proof: Any
    value: float


@dataclass
class _Walk:
    """One reading of the program; `best` is the least value of the leaves met."""

    tree: TreeCertificate
    normal: Any
    floor: float
    slack: float
    best: float = np.inf
    used: int = 0
    waiting: list[_Place] = field(default_factory=list)

    def run(self) -> float:
        """Return the least value over all leaves.

        Raises
        ------
        _Malformed : the program ends early or late, or decides a weight twice
        """
        place: _Place | None = self._part(np.zeros(len(self.normal.w), dtype=np.int8))
        for entry in self.tree.program.tolist():
            if place is None and not self.waiting:
                raise _Malformed
            place = self._step(place or self.waiting.pop(), *divmod(entry, KINDS))
        if place is not None or self.waiting or self.used != len(self.tree.d):
            raise _Malformed
        return self.best

    def _part(self, state: NDArray[np.int8], before: _Place | None = None, anchored: bool = False) -> _Place:
        """Return the place with the quotas' own decisions made, reached from the one before."""
        from .tree_leaf import complete

        if not complete(state, self.normal.group, self.normal.quota):
            raise _Malformed
        if before is None:
            return _Place(state, state, None, 0.0)
        return before._replace(state=state, anchor=before.anchor if anchored else state)

    def _step(self, place: _Place, i: int, kind: int) -> _Place | None:
        """Execute one entry; return where to go on, None at a leaf."""
        if kind == PROOF:
            proof = self._proof(place.anchor)
            return place._replace(proof=proof, value=max(place.value, proof.value))
        if kind == ANCHOR:
            return place._replace(anchor=place.state)
        if kind == CLOSE:
            self._leaf(place.value)
            return None
        if kind == PRICE:
            self._leaf(self._price(place.state))
            return None
        return self._decide(place, i, kind)

    def _decide(self, place: _Place, i: int, kind: int) -> _Place | None:
        from .tree_leaf import KEPT, OPEN, REMOVED

        if i >= len(place.state) or place.state[i] != OPEN:
            raise _Malformed
        removed, kept = place.state.copy(), place.state.copy()
        removed[i], kept[i] = REMOVED, KEPT
        if kind == BRANCH:
            self.waiting += [self._part(kept, place), self._part(removed, place)]
            return None
        if place.proof is None:
            raise _Malformed
        self._leaf(float((place.proof.keeping if kind == REMOVE else place.proof.removing)[i]))
        return self._part(removed if kind == REMOVE else kept, place, anchored=True)

    def _leaf(self, value: float) -> None:
        self.best = min(self.best, -np.inf if np.isnan(value) else value)

    def _proof(self, state: NDArray[np.int8]) -> Any:
        from .tree_leaf import prove

        part = slice(self.used, self.used + len(self.normal.active(state)))
        d, e = self.tree.d[part].astype(np.float64), self.tree.e[part].astype(np.float64)
        if part.stop > len(self.tree.d):
            raise _Malformed
        self.used = part.stop
        return prove(self.normal, state, d, e, self.tree.kept, self.slack)

    def _price(self, state: NDArray[np.int8]) -> float:
        from .tree_leaf import OPEN, price

        if self.normal.boxed or (state == OPEN).any():
            raise _Malformed
        return price(self.normal, state, self.floor, self.slack) if self.floor else -np.inf

"""The tree of a search: what was decided and proved at each node, its open nodes, and how it is stored."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import Bool
from pvq.errors import PvqError
from pvq.solvers.certificates.tree import BRANCH, CLOSE, KINDS, PROOF
from pvq.solvers.npz import read_npz

__all__ = ["Multipliers", "Node", "Start", "TreeState"]

F32 = NDArray[np.float32]
FORMAT = 1


class Multipliers(NamedTuple):
    """d and e of the active weights of a part, as they are stored."""

    d: F32
    e: F32


class Start(NamedTuple):
    """An open node: its part, a proved bound in normal units, and (n,) multipliers to start from."""

    state: NDArray[np.int8]
    bound: float
    d: F32
    e: F32


@dataclass
class Node:
    """What happened at a node.

    Parameters
    ----------
    program : entries so far, those of `certificates.tree`
    proofs : the multipliers that its PROOF entries read
    branch, children : the weight branched on and the nodes that remove and keep it, -1 before
    last : multipliers that bound the part branched on, for children that stay open
    """

    program: list[int] = field(default_factory=list)
    proofs: list[Multipliers] = field(default_factory=list)
    branch: int = -1
    children: tuple[int, int] = (-1, -1)
    last: Multipliers | None = None

    def prove(self, multipliers: Multipliers) -> None:
        """Append a proof."""
        self.program.append(PROOF)
        self.proofs.append(multipliers)

    @property
    def is_fresh(self) -> bool:
        """Return whether nothing happened yet."""
        return not self.program and self.branch < 0


@dataclass
class TreeState:
    """A search that can be stopped, stored and taken up again.

    Parameters
    ----------
    identity : of problem and set, so that a stored tree is not taken up for another
    kept : (n,) the best support met, over live inputs
    nodes : number 0 is the root
    open : nodes that are neither closed nor branched
    done : nodes taken up so far
    """

    identity: str
    kept: Bool
    nodes: list[Node] = field(default_factory=lambda: [Node()])
    open: dict[int, Start] = field(default_factory=dict)
    done: int = 0

    def branch(self, number: int, i: int, removed: Start, kept: Start) -> tuple[int, int]:
        """Open two children of a node; return their numbers."""
        node, first = self.nodes[number], len(self.nodes)
        node.branch, node.children = i, (first, first + 1)
        self.nodes += [Node(), Node()]
        self.open[first], self.open[first + 1] = removed, kept
        return node.children

    def program(self) -> tuple[NDArray[np.int32], F32, F32]:
        """Return the tree as a certificate's program and multipliers; open nodes keep what is proved."""
        entries: list[int] = []
        proofs: list[Multipliers] = []
        for number in self._preorder():
            node = self.nodes[number]
            entries += node.program
            proofs += node.proofs
            if number in self.open:
                entries.append(CLOSE)
            elif node.branch >= 0:
                if node.last is not None and any(self._waits(child) for child in node.children):
                    entries.append(PROOF)
                    proofs.append(node.last)
                entries.append(KINDS * node.branch + BRANCH)
        empty = [np.zeros(0, np.float32)]
        d, e = (np.concatenate(empty + [proof[side] for proof in proofs]) for side in (0, 1))
        return np.array(entries, dtype=np.int32), d, e

    def _preorder(self) -> Iterator[int]:
        waiting = [0]
        while waiting:
            number = waiting.pop()
            yield number
            if self.nodes[number].branch >= 0:
                waiting += self.nodes[number].children[::-1]

    def _waits(self, number: int) -> bool:
        return number in self.open and self.nodes[number].is_fresh

    def save(self, path: str | Path) -> None:
        """Write the tree to one npz file, which appears whole or not at all."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".part-", suffix=".npz")
        try:
            with os.fdopen(handle, "wb") as stream:
                np.savez_compressed(stream, **self._stored())
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _stored(self) -> dict[str, Any]:
        nodes, starts = self.nodes, list(self.open.values())
        proofs = [proof for node in nodes for proof in [*node.proofs, *([node.last] if node.last else [])]]
        n, empty = len(self.kept), [np.zeros(0, np.float32)]
        return {
            "format": np.array(FORMAT),
            "identity": np.array(self.identity),
            "kept": self.kept,
            "done": np.array(self.done),
            "program": np.array([entry for node in nodes for entry in node.program], dtype=np.int32),
            "lengths": np.array([len(node.program) for node in nodes]),
            "branch": np.array([node.branch for node in nodes]),
            "children": np.array([node.children for node in nodes]).reshape(-1, 2),
            "has_last": np.array([node.last is not None for node in nodes]),
            "sizes": np.array([len(proof.d) for proof in proofs], dtype=np.int64),
            "d": np.concatenate(empty + [proof.d for proof in proofs]),
            "e": np.concatenate(empty + [proof.e for proof in proofs]),
            "open": np.array(list(self.open), dtype=np.int64),
            "open_state": np.array([start.state for start in starts], dtype=np.int8).reshape(-1, n),
            "open_bound": np.array([start.bound for start in starts], dtype=np.float64),
            "open_d": np.array([start.d for start in starts], dtype=np.float32).reshape(-1, n),
            "open_e": np.array([start.e for start in starts], dtype=np.float32).reshape(-1, n),
        }

    @staticmethod
    def load(path: str | Path, identity: str) -> TreeState:
        """Return the stored tree.

        Raises
        ------
        PvqError : the file is missing or damaged, or is about another problem or set
        """
        stored = read_npz(path)
        try:
            if int(stored["format"]) != FORMAT or str(stored["identity"]) != identity:
                raise PvqError(f"{path} holds the tree of another problem, set or version")
            return _restored(stored, identity)
        except (KeyError, TypeError, ValueError, IndexError, StopIteration) as error:
            raise PvqError(f"{path} cannot be read as a tree: {error}") from error


def _restored(stored: dict[str, NDArray[Any]], identity: str) -> TreeState:
    ends = np.cumsum(stored["sizes"])[:-1]
    pairs = zip(np.split(stored["d"], ends), np.split(stored["e"], ends), strict=True)
    proofs = iter([Multipliers(d, e) for d, e in pairs])
    programs = np.split(stored["program"], np.cumsum(stored["lengths"])[:-1])
    nodes = []
    for k, entries in enumerate(programs):
        program = entries.tolist()
        node = Node(program, [next(proofs) for entry in program if entry % KINDS == PROOF])
        node.branch, node.children = int(stored["branch"][k]), tuple(stored["children"][k].tolist())
        node.last = next(proofs) if stored["has_last"][k] else None
        nodes.append(node)
    columns = (stored["open_state"], stored["open_bound"].tolist(), stored["open_d"], stored["open_e"])
    starts = (Start(*values) for values in zip(*columns, strict=True))
    opened = dict(zip(stored["open"].tolist(), starts, strict=True))
    return TreeState(identity, stored["kept"], nodes, opened, int(stored["done"]))

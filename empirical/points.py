"""The points behind the achieved errors of a task, on disk, so that they can be priced again.

``NAME.points.npz`` holds ``w`` and ``x``, (rows, n): weights and best point of each row (NaN where no method
gave a point), and the text array ``grams``, a JSON list of the content hash of each row's H. Each H lies
beside it as ``gram-HASH.npz``, which certificates share. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from pvq.arrays import F64
from pvq.empirical.atomic import write_bytes
from pvq.errors import PvqError
from pvq.solvers.gram import Gram
from pvq.solvers.npz import npz_bytes, read_npz
from pvq.solvers.problem import LayerProblem

__all__ = ["SUFFIX", "Point", "encode_points", "gram_file", "load_points", "save_gram", "save_points"]

SUFFIX = ".points.npz"


@dataclass(frozen=True, eq=False)
class Point:
    """The best weights found for one row.

    Parameters
    ----------
    problem : H and w of the row
    x : (n,), None where no method gave a point
    """

    problem: LayerProblem
    x: F64 | None


def save_points(path: Path, points: Sequence[Point]) -> Path:
    """Write points of one layer to ``path`` + ``.points.npz``, and each H beside it unless it is there."""
    target = path.with_name(path.name + SUFFIX)
    for gram in {point.problem.gram.digest: point.problem.gram for point in points}.values():
        save_gram(target.parent, gram)
    write_bytes(target, encode_points(points))
    return target


def encode_points(points: Sequence[Point]) -> bytes:
    """Return what the file of these points holds; each H is to lie beside it."""
    grams = json.dumps([point.problem.gram.digest for point in points])
    w = np.stack([point.problem.w for point in points])
    x = [np.full(point.problem.n, np.nan) if point.x is None else point.x for point in points]
    return npz_bytes({"w": w, "x": np.stack(x), "grams": np.array(grams)})


def gram_file(digest: str) -> str:
    """Return the name of the file of the H with a content hash."""
    return f"gram-{digest}.npz"


def save_gram(folder: Path, gram: Gram) -> None:
    """Write an H that points and certificates name, unless it is there."""
    path = folder / gram_file(gram.digest)
    if not path.exists():
        write_bytes(path, npz_bytes({"H": gram.matrix}))


def load_points(path: Path) -> Iterator[Point]:
    """Yield the points of a file, rebuilt from it and from the H files beside it.

    Raises
    ------
    PvqError : the file, or an H that it names, is missing, damaged or of another kind
    """
    stored = read_npz(path)
    try:
        digests = json.loads(str(stored["grams"]))
        grams = {digest: _read_gram(path, digest) for digest in set(digests)}
        for w, x, digest in zip(stored["w"], stored["x"], digests, strict=True):
            problem = LayerProblem(grams[digest].matrix, w, grams[digest])
            yield Point(problem, None if np.isnan(x).all() else x)
    except (KeyError, TypeError, ValueError) as error:
        raise PvqError(f"{path} cannot be read: {error}") from error


def _read_gram(path: Path, digest: str) -> Gram:
    stored = path.with_name(gram_file(Path(digest).name))
    modified = stored.stat().st_mtime_ns if stored.is_file() else 0
    gram = _gram_at(stored, modified)
    if gram.digest != digest:
        raise ValueError(f"{stored.name} does not hold the H that its name says")
    return gram


@lru_cache(maxsize=4)
def _gram_at(path: Path, modified: int) -> Gram:
    """Return the H in a file, which the files of a layer share; `modified` makes a new answer due."""
    return Gram(read_npz(path)["H"])

"""Certificates on disk: numbers as npz, everything else as JSON inside it, H in a file that rows share.

``NAME.cert.npz`` holds one or more claims. For claim i the arrays are ``i/w``, ``i/d``, ``i/u`` and, for a
finite set, ``i/levels``; the text array ``claims`` is a JSON object whose ``claims`` is a list of objects
with the keys ``problem`` (content hash of H and w), ``gram`` (content hash of H), ``kind`` (``finite`` or
``sparse``), ``k``, ``method`` and ``claim``. Each H lies beside it as ``gram-HASH.npz``. Nothing is ever
unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import F64
from pvq.errors import PvqError
from pvq.provenance import versions

from .feasible import STORED_SETS, FeasibleSet, describe_set
from .gram import Gram
from .npz import npz_bytes, read_npz
from .outcome import CERTIFICATES, Certificate
from .problem import LayerProblem
from .solver import Result

__all__ = ["SUFFIX", "Claim", "encode_claims", "load_claims", "save_claims"]

T = TypeVar("T")
SUFFIX = ".cert.npz"
FORMAT = 2
KINDS = "fiub"  # of stored numbers: real, integer, boolean; nothing that could run code


@dataclass(frozen=True, eq=False)
class Claim:
    """A statement with its evidence: no point of `feasible` has an error below `value` on `problem`.

    Parameters
    ----------
    problem, feasible : what the statement is about
    certificate : the evidence
    value : the claimed lower bound
    method : who made it
    """

    problem: LayerProblem
    feasible: FeasibleSet
    certificate: Certificate
    value: float
    method: str = ""

    @property
    def set(self) -> str:
        """The set in words, as `describe_set` puts it."""
        return describe_set(self.feasible)

    @cached_property
    def digest(self) -> str:
        """Content hash of the whole claim: problem, set, evidence, value and method."""
        content = f"{json.dumps(_describe(self), sort_keys=True)}|{_content(_arrays(self))}"
        return hashlib.sha256(content.encode()).hexdigest()

    @staticmethod
    def of(problem: LayerProblem, feasible: FeasibleSet, result: Result) -> Claim:
        """Return the claim of a result.

        Raises
        ------
        PvqError : the result has no certificate
        """
        if result.certificate is None or result.error_lower is None:
            raise PvqError(f"{result.method} gave no certificate to store: {result.status.value}")
        return Claim(problem, feasible, result.certificate, result.error_lower, result.method)


def save_claims(path: Path, claims: Sequence[Claim]) -> Path:
    """Write claims to one file, and each H beside it unless it is there; return the file's path.

    Files appear whole or not at all. A name without the suffix ``.cert.npz`` gets it.
    """
    path = Path(path)
    target = path if path.name.endswith(SUFFIX) else path.with_name(path.name + SUFFIX)
    target.parent.mkdir(parents=True, exist_ok=True)
    for claim in claims:
        shared = _gram_path(target, claim.problem.gram.digest)
        if not shared.exists():
            _write(shared, npz_bytes({"H": claim.problem.H}))
    _write(target, encode_claims(claims))
    return target


def encode_claims(claims: Sequence[Claim]) -> bytes:
    """Return what the file of these claims holds; each H is to lie beside it."""
    arrays: dict[str, Any] = {}
    for i, claim in enumerate(claims):
        arrays |= {f"{i}/{name}": values for name, values in _arrays(claim).items()}
    header = {"format": FORMAT, "versions": versions(), "claims": [_describe(claim) for claim in claims]}
    return npz_bytes({"claims": np.array(json.dumps(header)), **arrays})


def load_claims(path: Path) -> Iterator[Claim]:
    """Yield the claims of a file, rebuilt from it and from the H files beside it.

    Raises
    ------
    PvqError : the file, or an H that it names, is missing, damaged or of another kind
    """
    stored = read_npz(path)
    for i, entry in enumerate(_header(stored, path)):
        try:
            prefix = f"{i}/"
            arrays = {
                name.removeprefix(prefix): _numbers(values)
                for name, values in stored.items()
                if name.startswith(prefix)
            }
            yield _rebuild(Path(path), entry, arrays)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise PvqError(f"claim {i} of {path} cannot be read: {error}") from error


def _arrays(claim: Claim) -> dict[str, NDArray[Any]]:
    parts = {"set": claim.feasible.arrays(), "certificate": claim.certificate.arrays()}
    stored = {f"{part}/{name}": values for part, arrays in parts.items() for name, values in arrays.items()}
    return {"w": claim.problem.w, **stored}


def _content(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return a hash of names, types and little-endian bytes of the arrays."""
    state = hashlib.sha256()
    for name, values in sorted(arrays.items()):
        little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        state.update(f"{name}|{values.shape}|{little.dtype.str}|".encode())
        state.update(little.tobytes())
    return state.hexdigest()


def _describe(claim: Claim) -> dict[str, Any]:
    return {
        "problem": claim.problem.digest,
        "gram": claim.problem.gram.digest,
        "set": {"kind": STORED_SETS.name_of(claim.feasible), **claim.feasible.facts()},
        "certificate": {"kind": CERTIFICATES.name_of(claim.certificate), **claim.certificate.facts()},
        "method": claim.method,
        "claim": float(claim.value),
    }


def _rebuild(path: Path, entry: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Claim:
    gram = _read_gram(path, _typed(entry, "gram", str))
    problem = LayerProblem(gram.matrix, _floats(arrays["w"]), gram)
    if problem.digest != entry["problem"]:
        raise ValueError("its weights or H are not those that the certificate was made for")
    feasible: FeasibleSet = STORED_SETS.get(entry["set"]["kind"]).restore(  # type: ignore[attr-defined]
        problem.n, _part(arrays, "set"), entry["set"]
    )
    certificate: Certificate = CERTIFICATES.get(entry["certificate"]["kind"]).restore(  # type: ignore[attr-defined]
        problem.digest, _part(arrays, "certificate"), entry["certificate"]
    )
    return Claim(problem, feasible, certificate, _typed(entry, "claim", float), _typed(entry, "method", str))


def _part(arrays: Mapping[str, NDArray[Any]], part: str) -> dict[str, NDArray[Any]]:
    return {
        name.removeprefix(f"{part}/"): values
        for name, values in arrays.items()
        if name.startswith(f"{part}/")
    }


def _typed(entry: Mapping[str, Any], key: str, kind: type[T]) -> T:
    """Return an entry of exactly that type: JSON's true and Infinity are not counts, nor is 3.9."""
    value = entry[key]
    if type(value) is not kind:
        raise ValueError(f"{key} must be stored as {kind.__name__}, got {type(value).__name__}")
    return value


def _read_gram(path: Path, digest: str) -> Gram:
    if not (len(digest) == 64 and set(digest) <= set("0123456789abcdef")):
        raise ValueError(f"gram must be a content hash, got {digest[:80]!r}")
    source = _gram_path(path, digest)
    gram = Gram.of(_floats(read_npz(source)["H"]))
    if gram.digest != digest:
        raise ValueError(f"{source.name} does not hold the H that its name says")
    return gram


def _gram_path(path: Path, digest: str) -> Path:
    return path.with_name(f"gram-{digest}.npz")


def _header(stored: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    try:
        header = json.loads(str(stored["claims"]))
        claims = header["claims"]
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise PvqError(f"{path} is not a certificate file: {error}") from error
    if header.get("format") != FORMAT or not isinstance(claims, list):
        raise PvqError(f"{path} has certificate format {header.get('format')!r}, this version reads {FORMAT}")
    return claims


def _numbers(values: Any) -> NDArray[Any]:
    if not (isinstance(values, np.ndarray) and values.dtype.kind in KINDS):
        raise ValueError(f"numbers must be stored as arrays, got {getattr(values, 'dtype', type(values))}")
    return values


def _floats(values: Any) -> F64:
    if not (isinstance(values, np.ndarray) and values.dtype == np.float64):
        raise ValueError(f"numbers must be stored as float64, got {getattr(values, 'dtype', type(values))}")
    return values


def _write(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".part-", suffix=".npz")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise

"""Read one tensor of weights from .npy, .npz or .safetensors."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from pvq.arrays import F64
from pvq.registry import suggest

__all__ = ["read_weights"]

_SUFFIXES = (".npy", ".npz", ".safetensors")
_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
_DAMAGE = (
    ValueError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)  # what damage makes NumPy raise
_HEADER_LIMIT = 100_000_000  # the format's own limit on its header, in bytes


def read_weights(path: str | Path) -> F64:
    """Return the tensor stored at ``PATH``, or the one called NAME in a file of several at ``PATH#NAME``.

    Nothing in the file is executed: pickled arrays are refused.

    Returns
    -------
    float64 array of the stored shape, finite values not checked

    Raises
    ------
    ValueError : unknown suffix; several tensors and no name; no such name; a damaged file;
        values that are not real numbers
    OSError : no such file
    """
    file, name = _split(str(path))
    if file.suffix not in _SUFFIXES:
        raise ValueError(f"path must end in {', '.join(_SUFFIXES)}, got {file}")
    return _safetensors(file, name) if file.suffix == ".safetensors" else _numpy(file, name)


def _split(path: str) -> tuple[Path, str | None]:
    """Split ``PATH#NAME`` after the suffix, so that a # elsewhere in the path does no harm."""
    for suffix in _SUFFIXES:
        stem, found, name = path.rpartition(f"{suffix}#")
        if found:
            return Path(stem + suffix), name
    return Path(path), None


def _numpy(file: Path, name: str | None) -> F64:
    """Read either of NumPy's two layouts, whatever the suffix; a lone array has no name to choose."""
    with file.open("rb") as stream:
        try:
            loaded = np.load(stream, allow_pickle=False)
        except _DAMAGE as error:
            raise ValueError(f"{file} must be a plain NumPy file: {error}") from error
        if isinstance(loaded, np.ndarray):
            return _real(loaded, file)
        with loaded:
            return _real(_member(loaded, _choose(name, list(loaded.files), file), file), file)


def _member(arrays: Any, name: str, file: Path) -> Any:
    try:
        return arrays[name]
    except (*_DAMAGE, OSError) as error:
        raise ValueError(f"{file} must hold a readable tensor {name!r}: {error}") from error


def _real(tensor: Any, file: Path) -> F64:
    """Return the tensor as float64; text, dates and complex numbers are no weights."""
    array = np.asarray(tensor)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{file} must hold real numbers, got dtype {array.dtype}")
    return np.asarray(array, float)


def _choose(name: str | None, names: list[str], file: Path) -> str:
    if not names:
        raise ValueError(f"{file} holds no tensor")
    if name is None and len(names) == 1:
        return names[0]
    if name is None:
        shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        raise ValueError(f"{file} holds {len(names)} tensors; choose one as {file}#NAME from: {shown}")
    if name not in names:
        raise ValueError(f"{file} holds no tensor {name!r}{suggest(name, names)}")
    return name


def _safetensors(file: Path, name: str | None) -> F64:
    """Read the layout of huggingface/safetensors: 8 bytes of header length, a JSON header, raw tensors."""
    with file.open("rb") as stream:
        header, start = _header(stream.read(8), stream, file)
        names = [key for key, entry in header.items() if entry.get("dtype") in (*_FLOATS, "BF16")]
        entry = header[_choose(name, names, file)]
        try:
            first, last = entry["data_offsets"]
            stream.seek(start + first)
            return _decode(stream.read(last - first), entry["dtype"]).reshape(entry["shape"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{file} must be a safetensors file: {error}") from error


def _header(length: bytes, stream: Any, file: Path) -> tuple[dict[str, Any], int]:
    size = int.from_bytes(length, "little")
    try:
        if len(length) < 8 or size > _HEADER_LIMIT:
            raise ValueError("no header")
        header = json.loads(stream.read(size))
        if not isinstance(header, dict) or not all(isinstance(entry, dict) for entry in header.values()):
            raise ValueError("no table of tensors in the header")
    except ValueError as error:
        raise ValueError(f"{file} must be a safetensors file: {error}") from error
    return {key: entry for key, entry in header.items() if key != "__metadata__"}, 8 + size


def _decode(raw: bytes, dtype: str) -> F64:
    if dtype == "BF16":  # the upper half of a float32
        return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return np.frombuffer(raw, _FLOATS[dtype]).astype(np.float64)

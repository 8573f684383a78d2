"""Read one tensor of weights from .npy, .npz or .safetensors."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from pvq.arrays import F64
from pvq.registry import suggest
from pvq.theory.safetensors_file import FLOATS, read_header

__all__ = ["read_weights"]

_SUFFIXES = (".npy", ".npz", ".safetensors")
_DAMAGE = (
    ValueError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)  # what damage makes NumPy raise


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
    entries, _ = read_header(file)
    names = [key for key, entry in entries.items() if entry.dtype in FLOATS]
    return entries[_choose(name, names, file)].read().astype(np.float64)

"""The layout of huggingface/safetensors: 8 bytes of length, a JSON header, raw tensors; no library needed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

__all__ = ["FLOATS", "SafetensorsEntry", "decode", "read_header"]

_HEADER_LIMIT = 100_000_000  # the format's own limit on its header, in bytes
_PLAIN = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
FLOATS = (*_PLAIN, "BF16", "F8_E4M3", "F8_E5M2")  # what `SafetensorsEntry.read` decodes
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}


@dataclass(frozen=True)
class SafetensorsEntry:
    """One tensor of a file, not read yet.

    Parameters
    ----------
    path : of the file
    name : of the tensor
    dtype : as the format calls it, such as ``F32`` or ``BF16``
    shape : of the tensor
    start, stop : bytes of the file that hold it
    """

    path: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int

    def read(self) -> NDArray[np.floating[Any]]:
        """Return the tensor, as float32 where NumPy has no such type; every such value is exact in it.

        Raises
        ------
        ValueError : not a floating-point type, or the file has become shorter
        OSError : no such file
        """
        return decode(self.raw(self.stop - self.start), self.dtype).reshape(self.shape)

    def raw(self, most: int) -> bytes:
        """Return the first bytes of the tensor, at most so many."""
        size = min(most, self.stop - self.start)
        with self.path.open("rb") as stream:
            stream.seek(self.start)
            found = stream.read(size)
        if len(found) < size:
            raise ValueError(f"{self.path} must hold all of {self.name!r}, got {len(found)} of {size} bytes")
        return found


def decode(raw: bytes, dtype: str) -> NDArray[np.floating[Any]]:
    """Return the numbers that bytes of a floating-point type stand for.

    >>> decode(bytes([0x80, 0x3F]), "BF16"), decode(bytes([0x38, 0x7E]), "F8_E4M3")
    (array([1.], dtype=float32), array([  1., 448.], dtype=float32))
    """
    if dtype in _PLAIN:
        return np.frombuffer(raw, _PLAIN[dtype])
    if dtype == "BF16":  # the upper half of a float32
        return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    if dtype == "F8_E5M2":  # the upper half of a float16
        halves = (np.frombuffer(raw, np.uint8).astype(np.uint16) << 8).view(np.float16)
        with np.errstate(invalid="ignore"):  # NaN stays NaN, of whatever sort
            return halves.astype(np.float32)
    if dtype == "F8_E4M3":
        return _e4m3()[np.frombuffer(raw, np.uint8)]
    raise ValueError(f"dtype must be one of {', '.join(FLOATS)}, got {dtype}")


def _e4m3() -> NDArray[np.float32]:
    """Return the 256 values of the format without infinities: exponent bias 7, all ones is NaN."""
    code = np.arange(256)
    exponent, fraction = code >> 3 & 15, code & 7
    magnitude = np.where(exponent > 0, (8 + fraction) * 2.0 ** (exponent - 10), fraction * 2.0**-9)
    magnitude[code & 127 == 127] = np.nan
    return np.where(code < 128, magnitude, -magnitude).astype(np.float32)


def read_header(path: Path) -> tuple[dict[str, SafetensorsEntry], dict[str, str]]:
    """Return the tensors of a file by name, in the header's order, and its metadata.

    Raises
    ------
    ValueError : damaged, truncated, or no safetensors file
    OSError : no such file
    """
    with path.open("rb") as stream:
        try:
            header, start = _header(stream)
            end = path.stat().st_size - start
            about = header.pop("__metadata__", {})
            found = {name: _entry(path, name, about, start, end) for name, about in header.items()}
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} must be a safetensors file: {error}") from error
    return found, {str(key): str(value) for key, value in about.items()}


def _header(stream: BinaryIO) -> tuple[dict[str, dict[str, Any]], int]:
    length = stream.read(8)
    size = int.from_bytes(length, "little")
    if len(length) < 8 or size > _HEADER_LIMIT:
        raise ValueError("no header")
    header = json.loads(stream.read(size))
    if not isinstance(header, dict) or not all(isinstance(entry, dict) for entry in header.values()):
        raise ValueError("no table of tensors in the header")
    return header, 8 + size


def _entry(path: Path, name: str, about: Mapping[str, Any], start: int, end: int) -> SafetensorsEntry:
    first, last = about["data_offsets"]
    shape, dtype = tuple(int(size) for size in about["shape"]), str(about["dtype"])
    if not 0 <= first <= last <= end or min(shape, default=0) < 0:
        raise ValueError(f"{name!r} at bytes {first} to {last} of {end}")
    if dtype in _BYTES and math.prod(shape) * _BYTES[dtype] != last - first:
        raise ValueError(f"{name!r} of shape {shape} in {last - first} bytes of {dtype}")
    return SafetensorsEntry(path, name, dtype, shape, start + first, start + last)

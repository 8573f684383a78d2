"""Layers of safetensors files, one or many, each tensor read when it is asked for: no library, no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pvq.empirical.model import LayerWeights
from pvq.empirical.tensor_names import Described, is_weight, named_layers, remarks_on
from pvq.errors import PvqError
from pvq.theory.safetensors_file import FLOATS, SafetensorsEntry, read_header

__all__ = ["SafetensorsFiles", "find_safetensors", "safetensors_layers"]

INDEX = ".safetensors.index.json"
FIRST_BYTES, BLOCK = 4096, 2**22


class SafetensorsFiles:
    """The tensors of a safetensors file, or of all the files that an index names.

    Parameters
    ----------
    path : of a ``.safetensors`` file or of a ``.safetensors.index.json``

    Raises
    ------
    PvqError : no such file, a damaged one, an index that names a file or tensor that is not there
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: tuple[Path, ...] = (path,)
        self.tensors: dict[str, SafetensorsEntry]
        self.metadata: dict[str, str] = {}
        if path.name.endswith(INDEX):
            self.tensors = self._sharded(path)
        else:
            self.tensors, self.metadata = _read(path)

    def _sharded(self, path: Path) -> dict[str, SafetensorsEntry]:
        places = _weight_map(path)
        self.files = tuple(path.parent / name for name in dict.fromkeys(places.values()))
        parts = {file.name: _read(file)[0] for file in self.files}
        for name, file in places.items():
            if name not in parts[Path(file).name]:
                raise PvqError(f"{path.parent / file} holds no tensor {name!r}, as {path.name} says")
        return {name: parts[Path(file).name][name] for name, file in places.items()}


def _weight_map(path: Path) -> dict[str, str]:
    """Return which file holds each tensor; a file outside the index's own folder is not opened."""
    try:
        places = json.loads(path.read_bytes())["weight_map"]
        if not isinstance(places, dict) or not places:
            raise ValueError("weight_map names no tensor")
        if not all(isinstance(file, str) and file == Path(file).name for file in places.values()):
            raise ValueError("weight_map must give names of files in the same folder")
    except FileNotFoundError as error:
        raise PvqError(f"no such file: {path}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise PvqError(f"{path} is not a readable index of safetensors files: {error}") from error
    return places


def _read(path: Path) -> tuple[dict[str, SafetensorsEntry], dict[str, str]]:
    try:
        return read_header(path)
    except FileNotFoundError as error:
        raise PvqError(f"no such file: {path}") from error
    except ValueError as error:
        reason = str(error).partition(": ")[2]
        raise PvqError(f"{path} is not a readable safetensors file: {reason}") from error


def find_safetensors(folder: Path) -> Path:
    """Return the index or the only safetensors file of a folder, as Hugging Face lays them out.

    Raises
    ------
    PvqError : none, or several without an index
    """
    indices = sorted(folder.glob(f"*{INDEX}"))
    found = indices or sorted(folder.glob("*.safetensors"))
    preferred = [path for path in found if path.name in (f"model{INDEX}", "model.safetensors")]
    if len(found) == 1 or preferred:
        return (preferred or found)[0]
    names = f"{len(found)} of them, no {INDEX[1:]}" if found else "none"
    raise PvqError(f"{folder} is a directory; it must hold one .safetensors file or an index, got {names}")


def safetensors_layers(files: SafetensorsFiles) -> tuple[dict[str, LayerWeights], tuple[str, ...]]:
    """Return the weight matrices of the files by name, and remarks on what is left out.

    Tensors of equal shape whose bytes are the same, constants aside, are one tensor under several names; so
    are those that the file's own metadata calls so (``safetensors.torch.save_model``).
    """
    described = [_describe(entry) for entry in files.tensors.values()]
    weights = {about.name: files.tensors[about.name] for about in described if is_weight(about)}
    kept = {alias: name for alias, name in files.metadata.items() if name in weights and alias not in weights}
    return named_layers(weights, _same_bytes(weights) | kept), remarks_on(described)


def _describe(entry: SafetensorsEntry) -> Described:
    numbers = "real" if entry.dtype in FLOATS else "complex" if entry.dtype.startswith("C") else "integer"
    return Described(entry.name, entry.shape, numbers)


def _same_bytes(weights: Mapping[str, SafetensorsEntry]) -> dict[str, str]:
    """Return, for each tensor that repeats another, the name of the first of them."""
    first: dict[object, list[str]] = {}
    same: dict[str, str] = {}
    for name, entry in weights.items():
        start = entry.raw(FIRST_BYTES)
        if len(set(start)) < 3:  # zeros or a constant: equal by chance
            continue
        alike = first.setdefault((entry.shape, entry.dtype, start), [])
        twin = next((other for other in alike if _equal(weights[other], entry)), None)
        if twin is None:
            alike.append(name)
        else:
            same[name] = twin
    return same


def _equal(one: SafetensorsEntry, other: SafetensorsEntry) -> bool:
    with one.path.open("rb") as left, other.path.open("rb") as right:
        left.seek(one.start)
        right.seek(other.start)
        for done in range(0, one.stop - one.start, BLOCK):
            size = min(BLOCK, one.stop - one.start - done)
            if left.read(size) != right.read(size):
                return False
    return True

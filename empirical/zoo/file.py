"""Weights on disk: one file, or the folder of many that Hugging Face lays out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvq.empirical.model import LayerWeights, Model, Preprocessing, Source, file_sha256
from pvq.empirical.models_zoo import MODELS
from pvq.empirical.safetensors_layers import INDEX, SafetensorsFiles, find_safetensors, safetensors_layers
from pvq.empirical.state_dict import lazy_layers_of, load_state_dict, state_remarks
from pvq.errors import PvqError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["File"]


@MODELS.register("file")
@dataclass(frozen=True)
class File:
    """Weights on disk: file:PATH, a .safetensors file, its index or folder, or a .pt/.pth state dict.

    A file that `pvq train` wrote says which network it belongs to, which can then be run. Of any other only
    the weights are known. Pickles are not executed. Tensors are read one at a time, so the file may be larger
    than memory.

    Parameters
    ----------
    path : of the file, of a ``.safetensors.index.json``, or of the folder that holds one of them
    """

    path: str

    def load(self) -> Model:
        """Return the weights, and the network of a file that `pvq train` wrote."""
        if not self.path:
            raise PvqError("file: needs a path after the colon, such as file:model.safetensors")
        path = Path(self.path).expanduser()
        if path.is_dir():
            path = find_safetensors(path)
        safe = path.suffix == ".safetensors" or path.name.endswith(INDEX)
        layers, remarks, files, about = _safetensors(path) if safe else _torch(path)
        if not layers:
            why = f": {'; '.join(remarks)}" if remarks else ""
            raise PvqError(
                f"{path} holds no weight matrix: no floating-point tensor called *weight has 2 axes{why}"
            )
        source = Source(origin=str(path), file=path.name, sha256=_sha256(path, files))
        metadata = {**about, **({"remarks": remarks} if remarks else {})}

        def build() -> nn.Module:
            from pvq.empirical.start_weights import started_network

            return started_network(str(about["architecture"]), str(path))[0]

        known = build if "architecture" in about else None
        return Model(f"file:{self.path}", source, layers, known, _preprocessing(about), metadata)


Loaded = tuple[dict[str, LayerWeights], tuple[str, ...], tuple[Path, ...], Mapping[str, Any]]


def _safetensors(path: Path) -> Loaded:
    files = SafetensorsFiles(path)
    return (*safetensors_layers(files), files.files, _about(files.metadata))


def _torch(path: Path) -> Loaded:
    state = load_state_dict(path, mapped=True)
    return lazy_layers_of(state), state_remarks(state), (path,), {}


def _about(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return what `pvq train` wrote into the header; nothing for the files of others."""
    try:
        about = json.loads(metadata["pvq"])
    except (KeyError, ValueError):
        return {}
    return about if isinstance(about, dict) and "architecture" in about else {}


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(map(float, values))


def _preprocessing(about: Mapping[str, Any]) -> Preprocessing | None:
    """Return how images are prepared, where the file says so."""
    if not {"size", "mean", "std"} <= set(about):
        return None
    try:
        return Preprocessing(int(about["size"]), _floats(about["mean"]), _floats(about["std"]))
    except (TypeError, ValueError) as error:
        raise PvqError(f"the header tells of images that cannot be prepared: {error}") from error


def _sha256(path: Path, files: tuple[Path, ...]) -> str:
    """Return the hash of the file; of a sharded one, of the list of its parts as ``sha256sum`` prints it."""
    if files == (path,):
        return file_sha256(path)
    lines = "".join(f"{file_sha256(file)}  {file.name}\n" for file in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()

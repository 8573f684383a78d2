"""Any state dict on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pvq.empirical.model import Model, Source, file_sha256
from pvq.empirical.models_zoo import MODELS
from pvq.empirical.state_dict import layers_of, load_state_dict
from pvq.errors import PvqError

__all__ = ["File"]


@MODELS.register("file")
@dataclass(frozen=True)
class File:
    """Weights in a file: file:PATH, a .safetensors file or a .pt/.pth state dict (pickles are not executed).

    Parameters
    ----------
    path : of the file
    """

    path: str

    def load(self) -> Model:
        """Return the weights; there is no network to run."""
        if not self.path:
            raise PvqError("file: needs a path after the colon, such as file:model.safetensors")
        path = Path(self.path).expanduser()
        layers = layers_of(load_state_dict(path))
        if not layers:
            raise PvqError(
                f"{path} holds no weight matrix: no floating-point tensor called *weight has 2 axes"
            )
        source = Source(origin=str(path), file=path.name, sha256=file_sha256(path))
        return Model(f"file:{self.path}", source, layers)

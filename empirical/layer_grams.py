"""The Gram matrices of a run: taken once per network, layer and calibration, then read from its folder."""

from __future__ import annotations

import copy
import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from pvq.empirical import activations, im2col, inputs, module_layers, recorder, weight_views
from pvq.empirical.activations import LayerGram, gram_stream
from pvq.empirical.calibration import Calibration
from pvq.empirical.model import LayerWeights
from pvq.empirical.store import ArrayStore, content_key
from pvq.empirical.stored_gram import StoredGram

if TYPE_CHECKING:
    from torch import nn

__all__ = ["GramSource", "mend"]


@dataclass(frozen=True, eq=False)
class GramSource:
    """A network with its calibration images, and the folder that keeps its Gram matrices.

    Parameters
    ----------
    module : the network, evaluation mode, weights finite (see `mend`)
    calibration : images
    folder : of the store
    """

    module: nn.Module
    calibration: Calibration
    folder: Path

    def grams(self, layers: Sequence[LayerWeights]) -> dict[str, StoredGram]:
        """Return the stored matrices by layer name; a layer that the network does not use is left out.

        What the folder has, intact, for this network and these images is read; the rest is computed in as few
        passes over the images as memory allows. Each layer's matrices are written as soon as they are there
        and not held.
        """
        store, network = ArrayStore(self.folder), _network_digest(self.module)
        code = _code_digest(self.module)
        keys = {layer.name: self._key(layer, network, code) for layer in layers}
        found = {name: self._read(store, key) for name, key in keys.items()}
        missing = [name for name, gram in found.items() if gram is None]
        made = gram_stream(self.module, missing, self.calibration.batches) if missing else ()
        for name, gram in made:
            store.put(keys[name], {"grams": gram.grams, "positions": np.array(gram.positions)})
            found[name] = StoredGram.of(gram, self.folder, keys[name])
        return {name: gram for name, gram in found.items() if gram is not None}

    def _key(self, layer: LayerWeights, network: str, code: str) -> str:
        images = self.calibration.digest
        return content_key({"layer": layer.name, "network": network, "images": images, "code": code})

    def _read(self, store: ArrayStore, key: str) -> StoredGram | None:
        arrays = store.get(key)
        if arrays is None:
            return None
        return StoredGram.of(LayerGram(arrays["grams"], int(arrays["positions"])), self.folder, key)


def _network_digest(module: nn.Module) -> str:
    state = module.state_dict()
    tensors = [
        tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy() for tensor in state.values()
    ]
    return content_key({"names": list(state), "text": str(module)}, *tensors)


def _code_digest(module: nn.Module) -> str:
    """Return a hash of the code that makes Gram matrices: ours, the network's and torch, by its version.

    The network's is every file that defines a class of one of its parts; a class without a file, such as one
    typed at a prompt, counts by its name alone.
    """
    ours = (activations, im2col, inputs, module_layers, recorder, weight_views)
    own = [__file__, *(inspect.getfile(module) for module in ours)]
    kinds = {kind for part in module.modules() for kind in type(part).__mro__}
    theirs = {_source_file(kind) for kind in kinds if kind.__module__.partition(".")[0] != "torch"}
    files = sorted({*own, *theirs} - {""})
    sources = [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files]
    names = sorted(f"{kind.__module__}.{kind.__qualname__}" for kind in kinds)
    return content_key({"files": sources, "classes": names, "torch": torch.__version__})


def _source_file(kind: type) -> str:
    """Return the file that defines a class, empty where there is none."""
    try:
        file = inspect.getsourcefile(kind) or ""
    except (TypeError, OSError):
        return ""
    return file if Path(file).is_file() else ""


def mend(module: nn.Module) -> tuple[nn.Module, str]:
    """Return the network with NaN and infinite weights set to zero, and a remark naming their tensors.

    One broken weight makes every later activation NaN; with it at zero the other layers can be measured.
    A network that is whole passes through, with an empty remark.
    """
    broken = [name for name, tensor in module.named_parameters() if not bool(torch.isfinite(tensor).all())]
    if not broken:
        return module, ""
    mended = copy.deepcopy(module)
    with torch.no_grad():
        for name, tensor in mended.named_parameters():
            if name in broken:
                tensor.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
    return mended, f"calibrated with the NaN or infinite weights of {', '.join(broken)} set to zero"

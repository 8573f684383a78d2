"""Data sets of the Hugging Face hub, or saved by its library."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import I64
from pvq.empirical.dataset import DATASETS, Part, check_split, pick
from pvq.empirical.photograph import Cut, Interpolation, decoded
from pvq.errors import MissingExtra, PvqError

__all__ = ["HuggingFace"]

U8: TypeAlias = NDArray[np.uint8]


@DATASETS.register("hf")
@dataclass(frozen=True)
class HuggingFace:
    """Images of a Hugging Face data set: ``hf:NAME``, ``hf:NAME:SPLIT``, or ``hf:FOLDER`` on disk.

    Parameters
    ----------
    id : on the hub, such as ``uoft-cs/cifar10``; or a folder that `Dataset.save_to_disk` wrote or that
        `datasets.load_dataset` can read; with a colon before the split, if that is not given by itself
    split : as the data set calls it; ``train`` if empty
    config : where the data set has several
    image : column of the images; the only one of that type if empty
    size, resize, interpolation, squash : how images are cut; a network's own preprocessing replaces them

    Data are downloaded by the library `datasets` unless its cache has them. Classes are those of the column
    of type ClassLabel, of the finest if there are several.
    """

    id: str
    split: str = ""
    config: str = ""
    image: str = ""
    size: int = 224
    resize: int | None = None
    interpolation: Interpolation = "bilinear"
    squash: bool = False

    def __post_init__(self) -> None:
        name, colon, split = self.id.rpartition(":")
        if colon and not self.split:
            object.__setattr__(self, "id", name)
            object.__setattr__(self, "split", split)
        if not self.id:
            raise ValueError("id must name a data set, got nothing")
        self._cut()

    @property
    def splits(self) -> tuple[str, ...]:
        """The one split that was asked for."""
        return (self.split or "train",)

    def count(self, split: str) -> int:
        """Return how many images there are."""
        check_split(split, self.splits)
        return len(self._table)

    def parts(self, split: str, places: I64, size: int) -> Iterator[Part]:
        """Yield uint8 images, and class numbers where there are any, `size` at a time."""
        check_split(split, self.splits)
        labels = self._labels()
        for start in range(0, len(places), size):
            some = places[start : start + size]
            yield np.stack([self._image(int(i)) for i in some]), None if labels is None else labels[some]

    def images(self, split: str, n: int | None = None, seed: int | None = None) -> U8:
        """Return uint8 images of shape (n, size, size, 3).

        Raises
        ------
        PvqError : no such data set or split, no images in it, the hub out of reach
        """
        places = pick(self.count(split), n, seed)
        return np.stack([self._image(int(i)) for i in places])

    def labels(self, split: str, n: int | None = None, seed: int | None = None) -> I64:
        """Return class numbers of shape (n,).

        Raises
        ------
        PvqError : the data set has none
        """
        labels = self._labels()
        if labels is None:
            raise PvqError(f"{self.id} has no column of type ClassLabel")
        return labels[pick(self.count(split), n, seed)]

    def _cut(self) -> Cut:
        return Cut(self.size, self.resize, self.interpolation, self.squash)

    @cached_property
    def _table(self) -> Any:
        """The split, rows by number."""
        try:
            import datasets
        except ImportError as error:
            raise MissingExtra("datasets", "hub") from error
        _hush(datasets)
        try:
            table = _load(datasets, self.id, self.config, *self.splits)
        except Exception as error:  # as many as there are ways to fetch
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise PvqError(f"cannot load {self.id}, split {self.splits[0]}: {reason}") from error
        if len(table) == 0:
            raise PvqError(f"{self.id}, split {self.splits[0]}, holds no rows")
        return table

    @cached_property
    def _column(self) -> str:
        features = self._table.features
        found = [name for name, feature in features.items() if type(feature).__name__ == "Image"]
        if self.image in found or (len(found) == 1 and not self.image):
            return self.image or found[0]
        wanted = f"image must be one of {', '.join(found)}" if found else "it must have a column of images"
        raise PvqError(f"{self.id}: {wanted}, got {self.image or ', '.join(features)}")

    def _image(self, row: int) -> U8:
        column = self._column
        images = self._table.select_columns([column])
        return decoded(lambda: images[row][column], self._cut(), f"{row} of {self.id}")

    def _labels(self) -> I64 | None:
        kinds = {
            name: feature.num_classes
            for name, feature in self._table.features.items()
            if type(feature).__name__ == "ClassLabel"
        }
        if not kinds:
            return None
        return np.asarray(self._table[max(kinds, key=kinds.__getitem__)], np.int64)


def _hush(datasets: Any) -> None:
    """Keep bars and retries off the terminal: what goes wrong is said in one line."""
    import huggingface_hub.utils as hub

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    hub.logging.set_verbosity_error()  # type: ignore[no-untyped-call]


def _load(datasets: Any, name: str, config: str, split: str) -> Any:
    folder = Path(name).expanduser()
    saved = any((folder / file).is_file() for file in ("dataset_dict.json", "state.json"))
    if not saved:
        target = str(folder) if folder.is_dir() else name
        return datasets.load_dataset(target, config or None, split=split)
    found = datasets.load_from_disk(str(folder))
    if not isinstance(found, datasets.DatasetDict):
        return found
    if split not in found:
        raise ValueError(f"split must be one of {', '.join(found)}, got {split!r}")
    return found[split]

"""What training and calibration ask of a data set: images, labels, splits."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pvq.arrays import I64
from pvq.errors import PvqError, SpecError
from pvq.registry import Registry

if TYPE_CHECKING:
    from pvq.empirical.inputs import Inputs

__all__ = [
    "DATASETS",
    "Dataset",
    "Images",
    "Loaded",
    "Part",
    "Sequential",
    "check_split",
    "pick",
    "read_dataset",
    "slices",
]

# uint8 (N, H, W, 3) as a camera gives them, or float32 (N, C, H, W) already preprocessed
Images: TypeAlias = NDArray[np.uint8] | NDArray[np.float32]
# images, or whatever else a network takes, and their class numbers where these are known
Part: TypeAlias = "tuple[Images | Inputs, I64 | None]"


@runtime_checkable
class Dataset(Protocol):
    """Images with their labels, in a fixed order."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the parts: ``("train", "test")``."""
        ...

    def count(self, split: str) -> int:
        """Return how many images a split has."""
        ...

    def parts(self, split: str, places: I64, size: int) -> Iterator[Part]:
        """Yield the images at `places` of a split, in that order, at most `size` at a time."""
        ...

    def images(self, split: str, n: int | None = None, seed: int | None = None) -> Images:
        """Return n images of a split: the first n, or n drawn without replacement under `seed`.

        uint8 of shape (n, H, W, 3), or float32 of shape (n, C, H, W) if they are preprocessed already.
        """
        ...

    def labels(self, split: str, n: int | None = None, seed: int | None = None) -> I64:
        """Return the class numbers of the images that `images` returns for the same arguments."""
        ...


class Sequential:
    """Base of data sets that tell only what comes next: of these the first N are taken, none is drawn.

    The places that `parts` is asked for are then a run of neighbours.
    """


DATASETS: Registry[Dataset] = Registry("dataset", "pvq.empirical.data", Dataset)


def pick(total: int, n: int | None, seed: int | None) -> I64:
    """Return which n of `total` images are meant: the first n, or n drawn without replacement.

    Raises
    ------
    PvqError : n outside 1..total

    >>> pick(5, 2, None)
    array([0, 1])
    """
    count = total if n is None else n
    if not 1 <= count <= total:
        raise PvqError(f"number of images must lie in [1, {total}], got {count}")
    if seed is None:
        return np.arange(count)
    return np.random.default_rng(seed).choice(total, size=count, replace=False)


def slices(images: Images, labels: I64 | None, size: int) -> Iterator[Part]:
    """Yield arrays `size` images at a time.

    >>> [len(part) for part, _ in slices(np.zeros((5, 2, 2, 3), np.uint8), None, 2)]
    [2, 2, 1]
    """
    for start in range(0, len(images), size):
        part = slice(start, start + size)
        yield images[part], None if labels is None else labels[part]


class Loaded:
    """The part of a data set that holds uint8 images with a label each, whole splits at a time.

    A data set of this kind brings `splits` and `_load`, which checks the split.
    """

    def _load(self, split: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return the images (N, H, W, 3) and class numbers (N,) of a split."""
        raise NotImplementedError

    def parts(self, split: str, places: I64, size: int) -> Iterator[Part]:
        """Yield uint8 images and class numbers, `size` at a time."""
        images, labels = self._load(split)
        return slices(images[places], labels[places].astype(np.int64), size)

    def images(self, split: str, n: int | None = None, seed: int | None = None) -> NDArray[np.uint8]:
        """Return uint8 images of shape (n, H, W, 3).

        Raises
        ------
        PvqError : data absent or damaged, unknown split, n out of range
        """
        images, _ = self._load(split)
        return images if n is None and seed is None else images[pick(len(images), n, seed)]

    def labels(self, split: str, n: int | None = None, seed: int | None = None) -> I64:
        """Return class numbers of shape (n,), in the order of `images`."""
        _, labels = self._load(split)
        return labels[pick(len(labels), n, seed)].astype(np.int64)


def check_split(split: str, splits: tuple[str, ...]) -> None:
    """Refuse a split that a data set does not have.

    Raises
    ------
    PvqError : naming the splits that there are
    """
    if split not in splits:
        raise PvqError(f"split must be one of {', '.join(splits)}, got {split!r}")


def read_dataset(text: str, **options: Any) -> tuple[Dataset, int | None]:
    """Return the data set that ``NAME``, ``NAME:N``, ``NAME:PATH`` or ``NAME:PATH:N`` means, and N.

    Parameters
    ----------
    text : a spec of the registry, then a path where the data set takes one, then a number of images
    options : fields to set where the data set has them, such as ``size`` of an image folder

    Raises
    ------
    UnknownName, SpecError : no such data set, or an option that it refuses

    >>> dataset, n = read_dataset("bundled:64")
    >>> type(dataset).__name__, n
    ('Bundled', 64)
    """
    rest, colon, tail = text.rpartition(":")
    count = int(tail) if colon and tail.isdecimal() else None
    rest = text if count is None else rest
    name, colon, path = rest.partition(":")
    dataset = DATASETS.build(rest) if not colon or "[" in name else _at_path(name, path)
    return _with_options(dataset, options), count


def _at_path(name: str, path: str) -> Dataset:
    """Return the data set with `path` as its first option."""
    try:
        dataset: Dataset = DATASETS.get(name)(path)
    except TypeError as error:
        raise SpecError(f"dataset {name} takes no path, got {path!r}") from error
    except ValueError as error:
        raise error if isinstance(error, SpecError) else SpecError(f"dataset {name}: {error}") from error
    return dataset


def _with_options(dataset: Dataset, options: dict[str, Any]) -> Dataset:
    known = [field.name for field in dataclasses.fields(cast(Any, dataset))]
    changes = {key: value for key, value in options.items() if key in known}
    try:
        return dataclasses.replace(cast(Any, dataset), **changes) if changes else dataset
    except ValueError as error:
        raise SpecError(f"dataset {dataset}: {error}") from error

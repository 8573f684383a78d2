"""Whatever a user's own Python function yields: images, token ids, several inputs at once."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pvq.arrays import I64
from pvq.empirical.dataset import DATASETS, Images, Part, Sequential, check_split, pick
from pvq.empirical.photograph import Cut, Interpolation
from pvq.errors import PvqError

if TYPE_CHECKING:
    from pvq.empirical.inputs import Inputs

__all__ = ["UserFunction"]


@DATASETS.register("callable")
@dataclass(frozen=True)
class UserFunction(Sequential):
    """What a Python function yields: ``callable:MODULE:FUNCTION`` or ``callable:FILE.py:FUNCTION``.

    Parameters
    ----------
    target : module or file, a colon, and the name of a function without arguments; it is called again for
        each pass and must then yield the same
    size, resize, interpolation, squash : how uint8 images are cut; a network's own preprocessing comes first

    The function returns an iterable of arrays or tensors, each a single example or a batch:

    - uint8 (H, W, 3) or (N, H, W, 3): images, prepared as the network's are
    - floats (C, H, W) or (N, ...): prepared already
    - other whole numbers (L,) or (N, L): token ids
    - a dict or a tuple of batches: the network's arguments, by name or in order

    or of pairs (x, y) of these and class numbers: one for a single example, else N. The first N examples are
    taken, in order.
    """

    target: str
    size: int = 224
    resize: int | None = None
    interpolation: Interpolation = "bilinear"
    squash: bool = False

    def __post_init__(self) -> None:
        place, _, name = self.target.rpartition(":")
        if not place or not name.isidentifier():
            raise ValueError(f"target must read MODULE:FUNCTION or FILE.py:FUNCTION, got {self.target!r}")
        self._cut()

    @property
    def splits(self) -> tuple[str, ...]:
        """One part."""
        return ("train",)

    def count(self, split: str = "train") -> int:
        """Return how many examples the function yields in all."""
        from pvq.empirical.inputs import examples

        check_split(split, self.splits)
        return sum(examples(x) for x, _ in self._batches())

    def parts(self, split: str, places: I64, size: int) -> Iterator[Part]:
        """Yield what the function does from the first of `places` to the last; there may be less.

        Single arrays of one shape come together, `size` of them or more.

        Raises
        ------
        PvqError : the function cannot be found or fails, or yields something else
        """
        check_split(split, self.splits)
        first, last = int(places[0]), int(places[-1]) + 1
        return self._ready(_merged(_between(self._batches(), first, last), size))

    def images(self, split: str = "train", n: int | None = None, seed: int | None = None) -> Images:
        """Return the first n examples if they are images; the seed is of no account."""
        parts = [x for x, _ in self._first(split, n)]
        if not all(isinstance(part, np.ndarray) for part in parts):
            raise PvqError(f"callable {self.target} must yield uint8 images, got other inputs")
        return np.concatenate(parts)  # type: ignore[arg-type]

    def labels(self, split: str = "train", n: int | None = None, seed: int | None = None) -> I64:
        """Return the class numbers of the first n examples.

        Raises
        ------
        PvqError : the function yields none
        """
        labels = [y for _, y in self._first(split, n) if y is not None]
        if not labels:
            raise PvqError(f"callable {self.target} yields no labels")
        return np.concatenate(labels)

    def _first(self, split: str, n: int | None) -> list[Part]:
        return list(self.parts(split, pick(self.count(split), n, None), 64))

    def _cut(self) -> Cut:
        return Cut(self.size, self.resize, self.interpolation, self.squash)

    def _ready(self, batches: Iterable[tuple[Inputs, I64 | None]]) -> Iterator[Part]:
        """Turn uint8 tensors into arrays of images."""
        import torch

        for x, y in batches:
            images = isinstance(x, torch.Tensor) and x.dtype == torch.uint8
            yield (x.numpy() if images else x), y  # type: ignore[union-attr]

    def _batches(self) -> Iterator[tuple[Inputs, I64 | None]]:
        """Yield every batch as tensors, images cut."""
        from pvq.empirical.user_batches import read_item

        try:
            for item in self._function()():
                yield read_item(item, self._cut())
        except Exception as error:  # the user's code, whatever it raises
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise PvqError(f"callable {self.target}: {reason}") from error

    def _function(self) -> Callable[[], Iterable[Any]]:
        place, _, name = self.target.rpartition(":")
        module = _from_file(Path(place).expanduser()) if place.endswith(".py") else _from_path(place)
        function: Callable[[], Iterable[Any]] = getattr(module, name)
        return function


def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise PvqError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(f"pvq_user_{path.stem}", path)
    assert spec is not None, "a file that ends in .py has a spec"
    assert spec.loader is not None, "and a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickles look there
    spec.loader.exec_module(module)
    return module


def _from_path(name: str) -> Any:
    """Import a module, the working folder included."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return importlib.import_module(name)


def _between(
    batches: Iterable[tuple[Inputs, I64 | None]], first: int, last: int
) -> Iterator[tuple[Inputs, I64 | None]]:
    """Yield the examples from `first` to `last` - 1, and ask for no batch beyond."""
    from pvq.empirical.inputs import examples, take

    seen = 0
    for x, y in batches:
        count = examples(x)
        start, stop = max(first - seen, 0), min(last - seen, count)
        if start < stop:
            yield take(x, start, stop), None if y is None else y[start:stop]
        seen += count
        if seen >= last:
            return


def _merged(batches: Iterable[tuple[Inputs, I64 | None]], size: int) -> Iterator[tuple[Inputs, I64 | None]]:
    """Put neighbours of one shape together, up to `size`; several inputs at once stay as they come."""
    from pvq.empirical.user_batches import alike, joined

    waiting: list[tuple[Inputs, I64 | None]] = []
    for batch in batches:
        if waiting and not (alike(waiting[0], batch) and sum(len(x) for x, _ in waiting) < size):
            yield joined(waiting)
            waiting = []
        waiting.append(batch)
    if waiting:
        yield joined(waiting)

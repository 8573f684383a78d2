"""One training run, written down before it starts: everything that decides its numbers."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, get_type_hints

from pvq.errors import PvqError
from pvq.registry import suggest

__all__ = ["Recipe", "bundled_recipes", "read_recipe", "recipe_from"]

SCHEDULES = ("cosine", "linear", "constant")
DEVICES = ("cpu", "cuda")
LATER = ("floor", "method", "budget", "start")  # unset, they leave the hashes of older recipes as they were
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Recipe:
    """A training run of a classifier by SGD with Nesterov momentum.

    Parameters
    ----------
    name : what the run is called
    model, dataset : specs of the registries ``architecture`` and ``dataset``
    seed : of weights, order of images and augmentation
    epochs, batch_size : an epoch leaves out the images that fill no batch
    learning_rate : the peak, reached after the warm-up
    warmup : share of the run in which the rate rises linearly from zero, in [0, 1)
    schedule : how the rate falls after it, ``cosine`` or ``linear`` to `floor`, or ``constant``
    momentum, weight_decay : the decay acts on tensors of two or more dimensions, not on biases or norms
    label_smoothing : share of the target spread over all classes, in [0, 1)
    crop : largest shift in pixels, with reflected borders
    flip : mirror every second image at random
    validation : training images held out, drawn with the seed; 0 trains on all
    mean, std : of the red, green and blue values in [0, 1]
    threads : of torch on the CPU; the order of summation, hence the last digit, depends on it
    device : ``cpu`` or ``cuda``
    floor : share of the peak that the schedule ends at, in [0, 1)
    method : spec of the registry ``training method``; empty trains the network as it is
    budget : bits per weight that the method may spend, in (0, 32]; 0 without a method
    start : weights to start from: name of a network of the zoo, or a safetensors file of `pvq train`; empty
        draws them. With a method, 0 epochs evaluate what it prepares
    """

    name: str
    model: str
    dataset: str
    epochs: int
    seed: int = 0
    batch_size: int = 128
    learning_rate: float = 0.1
    warmup: float = 0.1
    schedule: str = "cosine"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    crop: int = 4
    flip: bool = True
    validation: int = 0
    mean: Triple = (0.4914, 0.4822, 0.4465)
    std: Triple = (0.2470, 0.2435, 0.2616)
    threads: int = 2
    device: str = "cpu"
    floor: float = 0.0
    method: str = ""
    budget: float = 0.0
    start: str = ""

    def __post_init__(self) -> None:
        least = 0 if self.method else 1
        self._demand("epochs", self.epochs >= least, f"be at least {least}")
        self._demand("budget", 0 <= self.budget <= 32, "lie in [0, 32]")
        self._demand(
            "budget", bool(self.budget) == bool(self.method), "be given with a method, and only then"
        )
        for name in ("batch_size", "threads"):
            self._demand(name, getattr(self, name) >= 1, "be at least 1")
        for name in ("warmup", "momentum", "label_smoothing", "floor"):
            self._demand(name, 0 <= getattr(self, name) < 1, "lie in [0, 1)")
        for name in ("seed", "crop", "validation", "weight_decay"):
            self._demand(name, 0 <= getattr(self, name) < math.inf, "be finite and not negative")
        self._demand("learning_rate", 0 < self.learning_rate < math.inf, "be positive and finite")
        self._demand("schedule", self.schedule in SCHEDULES, f"be one of {', '.join(SCHEDULES)}")
        self._demand("device", self.device in DEVICES, f"be one of {', '.join(DEVICES)}")
        self._demand("mean", all(map(math.isfinite, self.mean)), "be finite")
        self._demand("std", all(0 < value < math.inf for value in self.std), "be positive and finite")

    def _demand(self, name: str, met: bool, demand: str) -> None:
        if not met:
            raise ValueError(f"{name} must {demand}, got {getattr(self, name)!r}")

    @property
    def hash(self) -> str:
        """The first 16 hex digits of the SHA-256 of the settings as JSON, without unset ones of `LATER`."""
        settings = dataclasses.asdict(self).items()
        text = json.dumps({k: v for k, v in settings if v or k not in LATER}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def bundled_recipes() -> list[str]:
    """Return the names of the recipes that come with the package.

    >>> "resnet20-cifar10" in bundled_recipes()
    True
    """
    folder = resources.files("pvq.empirical") / "recipes"
    return sorted(file.name[:-5] for file in folder.iterdir() if file.name.endswith(".yaml"))


def read_recipe(source: str | Path) -> Recipe:
    """Return the recipe in a YAML file, or the bundled recipe of that name.

    Raises
    ------
    PvqError : no such file or name, no mapping, an unknown or missing key, a refused value

    >>> read_recipe("resnet20-cifar10").model
    'resnet-cifar[depth=20]'
    """
    import yaml

    try:
        settings = yaml.safe_load(_recipe_text(source))
    except yaml.YAMLError as error:
        raise PvqError(f"{source} is no YAML: {' '.join(str(error).split())}") from error
    return recipe_from(settings, str(source))


def recipe_from(settings: Any, source: str = "recipe") -> Recipe:
    """Return the recipe with these settings.

    Parameters
    ----------
    settings : mapping from field to value
    source : where they come from, for the message

    Raises
    ------
    PvqError : no mapping, an unknown or missing key, a value of the wrong type, a refused value

    >>> recipe_from({"name": "a", "model": "resnet-cifar", "dataset": "bundled", "epoch": 1})
    Traceback (most recent call last):
    pvq.errors.PvqError: recipe: unknown key 'epoch'; did you mean epochs?
    """
    if not isinstance(settings, dict):
        raise PvqError(f"{source}: a recipe must be a mapping of names to values, got {settings!r}")
    hints = get_type_hints(Recipe)
    for key in settings:
        if key not in hints:
            raise PvqError(f"{source}: unknown key {key!r}{suggest(str(key), hints)}")
    required = [f.name for f in dataclasses.fields(Recipe) if f.default is dataclasses.MISSING]
    for key in required:
        if key not in settings:
            raise PvqError(f"{source}: {key} is missing")
    try:
        return Recipe(**{key: _convert(key, value, hints[key]) for key, value in settings.items()})
    except ValueError as error:
        raise PvqError(f"{source}: {error}") from error


def _recipe_text(source: str | Path) -> str:
    path = Path(source)
    bundled = resources.files("pvq.empirical") / "recipes" / f"{source}.yaml"
    if not path.is_file() and str(source) in bundled_recipes():
        return bundled.read_text()
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        known = bundled_recipes()
        raise PvqError(f"cannot read recipe {str(source)!r}{suggest(str(source), known)}") from error


def _convert(key: str, value: Any, hint: Any) -> Any:
    """Return `value` as `hint`; YAML reads ``5e-4`` as text, so numbers may come as text."""
    if hint == Triple:
        if not isinstance(value, (list, tuple)) or len(value) != 3:
            raise ValueError(f"{key} must be three numbers, got {value!r}")
        return tuple(_convert(key, item, float) for item in value)
    if hint in (bool, str, int):
        if type(value) is not hint:
            raise ValueError(f"{key} must be of type {hint.__name__}, got {value!r}")
        return value
    try:
        if isinstance(value, bool):
            raise TypeError
        return float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{key} must be a number, got {value!r}") from error

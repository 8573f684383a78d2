"""What `pvq compare` is asked: methods x budgets x seeds on one training recipe, written down in YAML."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from pvq.empirical.recipe import Recipe, read_recipe, recipe_from
from pvq.errors import PvqError
from pvq.registry import suggest

__all__ = [
    "CAMPS",
    "UNCOMPRESSED",
    "Comparison",
    "Contender",
    "bundled_comparisons",
    "comparison_from",
    "read_comparison",
]

CAMPS = ("", "quantize", "prune", "both", "none")
DECIDED_HERE = ("name", "seed", "method", "budget")  # of a recipe's fields
UNCOMPRESSED = "none"
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Contender:
    """One method of a comparison.

    Parameters
    ----------
    label : what tables and figures call it
    method : spec of the registry of training methods, or ``none`` for training without compression
    camp : ``quantize``, ``prune``, ``both`` or ``none``: decides the colour
    settings : changes to the base recipe for this method
    at : further changes at single budgets
    before : the method to judge before fine-tuning where that is another one, such as pruning in one shot
        for pruning by a schedule; empty for the same
    """

    label: str
    method: str
    camp: str = ""
    settings: Settings = field(default_factory=dict)
    at: Mapping[float, Settings] = field(default_factory=dict)
    before: str = ""

    def __post_init__(self) -> None:
        for name in ("label", "method", "camp", "before"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} must be text, got {getattr(self, name)!r}")
        if not self.label.strip() or not self.method.strip():
            raise ValueError(f"a method must have a name, got {self.method!r} with label {self.label!r}")
        if self.camp not in CAMPS:
            raise ValueError(f"camp must be one of {', '.join(CAMPS[1:])}, got {self.camp!r}")

    def changes(self, budget: float) -> dict[str, Any]:
        """Return what differs from the base recipe at a budget.

        >>> Contender("a", "ptq", settings={"epochs": 2}, at={4.0: {"learning_rate": 0.1}}).changes(4.0)
        {'epochs': 2, 'learning_rate': 0.1}
        """
        return {**self.settings, **self.at.get(budget, {})}


@dataclass(frozen=True)
class Comparison:
    """Methods x budgets x seeds.

    Parameters
    ----------
    name : of the comparison, and of all of its runs
    base : the training recipe that every run starts from
    methods : who takes part
    budgets : average bits per weight
    seeds : one run for each; equal seeds mean the same images held out, in the same order
    before : whether accuracies before fine-tuning are reported, too
    workers : processes, each with one thread
    """

    name: str
    base: Recipe
    methods: tuple[Contender, ...]
    budgets: tuple[float, ...]
    seeds: tuple[int, ...] = (0,)
    before: bool = False
    workers: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise ValueError(f"name must be text, got {self.name!r}")
        for name in ("methods", "budgets", "seeds"):
            if not getattr(self, name):
                raise ValueError(f"{name} must not be empty")
        _demand_distinct("labels of methods", [contender.label for contender in self.methods])
        _demand_distinct("budgets", self.budgets)
        _demand_distinct("seeds", self.seeds)
        if not all(0 < bits <= 32 for bits in self.budgets):
            raise ValueError(f"budgets must lie in (0, 32] bits per weight, got {list(self.budgets)}")
        if not all(type(seed) is int and seed >= 0 for seed in self.seeds):
            raise ValueError(f"seeds must be whole numbers that are not negative, got {list(self.seeds)}")
        if type(self.before) is not bool:
            raise ValueError(f"before must be true or false, got {self.before!r}")
        if type(self.workers) is not int or self.workers < 1:
            raise ValueError(f"workers must be a whole number of at least 1, got {self.workers!r}")
        for contender in self.methods:
            self._demand_known_budgets(contender)

    def _demand_known_budgets(self, contender: Contender) -> None:
        strange = [bits for bits in contender.at if bits not in self.budgets]
        if strange:
            raise ValueError(
                f"{contender.label}: at must name budgets of the comparison, got {strange[0]:g} "
                f"beside {', '.join(f'{bits:g}' for bits in self.budgets)}"
            )

    def mapping(self) -> dict[str, Any]:
        """Return the settings as JSON holds them; `comparison_from` reads them back."""
        plain = dataclasses.asdict(self)
        for contender in plain["methods"]:
            contender["at"] = {f"{bits:g}": dict(changes) for bits, changes in contender["at"].items()}
        whole: dict[str, Any] = json.loads(json.dumps(plain))
        return whole

    @property
    def hash(self) -> str:
        """The first 16 hex digits of the SHA-256 of the settings that decide numbers, as sorted JSON."""
        settings = {key: value for key, value in self.mapping().items() if key != "workers"}
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def bundled_comparisons() -> list[str]:
    """Return the names of the comparisons that come with the package.

    >>> "resnet20-cifar10" in bundled_comparisons()
    True
    """
    folder = resources.files("pvq.empirical") / "comparisons"
    return sorted(file.name[:-5] for file in folder.iterdir() if file.name.endswith(".yaml"))


def read_comparison(source: str | Path) -> Comparison:
    """Return the comparison in a YAML file, or the bundled one of that name.

    A base that is a path is looked for beside the file first.

    Raises
    ------
    PvqError : no such file or name, no YAML, whatever `comparison_from` refuses

    >>> read_comparison("resnet20-cifar10").budgets
    (8.0, 4.0, 3.0, 2.0)
    """
    import yaml

    path = Path(source)
    try:
        if not path.is_file() and str(source) in bundled_comparisons():
            bundled = resources.files("pvq.empirical") / "comparisons" / f"{source}.yaml"
            return comparison_from(yaml.safe_load(bundled.read_text()), str(source))
        return comparison_from(yaml.safe_load(path.read_text()), str(source), path.parent)
    except yaml.YAMLError as error:
        raise PvqError(f"{source} is no YAML: {' '.join(str(error).split())}") from error
    except (OSError, UnicodeDecodeError) as error:
        hint = suggest(str(source), bundled_comparisons())
        raise PvqError(f"cannot read comparison {str(source)!r}{hint}") from error


def comparison_from(settings: Any, source: str = "comparison", folder: Path | None = None) -> Comparison:
    """Return the comparison with these settings.

    Parameters
    ----------
    settings : mapping with the keys of `Comparison`, and ``settings``: changes to the base for all runs
    source : where they come from, for messages
    folder : where a base that is a path may lie

    Raises
    ------
    PvqError : no mapping, an unknown or missing key, a refused value, a recipe that is none

    >>> comparison_from({"name": "a", "bass": {}})
    Traceback (most recent call last):
    pvq.errors.PvqError: comparison: unknown key 'bass'; did you mean base?
    """
    names = [f.name for f in dataclasses.fields(Comparison)]
    given = _keys(settings, [*names, "settings"], ("name", "base", "methods", "budgets"), source)
    changes = _settings(given.pop("settings", {}), f"{source}: settings")
    try:
        base = _base(given["base"], changes, str(given["name"]), source, folder)
        contenders = tuple(_contender(entry, source) for entry in _list("methods", given["methods"]))
        budgets = tuple(_number("budgets", bits) for bits in _list("budgets", given["budgets"]))
        seeds = tuple(_list("seeds", given.get("seeds", [0])))
        plain = {**given, "base": base, "methods": contenders, "budgets": budgets, "seeds": seeds}
        return Comparison(**plain)
    except ValueError as error:
        raise PvqError(f"{source}: {error}") from error


def _keys(settings: Any, known: Sequence[str], needed: Sequence[str], source: str) -> dict[str, Any]:
    """Return a mapping whose keys are all known, and that lacks none that is needed."""
    if not isinstance(settings, dict):
        raise PvqError(f"{source}: there must be a mapping of names to values, got {settings!r}")
    for key in settings:
        if key not in known:
            raise PvqError(f"{source}: unknown key {key!r}{suggest(str(key), known)}")
    for key in needed:
        if key not in settings:
            raise PvqError(f"{source}: {key} is missing")
    return dict(settings)


def _settings(changes: Any, source: str) -> dict[str, Any]:
    """Return changes to a recipe; what they say is judged when a recipe is made of them."""
    known = [f.name for f in dataclasses.fields(Recipe)]
    found = _keys(changes, known, (), source)
    for key in DECIDED_HERE:
        if key in found:
            raise PvqError(f"{source}: {key} is decided by the comparison, not by its settings")
    return found


def _base(base: Any, changes: Settings, name: str, source: str, folder: Path | None) -> Recipe:
    """Return the base recipe with the changes; runs have one thread unless these say otherwise."""
    if isinstance(base, str):
        beside = (folder or Path()) / base
        found = dataclasses.asdict(read_recipe(beside if beside.is_file() else base))
        found["threads"] = 1
    else:
        known = [f.name for f in dataclasses.fields(Recipe)]
        found = {"threads": 1, **_keys(base, known, (), f"{source}: base")}
    return recipe_from({**found, **changes, "name": name}, f"{source}: base")


def _contender(entry: Any, source: str) -> Contender:
    if isinstance(entry, str):
        return Contender(entry, entry)
    where = f"{source}: methods"
    given = _keys(entry, [f.name for f in dataclasses.fields(Contender)], ("method",), where)
    given.setdefault("label", given["method"])
    where = f"{where}: {given['label']}"
    given["settings"] = _settings(given.get("settings", {}), where)
    at = given.get("at", {})
    if not isinstance(at, dict):
        raise ValueError(f"at must map budgets to settings, got {at!r}")
    given["at"] = {
        _number("at", bits): _settings(changes, f"{where}: at {bits}") for bits, changes in at.items()
    }
    return Contender(**given)


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{name} must be a list, got {value!r}")
    return value


def _number(name: str, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite numbers, got {value!r}")
    return number


def _demand_distinct(what: str, values: Sequence[Any]) -> None:
    twice = [value for place, value in enumerate(values) if value in values[:place]]
    if twice:
        raise ValueError(f"{what} must differ, got {twice[0]!r} twice")

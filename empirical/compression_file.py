"""Plans on disk: plain YAML, read strictly. docs/plan.md describes the format."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pvq.empirical.atomic import write_text
from pvq.empirical.compression_plan import Plan
from pvq.errors import MissingExtra, PvqError
from pvq.registry import suggest
from pvq.solvers.stored_format import FORMATS

__all__ = ["plan_text", "read_plan", "write_plan"]

T = TypeVar("T")
FIRST = ("schema", "version", "pvq", "model", "sha256", "objective", "errors", "run", "note", "storage")


def write_plan(plan: Plan, path: Path) -> None:
    """Write a plan; `read_plan` gives it back, floats bit for bit."""
    write_text(path, plan_text(plan))


def plan_text(plan: Plan) -> str:
    """Return a plan as YAML."""
    yaml = _yaml()
    fields = dataclasses.asdict(plan)
    ordered = {name: fields[name] for name in (*FIRST, "totals", "layers")}
    text: str = yaml.safe_dump(_plain(ordered), sort_keys=False, default_flow_style=None, width=110)
    return text


def read_plan(path: Path | str) -> Plan:
    """Return the plan in a YAML file.

    Raises
    ------
    PvqError : no such file, no YAML, an unknown or missing key, a value of the wrong type, numbers that
        contradict each other
    """
    yaml = _yaml()
    try:
        content = yaml.load(
            Path(path).read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        )
    except (OSError, UnicodeDecodeError) as error:
        raise PvqError(f"cannot read the plan {str(path)!r}: {error}") from error
    except yaml.YAMLError as error:
        raise PvqError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    try:
        plan = _object(Plan, content, "plan")
        _check(plan)
    except ValueError as error:
        raise PvqError(f"{path}: {error}") from error
    return plan


def _check(plan: Plan) -> None:
    """Refuse formats that are unknown or cost something else than the plan says."""
    for layer in plan.layers:
        stored = FORMATS.build(layer.format) if plan.errors == "weights" else None
        if stored is None:
            continue
        cost = stored.cost(layer.shape, plan.storage)
        if (stored.camp, cost) != (layer.camp, layer.cost):
            raise ValueError(f"{layer.name}: {layer.format} must {stored.camp} and cost {cost}, got {layer}")
        if layer.camp == "quantize" and len(layer.scales) * plan.storage.scale_bits != cost.scales:
            raise ValueError(f"{layer.name}: {layer.format} has other than {len(layer.scales)} scales")


def _yaml() -> Any:
    try:
        import yaml
    except ImportError as error:
        raise MissingExtra("yaml", "torch") from error
    return yaml


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _object(kind: type[T], content: Any, where: str) -> T:
    """Return an object of a dataclass from a mapping of its fields; those with defaults may lack."""
    if not isinstance(content, Mapping):
        raise ValueError(f"{where} must be a mapping of names to values, got {_short(content)}")
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in content:
        if key not in fields:
            raise ValueError(f"{where}: unknown key {key!r}{suggest(str(key), fields)}")
    for name, field in fields.items():
        if field.default is dataclasses.MISSING and name not in content:
            raise ValueError(f"{where}: {name} is missing")
    hints = get_type_hints(kind)
    return kind(**{key: _value(hints[key], item, f"{where}.{key}") for key, item in content.items()})


def _value(hint: Any, content: Any, where: str) -> Any:
    """Return a value as its field's type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint):
        return _object(hint, content, where)  # type: ignore[arg-type]
    if origin is tuple:
        return _items(arguments, content, where)
    if origin in (Union, types.UnionType):
        return None if content is None else _value(arguments[0], content, where)
    if origin is Literal:
        if content not in arguments:
            raise ValueError(f"{where} must be one of {', '.join(arguments)}, got {_short(content)}")
        return content
    if hint is float and type(content) in (int, float):
        return float(content)
    if type(content) is not hint:
        raise ValueError(f"{where} must be of type {hint.__name__}, got {_short(content)}")
    return content


def _items(hints: tuple[Any, ...], content: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(content, list):
        raise ValueError(f"{where} must be a list, got {_short(content)}")
    if hints[-1] is Ellipsis:
        return tuple(_value(hints[0], item, f"{where}[{i}]") for i, item in enumerate(content))
    if len(content) != len(hints):
        raise ValueError(f"{where} must have {len(hints)} items, got {len(content)}")
    return tuple(_value(*pair, f"{where}[{i}]") for i, pair in enumerate(zip(hints, content, strict=True)))


def _short(content: Any) -> str:
    text = repr(content)
    return text if len(text) <= 60 else text[:57] + "..."

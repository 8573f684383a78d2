"""Named kinds: ``name[key=value,...]`` specs, discovery of sibling files, and "did you mean".

A kind is added by one file that decorates one class:

    @DISTRIBUTIONS.register("laplace")
    @dataclass(frozen=True)
    class Laplace: ...

The registry imports every file of its package the first time it is asked, so no list is kept by hand. A
class is built from a spec by converting each value to the type its field declares; a field whose type is
another registry's protocol takes a nested spec: ``truncated[law=student-t[nu=2],r=100]``.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import inspect
import pkgutil
import types
from collections.abc import Callable, Iterable
from typing import Any, Generic, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from pvq.errors import SpecError, UnknownName

__all__ = ["Registry", "Spec", "parse_spec", "split_list", "suggest"]

T = TypeVar("T")
C = TypeVar("C", bound=type)
_REGISTRIES: dict[Any, Registry[Any]] = {}


@dataclasses.dataclass(frozen=True)
class Spec:
    """A parsed ``name[value,key=value]``: values stay text until a class says what they are."""

    name: str
    args: tuple[str, ...] = ()
    options: dict[str, str] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        """Return the text that parses to this spec.

        >>> str(parse_spec("int[ scale=mse ]"))
        'int[scale=mse]'
        """
        inside = [*self.args, *(f"{key}={value}" for key, value in self.options.items())]
        return f"{self.name}[{','.join(inside)}]" if inside else self.name


def split_list(text: str, separator: str = ",") -> list[str]:
    """Split `text` at separators outside square brackets.

    Raises
    ------
    SpecError : brackets do not match

    >>> split_list("a,b[c=1,d=2]")
    ['a', 'b[c=1,d=2]']
    """
    parts, depth = [""], 0
    for character in text:
        depth += (character == "[") - (character == "]")
        if depth < 0:
            break
        if character == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    if depth != 0:
        raise SpecError(f"brackets must match, got {text!r}")
    return [part.strip() for part in parts]


def parse_spec(text: str) -> Spec:
    """Read ``name`` or ``name[value,key=value,...]``.

    Raises
    ------
    SpecError : no name, unmatched brackets, text after the bracket, a key given twice

    >>> parse_spec("truncated[law=student-t[nu=2],r=100]").options
    {'law': 'student-t[nu=2]', 'r': '100'}
    """
    name, bracket, rest = text.strip().partition("[")
    if not name.strip() or (bracket and not rest.endswith("]")):
        raise SpecError(f"a spec must read name[key=value,...], got {text!r}")
    args: list[str] = []
    options: dict[str, str] = {}
    inside = rest[:-1].strip() if bracket else ""
    for item in split_list(inside) if inside else []:
        key, equals, value = item.partition("=")
        if not equals or "[" in key:
            args.append(item)
        elif key.strip() in options:
            raise SpecError(f"{key.strip()} is given twice in {text!r}")
        else:
            options[key.strip()] = value.strip()
    return Spec(name.strip(), tuple(args), options)


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean ...?"``, or the list of what is known where nothing is near.

    >>> suggest("gausian", ["gaussian", "laplace"])
    '; did you mean gaussian?'
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else f"; known: {', '.join(names)}"


class Registry(Generic[T]):
    """The classes of one kind, by name.

    Parameters
    ----------
    kind : what a message calls it, in the singular: ``"distribution"``
    package : dotted package whose modules register the classes
    protocol : the type that fields of other specs may declare to nest this kind
    """

    def __init__(self, kind: str, package: str, protocol: Any = None) -> None:
        self.kind = kind
        self.package = package
        self._classes: dict[str, type] = {}
        self._readers: dict[str, Callable[[str], T]] = {}
        self._discovered = False
        if protocol is not None:
            _REGISTRIES[protocol] = self

    def register(self, name: str) -> Callable[[C], C]:
        """Return the decorator that enters a class under `name`."""

        def enter(cls: C) -> C:
            if name in self._classes and self._classes[name].__qualname__ != cls.__qualname__:
                raise ValueError(f"{self.kind} {name!r} is registered twice: {self._classes[name]} and {cls}")
            self._classes[name] = cls
            return cls

        return enter

    def read_prefix(self, prefix: str, reader: Callable[[str], T]) -> None:
        """Let a spec that starts with `prefix` be read by `reader`, which gets the text after it."""
        self._readers[prefix] = reader

    def classes(self) -> dict[str, type]:
        """Return every class of this kind by name, after importing the files that define them."""
        if not self._discovered:
            package = importlib.import_module(self.package)
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{self.package}.{module.name}")
            self._discovered = True
        return dict(sorted(self._classes.items()))

    def describe(self) -> dict[str, str]:
        """Return the first line of each class's docstring, by name."""
        return {name: (inspect.getdoc(cls) or "").partition("\n")[0] for name, cls in self.classes().items()}

    def get(self, name: str) -> type:
        """Return the class called `name`.

        Raises
        ------
        UnknownName : with the nearest known name
        """
        known = self.classes()
        if name not in known:
            raise UnknownName(f"unknown {self.kind} {name!r}{suggest(name, known)}")
        return known[name]

    def name_of(self, kind: object) -> str:
        """Return the name under which the class of an object is registered.

        Raises
        ------
        UnknownName : it is not
        """
        for name, cls in self.classes().items():
            if type(kind) is cls:
                return name
        raise UnknownName(f"{type(kind).__name__} is no registered {self.kind}")

    def build(self, spec: str | Spec | T) -> T:
        """Return the object that `spec` names; an object of the kind passes through.

        Raises
        ------
        UnknownName, SpecError : unknown name or option, a value of the wrong type, a refused value
        ValueError, OSError : what a reader of `read_prefix` raises
        """
        if not isinstance(spec, (str, Spec)):
            return spec
        self.classes()  # whose files may bring readers
        for prefix, reader in self._readers.items():
            if isinstance(spec, str) and spec.strip().startswith(prefix):
                return reader(spec.strip().removeprefix(prefix))
        parsed = parse_spec(spec) if isinstance(spec, str) else spec
        cls = self.get(parsed.name)
        try:
            return cast(T, cls(**_arguments(cls, parsed)))
        except SpecError:
            raise
        except (TypeError, ValueError) as error:
            raise SpecError(f"{self.kind} {parsed}: {error}") from error


def _arguments(cls: type, spec: Spec) -> dict[str, Any]:
    """Match the spec's values to the dataclass fields of `cls` and convert them."""
    fields = [field.name for field in dataclasses.fields(cls) if field.init]
    if len(spec.args) > len(fields):
        raise SpecError(f"{spec.name} takes at most {len(fields)} value(s), got {len(spec.args)} in {spec}")
    given = dict(zip(fields, spec.args, strict=False))
    for key, value in spec.options.items():
        if key not in fields:
            raise SpecError(f"{spec.name} has no option {key!r}{suggest(key, fields)}")
        if key in given:
            raise SpecError(f"{key} is given twice in {spec}")
        given[key] = value
    needed = [field.name for field in dataclasses.fields(cls) if field.init and _has_no_default(field)]
    missing = [name for name in needed if name not in given]
    if missing:
        raise SpecError(f"{spec.name} needs {' and '.join(missing)}, got {spec}")
    hints = get_type_hints(cls)
    return {key: _convert(value, hints[key], f"{spec.name}[{key}]") for key, value in given.items()}


def _has_no_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _convert(text: str, hint: Any, where: str) -> Any:
    """Return `text` as a value of type `hint`."""
    if hint in _REGISTRIES:
        return _REGISTRIES[hint].build(text)
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _convert_union(text, get_args(hint), where)
    if origin is Literal:
        return _convert_literal(text, get_args(hint), where)
    if origin is tuple:
        return tuple(_convert(part, get_args(hint)[0], where) for part in split_list(text, ";"))
    if hint is bool:
        return _convert_literal(text.lower(), ("true", "false"), where) == "true"
    if hint in (int, float, str):
        return _convert_scalar(text, hint, where)
    raise SpecError(f"{where} cannot be given as text")


def _convert_scalar(text: str, hint: type, where: str) -> Any:
    try:
        return hint(text)
    except ValueError as error:
        raise SpecError(f"{where} must be of type {hint.__name__}, got {text!r}") from error


def _convert_literal(text: str, allowed: tuple[Any, ...], where: str) -> str:
    if text not in allowed:
        raise SpecError(f"{where} must be one of {', '.join(map(str, allowed))}, got {text!r}")
    return text


def _convert_union(text: str, hints: tuple[Any, ...], where: str) -> Any:
    """Try the members in order, ``None`` first; the last refusal is the message."""
    if type(None) in hints and text.lower() == "none":
        return None
    refusal = SpecError(f"{where} cannot be read from {text!r}")
    for hint in (hint for hint in hints if hint is not type(None)):
        try:
            return _convert(text, hint, where)
        except SpecError as error:
            refusal = error
    raise refusal

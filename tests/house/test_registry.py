"""The registry: specs, nesting, suggestions, refusals."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvq.errors import SpecError, UnknownName
from pvq.registry import Registry, Spec, parse_spec, split_list


class Shape(Protocol):
    """What the toy registry holds."""


SHAPES: Registry[Shape] = Registry("shape", "toy_shapes", Shape)


@SHAPES.register("disc")
@dataclass(frozen=True)
class Disc:
    """A disc."""

    radius: float = 1.0
    fill: Literal["solid", "empty"] = "solid"
    thin: bool = False
    holes: tuple[float, ...] = ()
    label: float | str = "none"
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.radius <= 0:
            raise ValueError(f"radius must be positive, got {self.radius}")


@SHAPES.register("moved")
@dataclass(frozen=True)
class Moved:
    """Another shape, moved."""

    shape: Shape
    by: float


@pytest.fixture(autouse=True)
def _package(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("toy") / "toy_shapes"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(folder.parent))
    sys.modules.pop("toy_shapes", None)


def test_values_are_converted_to_the_types_the_fields_declare() -> None:
    built = SHAPES.build("disc[radius=2,fill=empty,thin=true,holes=-1;0.5,label=7,limit=none]")
    assert built == Disc(2.0, "empty", True, (-1.0, 0.5), 7.0, None)
    assert SHAPES.build("disc[label=mse]") == Disc(label="mse")


def test_a_field_of_a_registered_protocol_takes_a_nested_spec() -> None:
    assert SHAPES.build("moved[shape=disc[radius=3],by=2]") == Moved(Disc(3.0), 2.0)
    assert SHAPES.build("moved[disc[radius=3,thin=true],2]") == Moved(Disc(3.0, thin=True), 2.0)


def test_an_object_passes_through() -> None:
    disc = Disc()
    assert SHAPES.build(disc) is disc


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("disk", "unknown shape 'disk'; did you mean disc?"),
        ("zzz", "known: disc, moved"),
        ("disc[radios=2]", "did you mean radius?"),
        ("disc[radius=two]", "must be of type float, got 'two'"),
        ("disc[radius=-1]", "radius must be positive, got -1.0"),
        ("disc[fill=full]", "must be one of solid, empty, got 'full'"),
        ("disc[thin=maybe]", "must be one of true, false"),
        ("disc[radius=1,radius=2]", "given twice"),
        ("disc[1,radius=2]", "given twice"),
        ("disc[1,solid,true,1,x,2,9]", "takes at most 6"),
        ("disc[radius=1", "must read name"),
        ("disc[radius=1]]", "brackets must match"),
        ("[radius=1]", "must read name"),
        ("", "must read name"),
        ("moved[shape=disc]", "moved needs by, got moved[shape=disc]"),
        ("moved", "moved needs shape and by, got moved"),
    ],
)
def test_a_refusal_names_what_is_wrong(spec: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        SHAPES.build(spec)
    assert message in str(caught.value)


def test_unknown_names_are_spec_errors_of_their_own_kind() -> None:
    with pytest.raises(UnknownName):
        SHAPES.get("square")


def test_two_classes_cannot_share_a_name() -> None:
    with pytest.raises(ValueError, match="registered twice"):
        SHAPES.register("disc")(Moved)


def test_descriptions_are_first_lines() -> None:
    assert SHAPES.describe() == {"disc": "A disc.", "moved": "Another shape, moved."}


names = st.text("abcxyz-09", min_size=1, max_size=6)
plain = st.builds(
    lambda name, options: str(Spec(name, (), options)), names, st.dictionaries(names, names, max_size=3)
)
nested = st.recursive(
    plain, lambda inner: st.builds(lambda n, v: f"{n}[law={v},r=1]", names, inner), max_leaves=4
)


@given(nested)
def test_parsing_and_printing_are_inverse(text: str) -> None:
    assert str(parse_spec(text)) == text


@given(st.lists(nested, min_size=1, max_size=4))
def test_splitting_undoes_joining(specs: list[str]) -> None:
    assert split_list(",".join(specs)) == specs

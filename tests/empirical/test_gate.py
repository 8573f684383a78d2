from __future__ import annotations

import math
from typing import Any

import pytest

from pvq.empirical.gate import NAMES, Condition, breaches, parse_gate, require
from pvq.errors import PvqError, SpecError


def row(layer: str = "a", bits: float = 4, **fields: Any) -> dict[str, Any]:
    plain = {
        "layer": layer, "bits": bits, "quant_snr_achieved_db": 20.0, "quant_snr_at_most_db": 22.0,
        "prune_snr_achieved_db": 11.0, "prune_snr_at_most_db": 14.0, "certified": True, "seconds": 2.0,
        "verdict": "quantize (proved)",
    }  # fmt: skip
    return {**plain, **fields}


# the value of each name on the row above
VALUES = {
    "snr": 20.0, "quant_snr": 20.0, "prune_snr": 11.0, "quant_gap": 2.0, "prune_gap": 3.0, "certified": 1.0,
    "seconds": 2.0, "coverage": 1.0,
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("op", "below", "equal", "above"),
    [
        (">=", True, True, False),
        (">", True, False, False),
        ("<=", False, True, True),
        ("<", False, False, True),
    ],
)
def test_every_name_compares_with_its_value(
    name: str, op: str, below: bool, equal: bool, above: bool
) -> None:
    for shift, holds in ((-0.5, below), (0.0, equal), (0.5, above)):
        found = breaches(parse_gate(f"{name} {op} {VALUES[name] + shift}"), [row()])
        assert (not found) is holds


@pytest.mark.parametrize(
    "text", ["snr>=18,prune_snr>=10", "snr >= 18 and prune_snr >= 10", " snr>=18 ,prune_snr>=1e1"]
)
def test_conditions_are_separated_by_commas_or_and(text: str) -> None:
    assert parse_gate(text) == (Condition("snr", ">=", 18.0), Condition("prune_snr", ">=", 10.0))


def test_a_condition_may_speak_of_some_rows_only() -> None:
    rows = [row("layer1.conv"), row("layer2.conv"), row("layer2.conv", 2, quant_snr_achieved_db=5.0)]
    assert not breaches(parse_gate("quant_snr[bits=4]>=18"), rows)
    assert not breaches(parse_gate("quant_snr[layers=layer1.*]>=18"), rows)
    assert len(breaches(parse_gate("quant_snr[bits=2,layers=layer2.*]>=18"), rows)) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must read NAME OP NUMBER"),
        ("snr", "must read NAME OP NUMBER"),
        ("snr=18", "must read NAME OP NUMBER"),
        ("snr>=18;prune_snr>=3", "must compare with a number"),
        ("snr>=18,", "must read NAME OP NUMBER"),
        ("snr>=nan", "finite number"),
        ("snr>=inf", "finite number"),
        ("snr>=loud", "compare with a number"),
        ("snrr>=18", "did you mean snr?"),
        ("quant_gpa<1", "did you mean quant_gap?"),
        ("snr[bit=4]>=18", r"takes \[bits=...,layers=...\]"),
        ("snr[bits=four]>=18", "compare with a number"),
        ("snr[bits=4>=18", "brackets must match"),
        ("__import__('os')>=1", "must read NAME OP NUMBER"),
    ],
)
def test_what_is_no_gate_is_refused(text: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        parse_gate(text)


@pytest.mark.parametrize("value", [None, float("nan")])
def test_an_unknown_value_fails_and_is_named_first(value: float | None) -> None:
    rows = [row("known", quant_snr_achieved_db=1.0), row("lost", quant_snr_achieved_db=value)]
    first, second = breaches(parse_gate("quant_snr>=18"), rows)
    assert (first.where, str(first)) == ("lost at 4 bits", "lost at 4 bits: quant_snr unknown, not >= 18")
    assert second.where == "known at 4 bits"


def test_the_better_camp_is_the_one_that_is_known() -> None:
    assert not breaches(parse_gate("snr>=11"), [row(quant_snr_achieved_db=None)])


def test_no_error_leaves_no_gap() -> None:
    exact = row(quant_snr_achieved_db=math.inf, quant_snr_at_most_db=math.inf)
    assert not breaches(parse_gate("quant_gap<=0,snr>=100"), [exact])


def test_coverage_is_the_share_of_proved_verdicts() -> None:
    rows = [row(), row(verdict="prune (proved)"), row(verdict="quantize (likely)"), row(verdict=None)]
    (breach,) = breaches(parse_gate("coverage>=0.85"), rows)
    assert (breach.where, breach.value) == ("the run", 0.5)


def test_the_line_counts_and_names_the_worst() -> None:
    rows = [row(f"l{i}", quant_snr_achieved_db=18.0 - i, prune_snr_achieved_db=0.0) for i in range(1, 6)]
    with pytest.raises(PvqError) as raised:
        require(parse_gate("snr>=18"), rows)
    text = str(raised.value)
    assert text.startswith("--fail-under: 5 missed, worst first: l5 at 4 bits: snr 13, not >= 18; l4 at")
    assert text.endswith("; 2 more")


def test_what_holds_is_silent() -> None:
    require(parse_gate("snr>=18,coverage>=1,certified>=1"), [row(), row("b")])


def test_a_condition_on_no_row_does_not_pass() -> None:
    with pytest.raises(PvqError, match=r"no row of the run is one of snr\[bits=8\]>=18"):
        require(parse_gate("snr[bits=8]>=18"), [row()])

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pvq.__main__ import run
from pvq.figures.compare import Comparison, compare_runs
from pvq.figures.compare_page import write_comparison
from pvq.figures.stored_run import read_run

from .bound_rows import NASTY, full, row, write

MANIFEST: dict[str, Any] = {
    "model": "toy", "source": {"sha256": "abc"}, "calibration": {"digest": "def"}, "run": {"seed": 0},
}  # fmt: skip
LOW = full(quant_snr_at_most_db=20.25, quant_snr_achieved_db=20.0)  # its ceiling lies below full()'s point


def compare(
    folder: Path, before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]], **manifest: Any
) -> Comparison:
    other = {**MANIFEST, **manifest}
    runs = [("a", before, MANIFEST), ("b", after, other)]
    return compare_runs(*(read_run(write(folder / name, list(rows), made)) for name, rows, made in runs))


def test_a_run_does_not_differ_from_itself(tmp_path: Path) -> None:
    found = compare(tmp_path, [full(), full("b")], [full(), full("b")])
    assert [change.kind for change in found.changes] == ["same", "same"]
    assert found.sentences() == ["2 answers in both runs: 0 verdicts changed, 0 proofs gained, 0 lost."]


def test_every_kind_of_change_is_named(tmp_path: Path) -> None:
    before = [full("a", verdict="open"), full("b"), full("c"), full("d"), full("e")]
    after = [full("a"), full("b", prune_snr_at_most_db=11.5), full("c"), full("f"), full("e", seconds=9.0)]
    found = compare(tmp_path, before, after)
    assert {change.row.layer: change.kind for change in found.changes} == {
        "a": "verdict changed", "b": "numbers changed", "c": "same", "d": "only in A", "e": "same",
        "f": "only in B",
    }  # fmt: skip
    assert found.sentences() == [
        "4 answers in both runs: 1 verdicts changed, 1 proofs gained, 0 lost.",
        "Prune: higher ceilings on 0, lower on 1.",
        "1 answers only in A.",
        "1 answers only in B.",
    ]
    (b,) = (change for change in found.changes if change.row.layer == "b")
    assert b.as_row()["prune_snr_at_most_change_db"] == -0.5


def test_an_unknown_number_that_becomes_known_is_a_change(tmp_path: Path) -> None:
    (change,) = compare(tmp_path, [full(quant_snr_at_most_db=None)], [full()]).changes
    assert (change.kind, change.shift("quantize", "at_most")) == ("numbers changed", None)


@pytest.mark.parametrize("turned", [False, True])
def test_a_point_above_the_other_ceiling_is_a_contradiction(tmp_path: Path, turned: bool) -> None:
    rows = [[LOW], [full()]]
    found = compare(tmp_path, *(reversed(rows) if turned else rows))
    (text,) = found.contradictions
    names = "AB" if turned else "BA"
    assert text == (
        f"conv1 at 4 bits: the quantize point of {names[0]} reaches 20.50 dB, 0.25 dB above the certified "
        f"ceiling of {names[1]}, 20.25 dB"
    )
    assert found.changes[0].kind == "contradiction"
    assert "1 contradictions" in found.sentences()[-1]


@pytest.mark.parametrize(
    ("changed", "manifest"),
    [
        ({"quant_set": "int[bits=4,scale=0.1]"}, {}),
        ({"quant_set": None}, {}),
        ({"rows": 3}, {}),
        ({"kurtosis": 4.25}, {}),
        ({"signal_lower": 2.0, "signal_upper": 2.5}, {}),
        ({}, {"calibration": {"digest": "other"}}),
        ({}, {"calibration": {}}),
        ({}, {"source": {"sha256": "other"}}),
        ({}, {"model": "other"}),
        ({}, {"run": {"seed": 1}}),
    ],
)
def test_other_problems_cannot_contradict(
    tmp_path: Path, changed: dict[str, Any], manifest: dict[str, Any]
) -> None:
    assert not compare(tmp_path, [LOW], [full(**changed)], **manifest).contradictions


def test_a_ceiling_that_is_not_certified_contradicts_nothing(tmp_path: Path) -> None:
    assert not compare(tmp_path, [{**LOW, "certified": False}], [full()]).contradictions


def test_an_older_run_that_lacks_the_fingerprints_is_still_checked(tmp_path: Path) -> None:
    old = {**LOW, "kurtosis": None, "signal_lower": None, "signal_upper": None}
    assert compare(tmp_path, [old], [full()]).contradictions


def test_the_seed_does_not_matter_where_nothing_was_sampled(tmp_path: Path) -> None:
    rows = [{**LOW, "rows": 16}], [full(rows=16)]
    assert compare(tmp_path, *rows, run={"seed": 1}).contradictions


def test_page_and_markdown_are_written_and_escaped(tmp_path: Path) -> None:
    found = compare(tmp_path, [LOW, full(NASTY), row("same")], [full(), full("b"), row("same")])
    page = write_comparison(found, ("runs/a", "runs/b"), tmp_path / "out").read_text()
    text = (tmp_path / "out" / "compare.md").read_text()
    assert "The runs contradict each other" in page
    assert "**Contradiction**: conv1 at 4 bits" in text
    assert "only in A" in page
    assert "only in A" in text
    assert "same" not in text.split("Rows without a change", 1)[1].split("\n", 1)[1]
    assert NASTY not in page + text
    assert "20.50 (+0.50)" in page


def test_the_command_prints_rows_and_exits_with_zero(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(write(tmp_path / name, [full(verdict=verdict)], MANIFEST))
               for name, verdict in (("a", "open"), ("b", "prune (likely)"))]  # fmt: skip
    assert run(["report", "--compare", *folders, "--json", "-o", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr()
    (change,) = json.loads(shown.out)
    assert (change["change"], change["verdict_a"], change["verdict_b"]) == (
        "verdict changed",
        "open",
        "prune (likely)",
    )
    assert "1 answers in both runs: 1 verdicts changed" in shown.err
    assert (tmp_path / "out" / "compare.html").is_file()


def test_a_contradiction_exits_with_three_after_everything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(write(tmp_path / name, [kind], MANIFEST)) for name, kind in (("a", LOW), ("b", full()))]
    assert run(["report", "--compare", *folders, "-o", str(tmp_path)]) == 3
    assert "pvq: the runs contradict each other 1 times, first: conv1 at 4 bits" in capsys.readouterr().err
    assert (tmp_path / "compare.html").is_file()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["report"], 2, "takes a run's folder or --compare A B"),
        (["report", "x", "--compare", "a", "b"], 2, "takes a run's folder or --compare A B"),
        (["report", "--compare", "a"], 2, "--compare"),
        (["report", "--compare", "a", "b", "--fail-under", "snr>=1"], 2, "not --compare"),
        (["report", "--compare", "nowhere-a", "nowhere-b"], 1, "nowhere-a"),
        (["report", "x", "-o", "y"], 2, "--output goes with --compare"),
        (["report", "x", "--fail-under", "snrr>=1"], 2, "did you mean snr?"),
        (["bounds", "resnet20-cifar10", "--fail-under", "snr"], 2, "must read NAME OP NUMBER"),
    ],
)
def test_bad_input_gives_one_line_and_a_code(
    words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == code
    shown = capsys.readouterr()
    assert (shown.out, len(shown.err.strip().splitlines())) == ("", 1)
    assert message in shown.err


@pytest.mark.parametrize(("demand", "code"), [("snr>=20.5, coverage>=1", 0), ("snr>=21", 1)])
def test_a_report_is_held_to_a_demand_after_it_is_written(
    demand: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path, [full()])
    assert run(["report", str(folder), "--fail-under", demand, "--json"]) == code
    shown = capsys.readouterr()
    assert json.loads(shown.out) == [{"report": str(folder / "report.html")}]
    assert (folder / "bounds.csv").is_file()
    assert ("1 missed, worst first: conv1 at 4 bits: snr 20.5, not >= 21" in shown.err) is (code == 1)


@pytest.mark.parametrize(("demand", "code"), [("coverage>=1", 0), ("coverage>1", 1)])
def test_a_bound_run_is_held_to_a_demand_after_it_is_written(
    demand: str,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def solved(settings: Any, progress: object) -> list[dict[str, Any]]:
        write(settings.out, [full()])
        return [full()]

    monkeypatch.setattr("pvq.empirical.layerwise.run_bounds", solved)
    words = ["bounds", "resnet20-cifar10", "-o", str(tmp_path), "--fail-under", demand, "--json"]
    assert run(words) == code
    shown = capsys.readouterr()
    assert json.loads(shown.out) == [full()]
    assert (tmp_path / "report.html").is_file()
    assert ("--fail-under: 1 missed, worst first: the run: coverage 1, not > 1" in shown.err) is (code == 1)

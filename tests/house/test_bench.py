"""The benchmark harness: what is on the clock, what is compared with what, and what is stored."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pvq.__main__ import run
from pvq.errors import PvqError, UnknownName
from pvq.figures.benchmark import draw_benchmark
from pvq.solvers.bench import suites as suites_module
from pvq.solvers.bench.case import Case
from pvq.solvers.bench.clock import Timed
from pvq.solvers.bench.measure import Bench, measure
from pvq.solvers.bench.run import SCHEMA, run_cases, run_suites
from pvq.solvers.bench.sources import Layer, raw_problem
from pvq.solvers.bench.suites import SUITES, Block, Suite, cases_of, suites_of
from pvq.solvers.feasible import FeasibleSet
from pvq.solvers.outcome import Outcome, Status
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import SOLVERS, Limits, solve

SET = "int[bits=2]"
TINY = Suite(
    full=(),
    quick=(Block(("hull", "sdp", "beams"), ("conv", "layer:a"), (6, 9), (SET,), 2, 5.0),),
    about="tiny",
)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(suites_module.SUITES, "tiny", TINY)
    return "tiny"


def _layers() -> Mapping[str, Layer]:
    X = np.random.default_rng(0).standard_normal((40, 9))
    return {"a": Layer(X.T @ X, np.arange(27.0).reshape(3, 9) / 9)}


@dataclass(frozen=True)
class _Sleeper:
    """A method that waits, then works."""

    def refusal(self, problem: LayerProblem, feasible: FeasibleSet) -> str | None:
        return None

    def run(self, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        time.sleep(0.05)
        return Outcome(Status.FEASIBLE, feasible.nearest(problem.w))


def test_the_clock_tells_work_from_waiting() -> None:
    timed = Timed(_Sleeper())
    raw = raw_problem("conv", 9, 0, {})
    solve(LayerProblem(raw.H, raw.w), SET, timed)
    (spent,) = timed.spent
    assert spent.wall >= 0.05
    assert 0 <= spent.cpu < spent.wall


def test_a_case_measures_methods_and_tells_why_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case("s", "conv", 9, 0, SET, ("hull", "sdp", "no-such", "perspective", "hull[deep=1]"), 5.0)
    rows = {row["method"]: row for row in measure(case, Bench({}))}
    assert rows["hull"]["certified"]
    assert rows["hull"]["runs"] == 3
    assert rows["hull"]["cpu_seconds"] > 0
    assert rows["hull"]["error_lower"] <= rows["hull"]["error_upper"]
    assert {row["versus"] for row in rows.values()} == {"hull"}
    assert rows["no-such"]["note"] == "there is no method no-such"
    assert "sparse" in rows["perspective"]["note"]
    assert "no option" in rows["hull[deep=1]"]["note"]
    for name in ("no-such", "perspective", "hull[deep=1]"):
        assert rows[name]["status"] == "missing"
        assert rows[name]["cpu_seconds"] is None
        assert not rows[name]["finished"]


@pytest.mark.parametrize("good", [0, 1])  # calls before it breaks: none, or the one that warms it up
def test_a_method_that_breaks_is_a_row(good: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def broken(_: object, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        calls.append(1)
        if len(calls) > good:
            raise RuntimeError("out of\nluck")
        return Outcome(Status.FEASIBLE, feasible.nearest(problem.w))

    monkeypatch.setattr(SOLVERS.get("sdp"), "run", broken)
    hull, sdp = measure(Case("s", "conv", 9, 0, SET, ("hull", "sdp"), 5.0), Bench({}))
    assert hull["status"] == "bound"
    assert (sdp["status"], sdp["note"]) == ("missing", "RuntimeError: out of luck")


def test_an_interrupt_is_not_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> Outcome:
        raise KeyboardInterrupt

    monkeypatch.setattr(SOLVERS.get("sdp"), "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure(Case("s", "conv", 9, 0, SET, ("sdp",), 5.0), Bench({}))


def test_every_turn_starts_from_a_problem_made_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """What rows of a layer share is remembered with the Gram matrix: a second turn must not profit."""
    seen: list[int] = []
    kept: list[object] = []

    def watch(_: object, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        kept.append(problem.gram)
        seen.append(id(problem.gram))
        return Outcome(Status.FEASIBLE, feasible.nearest(problem.w))

    monkeypatch.setattr(SOLVERS.get("nearest"), "run", watch)
    measure(Case("s", "conv", 9, 0, SET, ("nearest",), 5.0), Bench({}))
    assert len(set(seen)) == len(seen) == 5  # two to warm up, three turns


def test_what_warms_up_is_small_and_the_first_method_warms_up_twice() -> None:
    sizes: dict[str, list[int]] = {}

    def watch(self: object, problem: LayerProblem, feasible: FeasibleSet, limits: Limits) -> Outcome:
        sizes.setdefault(type(self).__name__, []).append(problem.n)
        return Outcome(Status.FEASIBLE, feasible.nearest(problem.w))

    bench = Bench({})
    with pytest.MonkeyPatch.context() as patch:
        for name in ("nearest", "gptq"):
            patch.setattr(SOLVERS.get(name), "run", watch)
        for seed in (0, 1):
            measure(Case("s", "condition-1e2", 50, seed, SET, ("nearest", "gptq"), 5.0), bench)
    assert sizes == {"Nearest": [12, 40] + 6 * [50], "Gptq": [12] + 6 * [50]}


def test_a_refusal_that_breaks_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str | None:
        raise AttributeError("half written")

    monkeypatch.setattr(SOLVERS.get("sdp"), "refusal", broken)
    (row,) = measure(Case("s", "conv", 9, 0, SET, ("sdp",), 5.0), Bench({}))
    assert row["note"] == "AttributeError: half written"


def test_sources() -> None:
    one, two = (raw_problem("condition-1e3", 12, seed, {}) for seed in (0, 1))
    eigenvalues = np.linalg.eigvalsh(one.H)
    assert eigenvalues[-1] / eigenvalues[0] == pytest.approx(1e3, rel=1e-6)
    assert not np.array_equal(one.w, two.w)
    row = raw_problem("layer:a", 1, 0, _layers())
    assert row.w in row.fitted
    assert row.fitted.shape == (3, 9)
    for wrong in ("layer:b", "konv", "condition-", "condition-x"):
        with pytest.raises(PvqError):
            raw_problem(wrong, 4, 0, _layers())


def test_a_run_stores_cases_and_goes_on_where_it_was(tmp_path: Path, tiny: str) -> None:
    seen: list[tuple[int, int]] = []
    written = run_suites(
        [tiny], True, tmp_path, _layers, lambda done, total, label="": seen.append((done, total))
    )
    assert seen[0] == (0, 8)
    assert seen[-1] == (8, 8)
    assert len(list((tmp_path / "cases").glob("*.json"))) == 8
    first = {path: path.stat().st_mtime_ns for path in (tmp_path / "cases").iterdir()}
    victim, broken, *_ = sorted(first)
    victim.unlink()
    broken.write_text('[{"cut', encoding="utf-8")
    again = run_suites([tiny], True, tmp_path, _layers)
    changed = {path for path in first if path.stat().st_mtime_ns != first[path]}
    assert changed == {victim, broken}
    assert [row["method"] for row in again[tiny]["rows"]] == [row["method"] for row in written[tiny]["rows"]]


def test_other_code_or_settings_are_measured_anew() -> None:
    case = Case("s", "conv", 9, 0, SET, ("hull",), 5.0)
    longer = Case("s", "conv", 9, 0, SET, ("hull",), 6.0)
    assert len({case.key("1"), case.key("2"), longer.key("1")}) == 3
    assert case.key("1") == Case("s", "conv", 9, 0, SET, ("hull",), 5.0).key("1")


def test_the_file_is_what_the_readme_says(tmp_path: Path, tiny: str) -> None:
    run_suites([tiny], True, tmp_path, _layers)
    stored = json.loads((tmp_path / "tiny.json").read_text(encoding="utf-8"))
    assert list(stored) == ["schema", "suite", "about", "quick", "provenance", "summary", "rows"]
    assert stored["schema"] == SCHEMA
    assert stored["provenance"]["cores"] >= 1
    assert "numpy" in stored["provenance"]["versions"]
    assert not any(key in stored["provenance"] for key in ("node", "host", "user"))
    described = Path(__file__).parents[2].joinpath("benchmarks", "README.md").read_text(encoding="utf-8")
    for key in {*stored["summary"][0], *stored["rows"][0]}:
        assert f"`{key}`" in described
    layer = [row for row in stored["rows"] if row["source"] == "layer:a"]
    assert {row["n"] for row in layer} == {9}


def test_layers_that_cannot_be_had_are_rows_with_the_reason(tmp_path: Path) -> None:
    case = Case("s", "layer:a", 1, 0, SET, ("hull",), 5.0)
    (row,) = run_cases([case], Bench({}), tmp_path)
    assert row["status"] == "missing"
    assert "'a'" in row["note"]


def test_pictures_hold_no_names_of_files_and_are_reproducible(tmp_path: Path, tiny: str) -> None:
    written = run_suites([tiny], True, tmp_path, _layers)[tiny]
    paths = draw_benchmark(written, tmp_path / "one")
    again = draw_benchmark(written, tmp_path / "two")
    assert [path.suffix for path in paths] == [".png", ".svg"]
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in again]
    by_excess = draw_benchmark({**written, "suite": "heuristics"}, tmp_path / "three")
    assert by_excess[0].read_bytes() != paths[0].read_bytes()
    assert draw_benchmark({"suite": "s", "summary": []}, tmp_path / "none") == []


@pytest.mark.parametrize("suite", sorted(SUITES))
@pytest.mark.parametrize("quick", [True, False])
def test_suites_are_well_formed(suite: str, quick: bool) -> None:
    cases = cases_of(suite, quick)
    assert cases
    assert len(set(cases)) == len(cases)
    assert all(case.suite == suite and case.seconds is not None for case in cases)
    for case in cases:
        if not case.source.startswith("layer:"):
            raw_problem(case.source, 2, 0, {})


def test_suites_by_name() -> None:
    assert suites_of(["all"]) == list(SUITES)
    with pytest.raises(UnknownName, match="did you mean exact-prune"):
        suites_of(["exact-prun"])


def test_the_command_prints_the_summary(
    tmp_path: Path, tiny: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pvq.cli.commands.bench._layers", lambda _: dict(_layers()))
    assert run(["bench", "--suite", tiny, "--quick", "-o", str(tmp_path), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["method"] for row in rows} == {"hull", "sdp", "beams"}
    assert (tmp_path / "tiny.svg").exists()
    assert run(["bench", "--suite", "tinny"]) == 2
    assert "did you mean tiny?" in capsys.readouterr().err

"""A comparison in miniature: bundled images, a small network, both camps, two budgets, two seeds."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pvq.__main__ import run
from pvq.empirical.compare import RUNS, CompareResult, Job, compare, train_one
from pvq.empirical.comparison import Comparison, comparison_from
from pvq.empirical.comparison_files import write_comparison_files
from pvq.empirical.comparison_plan import plan_comparison
from pvq.empirical.comparison_rows import FIELDS
from pvq.empirical.record import RunRecord
from pvq.empirical.run_lock import run_lock
from pvq.errors import PvqError

BASE = {
    "model": "resnet-cifar[depth=8,width=2]",
    "dataset": "bundled",
    "epochs": 1,
    "batch_size": 128,
    "validation": 128,
    "learning_rate": 0.05,
}
SETTINGS: dict[str, Any] = {
    "name": "miniature",
    "base": BASE,
    "methods": [
        {"method": "qat-lsq[norms=1]", "label": "quantization", "camp": "quantize", "before": "ptq"},
        {"method": "magnitude[schedule=one-shot,norms=1]", "label": "pruning", "camp": "prune"},
    ],
    "budgets": [8, 2],
    "seeds": [0, 1],
    "before": True,
}
MINIATURE = comparison_from(SETTINGS)
TIMES = ("seconds",)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CompareResult]:
    """Return a comparison that was not disturbed, and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, compare(MINIATURE, folder)


def numbers(result: CompareResult) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key not in TIMES} for row in result.rows]


def with_method(spec: str, **changes: Any) -> Comparison:
    """Return the miniature with one more method."""
    return comparison_from(SETTINGS | {"methods": [*SETTINGS["methods"], spec]} | changes)


def test_every_cell_is_measured(whole: tuple[Path, CompareResult]) -> None:
    folder, result = whole
    assert [(row["method"], row["budget"]) for row in result.rows] == [
        (label, bits) for label in ("quantization", "pruning") for bits in (8.0, 2.0)
    ]
    for row in result.rows:
        assert (row["seeds"], row["failed"], row["reason"]) == (2, 0, "")
        assert 0 <= row["accuracy"] <= 1
        assert 0 <= row["before"] <= 1
        assert row["budget"] <= row["spent_bits"] < row["budget"] + 2
    assert len(list((folder / RUNS).iterdir())) == len(plan_comparison(MINIATURE).runs()) == 16
    assert [pair["stage"] for pair in result.pairs] == ["after", "after", "before", "before"]
    assert result.words[0].startswith("After fine-tuning, quantization against pruning: at 8 bits ")


def test_accuracies_are_those_of_the_runs_records(whole: tuple[Path, CompareResult]) -> None:
    folder, result = whole
    for cell, recipe in result.plan.after.items():
        stored = json.loads((folder / RUNS / recipe.hash / "record.json").read_text())
        assert result.scores[cell].accuracy == stored["final_accuracy"]
        assert (stored["recipe"]["seed"], stored["recipe"]["budget"]) == (cell.seed, cell.budget)
    for cell, recipe in result.plan.before.items():
        stored = json.loads((folder / RUNS / recipe.hash / "record.json").read_text())
        assert result.scores[cell].before == stored["prepared_accuracy"]
        assert stored["epochs"] == []


def test_a_finished_comparison_trains_nothing_again(
    whole: tuple[Path, CompareResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(job: Job) -> RunRecord:
        raise AssertionError(job)

    monkeypatch.setattr("pvq.empirical.compare.train_one", fail)
    folder, result = whole
    assert compare(MINIATURE, folder).rows == result.rows


def test_an_interrupted_comparison_goes_on_in_two_processes_to_the_same_numbers(
    whole: tuple[Path, CompareResult], tmp_path: Path
) -> None:
    counts: list[int] = []

    def stop(done: int, total: int, label: str = "", outlook: object = None) -> None:
        if done == 7:
            raise KeyboardInterrupt

    def count(done: int, total: int, label: str = "", outlook: object = None) -> None:
        counts.append(done)

    with pytest.raises(KeyboardInterrupt):
        compare(MINIATURE, tmp_path, progress=stop)
    again = compare(MINIATURE, tmp_path, workers=2, progress=count)
    assert counts == list(range(7, 17))  # what was finished was found
    assert numbers(again) == numbers(whole[1])


def failing(when: Callable[[Job], bool]) -> Callable[[Job], RunRecord]:
    def one(job: Job) -> RunRecord:
        if when(job):
            raise PvqError("the loss is nan in epoch 1")
        return train_one(job)

    return one


def test_a_failing_run_is_a_row_with_its_reason_and_is_tried_again(
    whole: tuple[Path, CompareResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = failing(lambda job: job.recipe.seed == 1 and job.recipe.epochs > 0 and job.recipe.budget == 2)
    monkeypatch.setattr("pvq.empirical.compare.train_one", broken)
    after_alone = comparison_from(SETTINGS | {"before": False})
    result = compare(after_alone, tmp_path)
    assert [(row["seeds"], row["failed"]) for row in result.rows] == [(2, 0), (1, 1)] * 2
    assert result.rows[1]["reason"] == "PvqError: the loss is nan in epoch 1"
    assert "at 2 bits" in result.words[0]
    assert "(one seed, no interval)" in result.words[0]
    write_comparison_files(result, tmp_path)
    assert "Failed: pruning at 2 bits, seed 1: PvqError" in (tmp_path / "comparison.md").read_text()
    monkeypatch.undo()
    found = [row["accuracy"] for row in compare(after_alone, tmp_path).rows]
    assert found == [row["accuracy"] for row in whole[1].rows]


def test_training_without_compression_is_shared_by_all_budgets(
    whole: tuple[Path, CompareResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Job] = []

    def note(job: Job) -> RunRecord:
        trained.append(job)
        return train_one(job)

    monkeypatch.setattr("pvq.empirical.compare.train_one", note)
    result = compare(with_method("none"), whole[0])  # the comparison grows by a method
    assert [job.recipe.method for job in trained] == ["", ""]
    high, low = result.rows[4:]
    assert (high["accuracy"], high["spent_bits"], high["before"]) == (low["accuracy"], None, None)


def test_a_damaged_record_is_made_again(whole: tuple[Path, CompareResult], tmp_path: Path) -> None:
    one = comparison_from(SETTINGS | {"seeds": [0], "budgets": [8], "before": False})
    first = compare(one, tmp_path)
    path = next((tmp_path / RUNS).iterdir()) / "record.json"
    path.write_text("{}")
    assert numbers(compare(one, tmp_path)) == numbers(first)
    assert json.loads(path.read_text())["recipe"]["name"] == "miniature"


def test_a_run_without_any_images_to_judge_it_is_no_result(tmp_path: Path) -> None:
    comparison = comparison_from(
        SETTINGS | {"methods": ["none"], "settings": {"validation": 0}, "seeds": [0], "budgets": [4]}
    )
    (row,) = compare(comparison, tmp_path).rows
    assert (row["accuracy"], row["failed"]) == (None, 1)
    assert "no test split and validation is 0" in row["reason"]


def test_one_comparison_at_a_time_works_in_a_folder(tmp_path: Path) -> None:
    with run_lock(tmp_path), pytest.raises(PvqError, match="is running in"):
        compare(MINIATURE, tmp_path)


def test_the_files_say_how_they_were_made(whole: tuple[Path, CompareResult], tmp_path: Path) -> None:
    result = compare(MINIATURE, whole[0])
    paths = write_comparison_files(result, tmp_path)
    assert [path.name for path in paths] == [
        "comparison.json", "comparison.csv", "comparison.md", "manifest.json"
    ]  # fmt: skip
    content = json.loads(paths[0].read_text())
    assert (content["schema"], content["version"]) == ("pvq-comparison", 1)
    assert comparison_from(content["comparison"]) == MINIATURE
    assert content["comparison_hash"] == MINIATURE.hash
    assert content["verdict"] == list(result.words)
    assert len(content["runs"]) == 8
    assert all((whole[0] / entry["run"] / "record.json").is_file() for entry in content["runs"])
    rows = list(csv.DictReader(paths[1].read_text().splitlines()))
    assert tuple(rows[0]) == FIELDS
    assert float(rows[0]["accuracy"]) == result.rows[0]["accuracy"]
    manifest = json.loads(paths[3].read_text())
    assert set(manifest["runs"]) == {recipe.hash for recipe in result.plan.runs()}
    assert manifest["versions"]["torch"]


def test_the_table_is_in_percent_with_intervals(whole: tuple[Path, CompareResult], tmp_path: Path) -> None:
    write_comparison_files(whole[1], tmp_path)
    text = (tmp_path / "comparison.md").read_text()
    row = whole[1].rows[0]
    half = row["accuracy_high"] - row["accuracy"]
    assert f"| {100 * row['accuracy']:.2f} ± {100 * half:.2f} | {100 * row['accuracy_sd']:.2f} | 2 |" in text
    assert whole[1].words[0] in text
    assert "| stage | budget |" in text


def recipe_file(folder: Path, **changes: Any) -> str:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(SETTINGS | changes))
    return str(path)


def test_the_command_prints_rows_and_writes_table_and_figure(
    whole: tuple[Path, CompareResult], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compare", recipe_file(tmp_path), "-o", str(whole[0]), "--json"]) == 0
    shown = capsys.readouterr()
    rows = json.loads(shown.out)
    assert [tuple(row) for row in rows] == [FIELDS] * 4
    assert whole[1].words[0] in shown.err
    written = {path.name for path in whole[0].iterdir()}
    assert {"comparison.json", "comparison.md", "manifest.json", "accuracy.png", "accuracy.svg"} <= written


@pytest.mark.parametrize(
    ("changes", "words", "code", "message"),
    [
        ({"budgest": [4]}, [], 1, "did you mean budgets?"),
        ({"methods": ["magnitud"]}, [], 2, "did you mean magnitude?"),
        ({}, ["--workers", "0"], 2, "Must be >= 1"),
        (
            {"methods": ["none"], "settings": {"learning_rate": 1e30}},
            [],
            1,
            "2 of 2 runs failed, first: PvqError",
        ),
    ],
)
def test_bad_recipes_give_one_line_and_a_code(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    words: list[str],
    code: int,
    message: str,
) -> None:
    folder = tmp_path / "out"
    assert run(["compare", recipe_file(tmp_path, **changes), "-o", str(folder), *words]) == code
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_the_base_of_every_run_is_the_recipes(whole: tuple[Path, CompareResult]) -> None:
    for recipe in whole[1].plan.runs():
        kept = ("model", "dataset", "batch_size", "validation", "threads", "weight_decay")
        assert {name: getattr(recipe, name) for name in kept} == {
            name: dataclasses.asdict(MINIATURE.base)[name] for name in kept
        }

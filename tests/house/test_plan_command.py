"""`pvq plan` on the command line: files, rows, one-line refusals."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from pvq.__main__ import run
from pvq.empirical.compression_file import read_plan
from pvq.empirical.compression_rows import FIELDS

WORDS = ["plan", "resnet20-cifar10", "--bits", "2,4", "--layers", "layer1.*", "--points", "5"]


def test_files_and_rows(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "deep" / "small.yaml"
    assert run([*WORDS, "--budget", "4", "-o", str(target), "--json"]) == 0
    shown = capfd.readouterr()
    rows = json.loads(shown.out)
    assert all(list(row) == list(FIELDS) for row in rows)
    assert rows[-1]["layer"] == "total"
    assert rows[-1]["bits_per_weight"] <= 4
    plan = read_plan(target)
    assert [layer.name for layer in plan.layers] == [row["layer"] for row in rows[:-1]]
    assert plan.totals.objective == rows[-1]["objective"]
    for suffix in ("json", "curve.csv", "png", "svg"):
        assert (target.parent / f"small.{suffix}").stat().st_size > 0
    with (target.parent / "small.curve.csv").open() as file:
        curve = list(csv.DictReader(file))
    assert len(curve) in (5, 6)
    assert all(float(row["bound"]) <= float(row["objective"]) for row in curve)


def test_a_budget_in_bytes_and_no_picture(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run([*WORDS, "--budget-bytes", "6KiB", "-o", str(tmp_path / "plan.yaml")]) == 0
    assert read_plan(tmp_path / "plan.yaml").totals.budget_bits == 8 * 6 * 1024
    assert (tmp_path / "plan.curve.csv").exists()
    assert not (tmp_path / "plan.png").exists()
    assert "no picture of the curve" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "exactly one of --budget"),
        (["--budget", "4", "--budget-bytes", "1KB"], 2, "exactly one of --budget"),
        (["--budget", "0"], 2, "Must be > 0"),
        (["--budget", "nan"], 2, "budget"),
        (["--budget-bytes", "6 parsecs"], 2, "must be a size such as 250KB"),
        (["--budget-bytes", "0"], 2, "at least one byte"),
        (["--budget", "1"], 1, "budget must be at least 1.0139 bits per weight (1752 bytes)"),
        (["--budget", "4", "--formats", "itn"], 2, "did you mean int?"),
        (["--budget", "4", "--objective", "hesian"], 2, "hesian"),
        (["--budget", "4", "--weight", "conv1"], 2, "PATTERN=FACTOR"),
        (["--budget", "4", "--weight", "conv9=2"], 1, "no layer matches the weight 'conv9'"),
        (["--budget", "4", "--run", "nowhere"], 1, "name the folder of a finished pvq bounds"),
        (["--budget", "4", "--mask", "zip"], 2, "zip"),
    ],
)
def test_bad_input_gives_one_line_and_a_code(
    words: list[str], code: int, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run([*WORDS, *words, "-o", str(tmp_path / "plan.yaml")]) == code
    shown = capfd.readouterr()
    assert shown.out == ""
    lines = [line for line in shown.err.strip().splitlines() if not line.startswith("menus: ")]
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "plan.yaml").exists()

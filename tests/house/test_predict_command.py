"""`pvq predict` on the command line: a run of the bundled network, files, rows, one-line refusals."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from pvq.__main__ import run

DATA = ["--data", "bundled:24"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of two small layers of the bundled ResNet-20, all rows."""
    path = tmp_path_factory.mktemp("run") / "run"
    words = [
        "bounds",
        "resnet20-cifar10",
        "--bits",
        "2,4",
        "--layers",
        "[cf]*1",
        "--calibration",
        "bundled:32",
    ]
    assert run([*words, "-o", str(path), "--json"]) == 0
    return path


def test_files_rows_and_words(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    compared = tmp_path / "comparison.json"
    trained = {"method": "qat", "camp": "quantize", "before": 0.5, "uncompressed": 0.9}
    rows = [trained | {"budget": bits, "accuracy": 0.8 + bits / 100} for bits in (2.0, 4.0)]
    compared.write_text(json.dumps({"schema": "pvq-comparison", "rows": rows}))
    out = tmp_path / "out"
    words = ["predict", str(folder), *DATA, "--mixes", "5", "-o", str(out), "--comparison", str(compared)]
    assert run([*words, "--json"]) == 0
    shown = capfd.readouterr()
    rows = json.loads(shown.out)
    assert list(rows[0]) == [
        "set", "camp", "bits", "predictor", "target", "spearman", "low", "high", "p_value", "n", "lead",
        "lead_low", "lead_high", "note",
    ]  # fmt: skip
    assert {row["set"] for row in rows} == {"layers", "mixes", "budgets"}
    content = json.loads((out / "predict.json").read_text())
    assert all(sentence in shown.err for sentence in content["words"])
    assert content["correlations"] == rows
    assert [row["set"] for row in content["rows"]] == ["uncompressed"] + ["layers"] * 4 + ["mixes"] * 5
    assert len(content["budgets"]) == 2
    for name in (
        "predict.csv",
        "correlations.csv",
        "budgets.csv",
        "predict.md",
        "predict.png",
        "predict.svg",
    ):
        assert (out / name).stat().st_size > 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["data"]["split"] == "train"  # the bundled images have no other
    before = (out / "predict.json").read_bytes()
    assert run(words) == 0
    assert (out / "predict.json").read_bytes() == before
    assert "10/10" in capfd.readouterr().err


def test_without_matplotlib_there_is_no_picture(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run(["predict", str(folder), *DATA, "--mixes", "0", "-o", str(tmp_path)]) == 0
    assert "no picture: matplotlib is not installed" in capfd.readouterr().err
    assert (tmp_path / "predict.csv").exists()
    assert not (tmp_path / "predict.png").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nowhere"], 1, "name the folder of a finished pvq bounds"),
        (["RUN", "--data", "cifra10"], 2, "did you mean cifar10?"),
        (["RUN", "--data", "bundled:100000"], 1, "number of images must lie in"),
        (["RUN", *DATA, "--mixes", "-1"], 2, "Must be >= 0"),
        (["RUN", *DATA, "--model", "resnet21-cifar10"], 2, "did you mean resnet20-cifar10?"),
        (["RUN", *DATA, "--comparison", "nowhere"], 1, "name the folder of a pvq compare"),
        (["OTHER", *DATA], 1, "with other weights than resnet20-cifar10 has"),
    ],
)
def test_bad_input_gives_one_line_and_a_code(
    words: list[str], code: int, message: str, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["source"]["sha256"] = "0" * 64
    (other / "manifest.json").write_text(json.dumps(manifest))
    places = {"RUN": str(folder), "OTHER": str(other)}
    capfd.readouterr()
    named = [places.get(word, word) for word in words]
    assert run(["predict", *named, "-o", str(tmp_path / "out")]) == code
    shown = capfd.readouterr()
    assert shown.out == ""
    lines = [line for line in shown.err.strip().splitlines() if not line.startswith("read: ")]
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "out").exists()

"""The command line: help, exit codes, one-line errors, JSON on stdout alone."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pvq.__main__ import run
from pvq.cli import commands
from pvq.cli.kinds import KINDS, kind_rows
from pvq.cli.options import parse_bits, parse_specs
from pvq.cli.output import json_safe
from pvq.errors import CertificateRejected, MissingExtra, PvqError, SpecError

NAMES = sorted(module.name.rstrip("_") for module in pkgutil.iter_modules(commands.__path__))


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"Example: pvq {name}" in shown
    assert "--json" in shown


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["snr", "gausian"], 2, "did you mean gaussian?"),
        (["snr", "gaussian", "--bits", "nine"], 2, "--bits must list widths"),
        (["snr", "gaussian", "--bits", "0"], 2, "in (0, 32]"),
        (["snr", "gaussian", "--bitz", "4"], 2, "Did you mean"),
        (["snr", "gaussian", "--quantizer", "intt"], 2, "did you mean int?"),
        (["snr", "gaussian[sigma=-1]"], 2, "sigma must be positive and lie in"),
        (["snr", "student-t[nu=2]"], 1, "second moment"),
        (["snr", "file:no-such-file.npy"], 1, "no-such-file.npy"),
        (["snr"], 2, "requires an argument"),
        (["snrr"], 2, "snr"),
        (["list", "distribution"], 2, "did you mean distributions?"),
        (["layers", "resnet21-cifar10"], 2, "did you mean resnet20-cifar10?"),
        (["layers", "file:nowhere.safetensors"], 1, "nowhere.safetensors"),
        (["bounds", "resnet20-cifar10", "--rows", "0"], 2, "Must be >= 1"),
        (
            ["bounds", "x", "--workers", "2", "--dask", "tcp://h:1"],
            2,
            "exclusive arguments: {--workers, --dask}",
        ),
        (["solve", "nowhere.npz", "--set", "int[bits=4]", "--method", "nearest"], 1, "nowhere.npz"),
        (["verify", "nowhere"], 1, "nowhere"),
        (["report", "nowhere"], 1, "nowhere"),
        (["train", "no-such-recipe"], 1, "no-such-recipe"),
        (["figure"], 2, "--all"),
        (["figure", "snr-gausian"], 2, "did you mean snr-gaussian?"),
    ],
)
def test_bad_input_gives_one_line_and_a_code(
    words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert len(shown.err.strip().splitlines()) == 1


def test_json_is_one_array_of_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["snr", "gaussian", "--bits", "4", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert list(row) == [
        "distribution", "kurtosis", "bits", "sparsity", "quantizer", "scale",
        "quant_snr_db", "prune_snr_db", "winner",
    ]  # fmt: skip
    assert row["quant_snr_db"] == pytest.approx(19.2577, abs=1e-4)  # facts A2 [C]
    assert row["prune_snr_db"] == pytest.approx(5.5847, abs=1e-4)  # facts A2 [C]
    assert row["winner"] == "quantize"


def test_tables_are_for_reading(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["snr", "gaussian", "--bits", "4"]) == 0
    assert "19.2577" in capsys.readouterr().out


@pytest.fixture
def problem(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 12))
    path = tmp_path / "problem.npz"
    np.savez(path, H=X.T @ X, w=rng.normal(size=12))
    return path


def test_solve_brackets_the_optimum_and_verify_accepts(
    problem: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(problem.parent / "proofs")
    words = ["solve", str(problem), "--set", "int[bits=3]", "--method", "gptq,hull", "--point"]
    assert run([*words, "--certificates", folder, "--json"]) == 0
    gptq, hull = json.loads(capsys.readouterr().out)
    assert gptq["error_lower"] is None
    assert not gptq["certified"]
    assert hull["certified"]
    assert 0 < hull["error_lower"] <= gptq["error_upper"]
    assert len(gptq["x"]) == 12
    assert run(["verify", folder, "--json"]) == 0
    assert all(row["accepted"] for row in json.loads(capsys.readouterr().out))


def test_verify_rejects_a_raised_claim_with_code_3(problem: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pvq.solvers.certificate_files import Claim, load_claims, save_claims

    folder = problem.parent / "proofs"
    words = ["solve", str(problem), "--set", "sparse[k=4]", "--method", "perspective"]
    assert run([*words, "--certificates", str(folder), "--json"]) == 0
    (file,) = folder.glob("*.cert.npz")
    raised: list[Claim] = [replace(claim, value=claim.value * 1.001) for claim in load_claims(file)]
    save_claims(file, raised)
    capsys.readouterr()
    assert run(["verify", str(folder), "--json"]) == 3
    shown = capsys.readouterr()
    (row,) = json.loads(shown.out)
    assert not row["accepted"]
    assert row["reason"].startswith("claims ")
    assert ", proves " in row["reason"]
    assert "rejected" in shown.err


def test_solve_fails_when_every_method_refuses(problem: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["solve", str(problem), "--set", "sparse[k=4]", "--method", "hull", "--json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert row["status"] == "refused"
    assert row["note"]


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_is_listed_with_descriptions(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list", kind, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows
    assert all(row["kind"] == kind and row["name"] and row["description"] for row in rows)


def test_help_starts_without_heavy_packages() -> None:
    code = (
        "import sys; from pvq.__main__ import run; run(['--help']);"
        "heavy = {'numpy','scipy','numba','torch','matplotlib','cvxpy'} & set(sys.modules);"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_theory_imports_neither_torch_nor_plots() -> None:
    code = (
        "import sys; import pvq.theory.compare;"
        "sys.exit(', '.join({'torch','matplotlib','cvxpy','numba'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CertificateRejected("no"), 3),
        (MissingExtra("torch", "torch"), 1),
        (PvqError("no"), 1),
        (KeyboardInterrupt(), 130),
        (OSError("disk"), 1),
        (OverflowError("too large"), 1),
        (SpecError("no"), 2),
        (ModuleNotFoundError(name="torch.nn"), 1),
    ],
)
def test_exit_codes(error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("pvq.cli.commands.snr.parse_bits", fail)
    assert run(["snr", "gaussian"]) == code


def test_a_kind_whose_extra_is_missing_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "figures", "pvq.no_such:FIGURES")
    with pytest.raises(ModuleNotFoundError):
        run(["list", "figures"])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(KINDS, "figures", "matplotlib.pyplot:FIGURES")
    (row,) = kind_rows("figures")
    assert row["description"] == "matplotlib is not installed; run: pip install 'pvq[figures]'"


def test_bit_lists() -> None:
    assert parse_bits("2:8") == [2, 3, 4, 5, 6, 7, 8]
    assert parse_bits("3,5,6") == [3, 5, 6]
    assert parse_bits("2.5") == [2.5]
    for wrong in ("", "8:2", "a:b", "2.5:4", "nan", "33", "1e9:2e9"):
        with pytest.raises(SpecError):
            parse_bits(wrong)


def test_spec_lists() -> None:
    assert parse_specs("a[b=1,c=2],d") == ["a[b=1,c=2]", "d"]
    with pytest.raises(SpecError, match="empty one"):
        parse_specs("a,,b")


def test_json_safe_leaves_nothing_that_json_cannot_say() -> None:
    rows = {"x": np.array([1.0, np.nan]), "n": np.int64(3), "b": np.bool_(True), "d": {"e": float("-inf")}}
    assert json.loads(json.dumps(json_safe(rows), allow_nan=False)) == {
        "x": [1.0, None], "n": 3, "b": True, "d": {"e": None},
    }  # fmt: skip

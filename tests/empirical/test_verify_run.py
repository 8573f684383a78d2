"""A table that its folder does not prove is told, whoever wrote it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tiny_network as tiny
from pyarrow import parquet

from pvq.__main__ import run as pvq
from pvq.empirical.layerwise import run_bounds
from pvq.empirical.model import file_sha256
from pvq.empirical.points import load_points, save_points
from pvq.empirical.store import RecordStore
from pvq.empirical.verify_run import verify_run
from pvq.solvers.verify import verify_path

Row = dict[str, Any]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two layers at a whole width and one that only pruning has."""
    settings = tiny.run_of(tmp_path_factory.mktemp("run"), layers="[ph]*", bits=(3.0, 2.5))
    run_bounds(settings)
    return Path(settings.out)


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def _edit(folder: Path, camp: str, edit: Callable[[Row], Any]) -> None:
    """Change the records of a camp, their public digests made anew."""
    store = RecordStore(folder / "tasks")
    for path in store.folder.iterdir():
        record = store.get(path.stem)
        assert record is not None
        if record["camp"] == camp:
            edit(record)
            store.put(path.stem, record)


def _edit_table(folder: Path, edit: Callable[[list[Row]], Any]) -> None:
    """Change bounds.json and bounds.parquet alike."""
    table = json.loads((folder / "bounds.json").read_text())
    edit(table)
    (folder / "bounds.json").write_text(json.dumps(table))
    parquet.write_table(pa.Table.from_pylist(table), folder / "bounds.parquet")


def _rows(**changes: Callable[[Any], Any]) -> Callable[[Row], None]:
    def edit(record: Row) -> None:
        for row in record["rows"]:
            row.update({name: change(row[name]) for name, change in changes.items()})

    return edit


def _reasons(folder: Path) -> str:
    claims = verify_path(folder)
    assert all(claim["accepted"] for claim in claims)
    faults = verify_run(folder, claims)
    assert all(not fault["accepted"] and fault["path"] and set(fault) == set(claims[0]) for fault in faults)
    return "\n".join(fault["reason"] for fault in faults)


def test_an_honest_run_has_no_mismatch(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _reasons(finished) == ""
    assert pvq(["verify", str(finished), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == len(verify_path(finished))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"error_lower": lambda x: 50 * x}, ", its claim "),
        ({"error_lower": lambda x: np.nextafter(x, 1)}, ", its claim "),
        ({"error_lower": lambda x: 50 * x, "error_upper": lambda x: 60 * x}, ", its claim "),
        ({"error_upper": lambda x: x * (1 - 1e-12)}, ", its point has "),
        ({"error_upper": lambda x: 0.0, "error_lower": lambda x: 0.0}, ", its point has "),
        ({"error_lower": lambda x: 1.1 * x, "claim": lambda c: None}, " has no claim"),
        ({"claim": lambda c: c + 1}, "a claim about another problem or set"),
        ({"set": lambda text: "sparse 1 of 4"}, "of another problem or set"),
        ({"problem": lambda text: text[::-1]}, "of another problem or set"),
        ({"signal_lower": lambda x: 2 * x, "signal_upper": lambda x: 2 * x}, "signal_lower is "),
        ({"signal_upper": lambda x: x / 2, "signal_lower": lambda x: x / 2}, "signal_upper is "),
        ({"error_lower": lambda x: 0.0}, "certified without a bound above 0"),
        ({"error_lower": lambda x: "much"}, "cannot be checked: "),
    ],
)
def test_a_number_that_nothing_proves_is_told(changes: Row, reason: str, folder: Path) -> None:
    """The digest of a record is public: whoever edits the numbers makes it anew."""
    _edit(folder, "prune", _rows(**changes))
    assert reason in _reasons(folder)


def test_the_table_must_be_the_sum_of_the_records(folder: Path) -> None:
    """Weaker numbers are true as well, but then the table must be their sum."""
    before = json.loads((folder / "bounds.json").read_text())
    _edit(folder, "prune", _rows(error_lower=lambda x: 0.999 * x))
    told = _reasons(folder)
    for row in before:
        assert f"{row['layer']}, {row['bits']} bits: prune_snr_at_most_db is " in told


def test_raised_bounds_summed_up_by_the_program_itself_are_told(tmp_path: Path) -> None:
    """With bounds near the points, likely verdicts become proved ones; the table then fits its records."""
    settings = tiny.run_of(tmp_path, layers="head")
    run_bounds(settings)
    _edit(settings.out, "prune", lambda record: [_raise_bound(row) for row in record["rows"]])
    run_bounds(settings)
    told = _reasons(settings.out)
    assert told.count(", its claim ") == 3
    assert "snr" not in told


def _raise_bound(row: Row) -> None:
    row["error_lower"] = (row["error_lower"] + row["error_upper"]) / 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("verdict", "prune (proved)"), ("certified", False), ("quant_snr_achieved_db", 99.0), ("rows", 2),
        ("prune_snr_at_most_db", None), ("prune_magnitude_snr_db", 0.0), ("layer", "first"), ("bits", 4),
        ("quant_set", "int[bits=3,scale=1.0]"), ("n", 7), ("seconds", 0.0), ("quant_method", "gptq 9"),
    ],
)  # fmt: skip
def test_every_column_must_follow_from_the_records(field: str, value: Any, folder: Path) -> None:
    def edit(table: list[Row]) -> None:
        row = next(row for row in table if row["bits"] == 3 and row[field] != value)
        row[field] = value

    _edit_table(folder, edit)
    assert str(value) in _reasons(folder)


@pytest.mark.parametrize("missing", [False, True])
def test_points_must_lie_in_the_set(missing: bool, folder: Path) -> None:
    """The weights themselves have no error, and are no point of the set; a stored one is needed."""

    def swap(record: Row) -> None:
        (name,) = (name for name in record["files"] if name.endswith(".points.npz"))
        path = folder / "certificates" / name
        points = [replace(point, x=None if missing else point.problem.w) for point in load_points(path)]
        save_points(path.with_name(name.removesuffix(".points.npz")), points)
        record["files"][name] = file_sha256(path)

    _edit(folder, "prune", swap)
    assert "has no point in the set" in _reasons(folder)


def test_rows_cannot_be_left_out_or_told_twice(folder: Path) -> None:
    _edit(folder, "prune", lambda record: record["rows"].__setitem__(1, record["rows"][0]))
    told = _reasons(folder)
    assert "the records of prune are not of the 6 rows" in told


@pytest.mark.parametrize("camp", ["quantize", "prune"])
@pytest.mark.parametrize("suffix", ["cert.npz", "points.npz"])
def test_missing_evidence_is_told(camp: str, suffix: str, folder: Path) -> None:
    victims = list((folder / "certificates").glob(f"head-3bit-{camp}-*.{suffix}"))
    assert len(victims) == 1
    victims[0].unlink()
    assert f"certificates/{victims[0].name} is missing" in _reasons(folder)


def test_without_any_certificate_the_exit_code_is_3(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(folder / "certificates")
    assert pvq(["verify", str(folder), "--json"]) == 3
    shown = capsys.readouterr()
    assert all("is missing" in row["reason"] for row in json.loads(shown.out))
    assert "rejected" in shown.err


def test_a_rejected_claim_backs_nothing(folder: Path) -> None:
    claims = [claim | {"accepted": False} for claim in verify_path(folder)]
    assert any("rests on a claim that is rejected" in fault["reason"] for fault in verify_run(folder, claims))


@pytest.mark.parametrize("name", ["sources.json", "bounds.json"])
@pytest.mark.parametrize("content", [None, "[", "{}", "[]", "[1]", "[{}, {}, {}, {}]"])
def test_a_missing_or_broken_table_is_a_row_not_a_crash(name: str, content: str | None, folder: Path) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    assert _reasons(folder)


@pytest.mark.parametrize("content", [None, "[", "[]", "{}"])
def test_the_manifest_must_name_the_model(content: str | None, folder: Path) -> None:
    (folder / "manifest.json").unlink()
    if content is not None:
        (folder / "manifest.json").write_text(content)
    assert ("does not name the model" if content in ("[]", "{}") else "cannot be read") in _reasons(folder)


def test_missing_records_leave_numbers_without_ground(folder: Path) -> None:
    shutil.rmtree(folder / "tasks")
    assert "prune_snr_at_most_db is " in _reasons(folder)


@pytest.mark.parametrize("damage", ["other", "cut"])
def test_the_parquet_table_must_say_the_same(damage: str, folder: Path) -> None:
    path = folder / "bounds.parquet"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    else:
        parquet.write_table(parquet.read_table(path).slice(1), path)
    assert ("does not hold the rows" if damage == "other" else "cannot be read") in _reasons(folder)


def test_a_camp_that_failed_is_no_mismatch(tmp_path: Path) -> None:
    from pvq.empirical.effort import METHODS
    from pvq.empirical.tasks import Methods

    methods = {"quantize": METHODS["quantize"], "prune": Methods("perspectve", ("magnitude",))}
    settings = tiny.run_of(tmp_path, layers="head", methods=methods)
    run_bounds(settings)
    assert _reasons(settings.out) == ""


def test_dead_and_constant_layers_are_no_mismatch(tmp_path: Path) -> None:
    net = tiny.tiny_net()
    net.get_submodule("first").weight.data[1], net.get_submodule("first").bias.data[1] = 0, -1
    net.get_submodule("point").weight.data[:] = 0.25
    settings = tiny.run_of(tmp_path, net)
    run_bounds(settings)
    assert _reasons(settings.out) == ""


def test_torch_is_not_needed() -> None:
    code = "import sys, pvq.empirical.verify_run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

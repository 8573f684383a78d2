"""Rows of `pvq solve` and the files it reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pvq.errors import PvqError, SpecError
from pvq.solvers.catalogue import catalogue_problem
from pvq.solvers.feasible import fit_set
from pvq.solvers.problem import LayerProblem
from pvq.solvers.rows import load_problem, solve_rows
from pvq.solvers.solver import Limits, solve
from pvq.solvers.verify import verify_path

FIELDS = {
    "method", "status", "error_lower", "error_upper", "snr_at_most_db", "snr_achieved_db", "gap_db",
    "certified", "seconds",
}  # fmt: skip


def test_rows_have_the_documented_fields_and_are_json() -> None:
    problem = catalogue_problem("conv", 12)
    methods = ["nearest", "gptq[order=natural]", "hull", "magnitude"]
    rows = solve_rows(problem, "int[bits=3]", methods)
    assert [row["method"] for row in rows] == methods
    assert all(set(row) >= FIELDS for row in rows)
    assert "x" not in rows[0]
    json.dumps(rows, allow_nan=False)
    nearest, _, hull, refused = rows
    assert nearest["error_lower"] is None
    assert hull["certified"]
    assert hull["error_lower"] <= nearest["error_upper"]
    assert hull["snr_at_most_db"] == pytest.approx(10 * np.log10(problem.signal / hull["error_lower"]))
    assert refused["status"] == "refused"
    assert refused["error_upper"] is None


def test_points_are_feasible_and_have_the_error_stated() -> None:
    problem = catalogue_problem("conv", 12)
    for spec, method in (("int[bits=3]", "hull"), ("sparse[k=3]", "swap")):
        (row,) = solve_rows(problem, spec, [method], point=True)
        x = np.array(row["x"])
        assert fit_set(spec, problem.w).contains(x)
        assert row["error_upper"] == pytest.approx(problem.error(x), rel=1e-9)


def test_infinite_and_undefined_become_null() -> None:
    problem = catalogue_problem("conv", 6)
    rows = solve_rows(problem, "sparse[k=6]", ["magnitude", "perspective"])
    json.dumps(rows, allow_nan=False)
    assert rows[0]["error_upper"] == 0.0
    assert rows[0]["snr_achieved_db"] is None
    assert rows[1]["error_lower"] == 0.0
    assert rows[1]["snr_at_most_db"] is None


def test_saved_certificates_verify(tmp_path: Path) -> None:
    problem = catalogue_problem("conv", 12)
    rows = solve_rows(problem, "int[bits=3]", ["hull", "nearest"], save_to=tmp_path / "proofs")
    assert rows[1]["certificate"] is None
    (verified,) = verify_path(rows[0]["certificate"])
    assert verified["accepted"]
    assert verified["method"] == "hull"
    assert verified["claimed"] == rows[0]["error_lower"]


def test_certificates_of_several_sets_and_limits_stand_side_by_side(tmp_path: Path) -> None:
    problem = catalogue_problem("conv", 12)
    runs = [("int[bits=2]", 1e-3), ("int[bits=3]", 1e-3), ("int[bits=3]", 1e-7), ("int[bits=3]", 1e-7)]
    rows = [
        solve_rows(problem, spec, ["hull"], Limits(tolerance=tolerance), save_to=tmp_path)[0]
        for spec, tolerance in runs
    ]
    verified = {row["path"]: row for row in verify_path(tmp_path)}
    assert len(verified) == 3
    assert [verified[row["certificate"]]["claimed"] for row in rows] == [row["error_lower"] for row in rows]


def test_no_signal_is_null() -> None:
    """An error that is certain beside a signal that is zero: no SNR, and not NaN."""
    problem = LayerProblem(np.diag([1.0, 0.0]), np.array([0.0, 5.0]))
    (row,) = solve_rows(problem, "levels[1;2]", ["hull"])
    assert row["error_lower"] == pytest.approx(1.0, rel=1e-2)
    assert row["snr_at_most_db"] is row["snr_achieved_db"] is row["gap_db"] is None
    assert solve(problem, "levels[1;2]", "hull").snr_at_most_db is None


def test_unknown_methods_are_told_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="did you mean hull"):
        solve_rows(catalogue_problem("conv", 6), "int[bits=3]", ["nearest", "hul"], save_to=tmp_path)


def test_problem_files_round_trip(tmp_path: Path) -> None:
    problem = catalogue_problem("conv", 6)
    np.savez(tmp_path / "p.npz", H=problem.H, w=problem.w)
    assert load_problem(tmp_path / "p.npz").digest == problem.digest


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"H": np.eye(2)}, "w missing"),
        ({"G": np.eye(2)}, "H and w missing"),
        ({"H": np.eye(2), "w": np.ones((3, 2))}, "one row"),
        ({"H": np.eye(2), "w": np.array([{}, {}], dtype=object)}, "pickle"),
        ({"H": np.eye(3), "w": np.ones(2)}, "one weight per column"),
        ({"H": -np.eye(2), "w": np.ones(2)}, "semidefinite"),
        ({"H": np.array([["a"]]), "w": np.ones(1)}, "numbers"),
    ],
)
def test_bad_problem_files_say_why(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "p.npz", **arrays)
    with pytest.raises((PvqError, ValueError), match=message):
        load_problem(tmp_path / "p.npz")


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY\x01\x00"])
def test_files_of_another_kind_say_why(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.npz").write_bytes(content)
    with pytest.raises(PvqError, match=r"p\.npz"):
        load_problem(tmp_path / "p.npz")
    with pytest.raises(PvqError, match=r"nowhere\.npz"):
        load_problem(tmp_path / "nowhere.npz")


def test_a_plain_npy_file_says_why(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", np.eye(2))
    with pytest.raises(PvqError, match="npz"):
        load_problem(tmp_path / "p.npy")

"""Held-out images: which they are, and what the columns say of them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny_network as tiny
import torch

from pvq.empirical.calibration import read_calibration
from pvq.empirical.held_out import BestPoints, best_points, fresh_columns, gram_drift, read_held_out
from pvq.empirical.layerwise import run_bounds
from pvq.empirical.model import Model, Preprocessing, Source
from pvq.empirical.points import Point, save_points
from pvq.errors import PvqError
from pvq.solvers.problem import LayerProblem

MODEL = Model("net", Source("memory"), {}, None, Preprocessing(32, (0.5,) * 3, (0.2,) * 3))


@pytest.mark.parametrize(("text", "expected"), [("bundled:200", 200), ("bundled:400", 112)])
def test_the_rest_is_disjoint_and_as_large_as_there_are_images(text: str, expected: int) -> None:
    calibration = read_calibration(text, MODEL, 5)
    held_out, note = read_held_out("rest", MODEL, 5, calibration)
    assert held_out is not None
    assert (held_out.images, note, held_out.seed) == (expected, "", 5)
    assert not set(held_out.prints) & set(calibration.prints)
    again, _ = read_held_out("rest", MODEL, 5, calibration)
    assert again is not None
    assert again.digest == held_out.digest


def test_there_may_be_none() -> None:
    calibration = read_calibration("bundled", MODEL, 0)
    assert read_held_out("rest", MODEL, 0, calibration) == (
        None,
        "calibration took all images, so none are held out",
    )
    assert read_held_out("none", MODEL, 0, calibration) == (None, "no images were held out")


def test_named_images_may_overlap_and_that_is_said() -> None:
    calibration = read_calibration("bundled:512", MODEL, 0)
    held_out, note = read_held_out("bundled:30", MODEL, 9, calibration)
    assert held_out is not None
    assert note == "30 of the held-out images are calibration images too"
    assert held_out.describe()["note"] == note
    with pytest.raises(PvqError, match="unknown dataset 'nothing'"):
        read_held_out("nothing:5", MODEL, 0, calibration)


def test_drift_is_the_relative_frobenius_distance_over_all_groups() -> None:
    rng = np.random.default_rng(0)
    grams, change = rng.normal(size=(2, 3, 4, 4))
    expected = np.linalg.norm(change) / np.linalg.norm(grams)
    assert gram_drift(grams, grams + change) == pytest.approx(expected, rel=1e-12)
    assert gram_drift(1e200 * grams, 1e200 * (grams + change)) == pytest.approx(expected, rel=1e-12)
    assert gram_drift(grams, grams) == 0.0
    assert gram_drift(0 * grams, grams) is None
    assert gram_drift(grams, grams * np.nan) is None
    with pytest.raises(ValueError, match="fresh must have the shape of grams"):
        gram_drift(grams, grams[:1])


def test_snrs_are_those_of_the_points_under_the_other_gram_of_each_rows_group() -> None:
    rng = np.random.default_rng(1)
    root = rng.normal(size=(2, 5, 5))
    fresh = root @ root.transpose(0, 2, 1)
    w, x = rng.normal(size=(2, 4, 5))
    groups = np.array([0, 0, 1, 1])
    found = fresh_columns(np.ones((2, 5, 5)), fresh, {"prune": BestPoints(w, x, groups)})
    signal = sum(v @ fresh[g] @ v for v, g in zip(w, groups, strict=True))
    error = sum(v @ fresh[g] @ v for v, g in zip(x - w, groups, strict=True))
    assert found["prune_snr_fresh_db"] == pytest.approx(10 * np.log10(signal / error), abs=1e-9)
    assert found["quant_snr_fresh_db"] is None
    x[1] = np.nan  # one row without a point: no sum
    assert fresh_columns(fresh, fresh, {"prune": BestPoints(w, x, groups)})["prune_snr_fresh_db"] is None
    assert set(fresh_columns(fresh, None, {"prune": BestPoints(w, w, groups)}).values()) == {None}
    assert fresh_columns(fresh, fresh, {"prune": BestPoints(w, w, groups)})["prune_snr_fresh_db"] == np.inf


def test_the_best_of_several_tasks_points_is_taken_row_by_row(tmp_path: Path) -> None:
    H, w = np.eye(2), np.ones(2)

    def result(errors: dict[int, float | None], value: float, key: str) -> tuple[Any, dict[str, Any]]:
        points = [Point(LayerProblem(H, w), np.full(2, value)) for _ in errors]
        file = save_points(tmp_path / key, points)
        rows = [{"row": row, "error_upper": error} for row, error in errors.items()]
        task = SimpleNamespace(groups=tuple(row // 2 for row in errors))
        return task, {"files": {"gram-x.npz": "", file.name: ""}, "rows": rows}

    first = result({0: 3.0, 1: 2.0, 3: None}, 0.1, "first")
    second = result({1: 1.0, 0: 3.0}, 0.2, "second")
    found = best_points([first, (SimpleNamespace(groups=()), None), second], tmp_path)  # type: ignore[list-item]
    assert found is not None
    np.testing.assert_array_equal(found.x, [[0.1, 0.1], [0.2, 0.2], [0.1, 0.1]])
    np.testing.assert_array_equal(found.w, np.ones((3, 2)))
    assert found.groups.tolist() == [0, 0, 1]
    assert best_points([], tmp_path) is None


def test_a_run_measures_its_points_on_images_that_it_has_not_seen(tmp_path: Path) -> None:
    text = tiny.images(tmp_path, 64).removesuffix(":64") + ":40"
    rows = run_bounds(tiny.run_of(tmp_path, calibration=text))
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert (manifest["calibration"]["images"], manifest["held_out"]["images"]) == (40, 24)
    for row in rows:
        assert 0 < row["gram_drift"] < 1
        for camp in ("quant", "prune"):  # near what they reach on the images that they were made for
            assert row[f"{camp}_snr_fresh_db"] == pytest.approx(row[f"{camp}_snr_achieved_db"], abs=3)
            assert row[f"{camp}_snr_fresh_db"] != row[f"{camp}_snr_achieved_db"]


def test_on_its_own_images_a_run_reaches_what_it_says(tmp_path: Path) -> None:
    text = tiny.images(tmp_path)
    for row in run_bounds(tiny.run_of(tmp_path, calibration=text, held_out=text, layers="*point*")):
        assert row["gram_drift"] < 1e-12
        assert row["quant_snr_fresh_db"] == pytest.approx(row["quant_snr_achieved_db"], abs=1e-6)
        assert row["prune_snr_fresh_db"] == pytest.approx(row["prune_snr_achieved_db"], abs=1e-6)


def test_without_held_out_images_the_columns_are_empty(tmp_path: Path) -> None:
    (row,) = run_bounds(tiny.run_of(tmp_path, layers="head"))  # all 64 images calibrate
    assert (row["gram_drift"], row["quant_snr_fresh_db"], row["prune_snr_fresh_db"]) == (None, None, None)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["held_out"] == {"note": "calibration took all images, so none are held out"}
    assert torch.is_inference_mode_enabled() is False

"""`pvq represent` on a comparison in miniature: values, the scale of a bound run, resumption, refusals."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from pvq.__main__ import run
from pvq.empirical.compare import RUNS, compare
from pvq.empirical.comparison import comparison_from
from pvq.empirical.comparison_files import write_comparison_files
from pvq.empirical.compression_run import read_stored_run
from pvq.empirical.finished_comparison import read_finished_comparison
from pvq.empirical.layer_fidelity import layer_fidelity
from pvq.empirical.layerwise import BoundsRun, run_bounds
from pvq.empirical.models_zoo import load_model
from pvq.empirical.recipe import recipe_from
from pvq.empirical.represent import FIELDS, RepresentRequest, represent
from pvq.empirical.represent_rows import SUMMARY_FIELDS, representation_words, summary_rows
from pvq.empirical.train import train
from pvq.errors import PvqError

BASE: dict[str, Any] = {
    "model": "resnet-cifar[depth=8,width=2]",
    "dataset": "bundled",
    "epochs": 1,
    "batch_size": 128,
    "learning_rate": 0.05,
    "threads": 1,
}
PRUNING = "magnitude[schedule=one-shot,norms=1]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with start/ (trained), comparison/ and bounds/ of it."""
    root = tmp_path_factory.mktemp("represent")
    train(recipe_from({"name": "start", **BASE}), root / "start")
    start = str(root / "start" / "weights.safetensors")
    comparison = comparison_from(
        {
            "name": "miniature",
            "base": {**BASE, "start": start},
            "methods": [
                {"method": "qat-lsq[norms=1]", "label": "quantization", "camp": "quantize", "before": "ptq"},
                {"method": PRUNING, "label": "pruning", "camp": "prune"},
                "none",
            ],
            "budgets": [8, 2],
            "seeds": [0, 1],
            "before": True,
        }
    )
    write_comparison_files(compare(comparison, root / "comparison"), root / "comparison")
    model = load_model(f"file:{start}")
    run_bounds(BoundsRun(model, root / "bounds", bits=(8.0, 2.0), calibration="bundled:32"))
    return root


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[dict[str, Any]]:
    request = RepresentRequest(folder / "comparison", 40, 0, folder / "bounds")
    return represent(request, folder / "out").rows


def of(rows: list[dict[str, Any]], **where: Any) -> list[dict[str, Any]]:
    return [row for row in rows if all(row[key] == value for key, value in where.items())]


def test_every_network_stage_and_layer_has_a_row(rows: list[dict[str, Any]]) -> None:
    assert all(tuple(row) == FIELDS for row in rows)
    layers = {row["layer"] for row in rows}
    assert {"conv1", "fc"} <= layers
    for method in ("quantization", "pruning"):
        for budget in (8.0, 2.0):
            assert len(of(rows, method=method, budget=budget)) == 2 * 2 * len(layers)
    assert len(of(rows, method="none")) == 2 * len(layers)  # once for all budgets, and only after
    assert {row["budget"] for row in of(rows, method="none")} == {None}
    assert {row["stage"] for row in of(rows, method="none")} == {"after"}


def test_values_make_sense_of_what_was_done(rows: list[dict[str, Any]]) -> None:
    fine, coarse = (
        [row["cka_debiased"] for row in of(rows, method="quantization", budget=bits, stage="before")]
        for bits in (8.0, 2.0)
    )
    assert min(fine) > 0.99
    assert np.mean(coarse) < np.mean(fine)
    pruned = of(rows, method="pruning", budget=2.0, stage="before", seed=0)
    for row in pruned:  # 1/8 of the weights is left, the largest
        assert 0 < row["weight_snr_db"] < 10
        assert row["examples"] == 40
        assert row["note"] == ""
    first = next(row for row in pruned if row["layer"] == "conv1")
    assert first["features"] % 1024 == 0
    assert 0 < first["snr_db"] < 20


def test_weights_stand_on_the_scale_of_the_bounds(folder: Path, rows: list[dict[str, Any]]) -> None:
    start = f"file:{folder / 'start' / 'weights.safetensors'}"
    stored = read_stored_run(folder / "bounds", load_model(start))
    for row in of(rows, method="pruning", budget=2.0, seed=0):
        number = next(n for n in stored.of(row["layer"]) if stored.rows[n]["bits"] == 2)
        assert row["at_most_db"] == stored.rows[number]["prune_snr_at_most_db"]
        assert row["achieved_db"] == stored.rows[number]["prune_snr_achieved_db"]
        assert math.isfinite(row["layer_snr_db"])
    assert {row["at_most_db"] for row in of(rows, method="none")} == {None}
    assert all(row["layer_snr_db"] is not None for row in of(rows, method="none"))


def test_the_scale_is_that_of_the_run(folder: Path) -> None:
    """The run's own points reach what its table says, and the original has no error."""
    model = load_model(f"file:{folder / 'start' / 'weights.safetensors'}")
    stored = read_stored_run(folder / "bounds", model)
    number = next(n for n in stored.of("conv1") if stored.rows[n]["bits"] == 2)
    points = np.stack([np.asarray(point.x) for point in stored.points(number, "quantize")])
    W = model.weights()["conv1"].matrix
    found = layer_fidelity(stored, "conv1", [points, W], "quantize", 2.0, W)
    assert found is not None
    assert found.reached[0] == pytest.approx(found.achieved, abs=1e-9)
    assert found.reached[1] == math.inf
    assert found.at_most is not None
    assert found.achieved is not None
    assert found.achieved <= found.at_most
    other = layer_fidelity(stored, "conv1", [points], "none", 2.0, W)
    assert other is not None
    assert other.at_most is None
    assert layer_fidelity(stored, "no such layer", [points], "prune", 2.0, W) is None
    with pytest.raises(PvqError, match="conv1 must have shape"):
        layer_fidelity(stored, "conv1", [points[:1]], "prune", 2.0, W)
    with pytest.raises(PvqError, match="were batch norms folded"):
        layer_fidelity(stored, "conv1", [points], "prune", 2.0, 2 * W)


def test_the_summary_pairs_the_seeds(rows: list[dict[str, Any]]) -> None:
    summary = summary_rows(rows)
    assert all(tuple(row) == SUMMARY_FIELDS for row in summary)
    assert [(row["method"], row["budget"]) for row in summary] == [
        ("quantization", 8.0), ("quantization", 2.0), ("pruning", 8.0), ("pruning", 2.0), ("none", None),
    ]  # fmt: skip
    pruning = summary[3]
    changes = []
    for seed in (0, 1):
        before, after = (
            np.mean(
                [r["cka_debiased"] for r in of(rows, method="pruning", budget=2.0, stage=stage, seed=seed)]
            )
            for stage in ("before", "after")
        )
        changes.append(after - before)
    assert pruning["cka_change"] == pytest.approx(np.mean(changes))
    assert pruning["cka_change_low"] < pruning["cka_change"] < pruning["cka_change_high"]
    means = {
        (stage, layer): np.mean([r["cka_debiased"] for r in of(rows, **where, stage=stage, layer=layer)])
        for where in [{"method": "pruning", "budget": 2.0}]
        for stage in ("before", "after")
        for layer in {row["layer"] for row in rows}
    }
    nearer = [
        layer for stage, layer in means if stage == "after" and means[stage, layer] > means["before", layer]
    ]
    assert 0 < len(nearer) == pruning["nearer"] <= pruning["layers"]
    assert summary[-1]["cka_change"] is None


def test_words_say_no_more_than_the_intervals() -> None:
    def row(**changes: Any) -> dict[str, Any]:
        plain = dict.fromkeys(SUMMARY_FIELDS) | {
            "method": "m", "budget": 2.0, "seeds": 3, "layers": 20, "nearer": 18, "cka_before": 0.5,
            "cka_after": 0.7, "cka_change": 0.2, "cka_change_low": 0.1, "cka_change_high": 0.3,
        }  # fmt: skip
        return plain | changes

    assert representation_words([row()]) == [
        "CKA with the original, m: at 2 bits 0.500 before fine-tuning, 0.700 after, nearer "
        "(+0.200 ± 0.100, 18 of 20 layers nearer)."
    ]
    assert "further" in representation_words([row(cka_change_low=-0.3, cka_change_high=-0.1)])[0]
    assert "no change is shown" in representation_words([row(cka_change_low=-0.1)])[0]
    one = row(cka_change_low=None, cka_change_high=None, seeds=1)
    assert "(18 of 20 layers nearer; one seed, no interval)" in representation_words([one])[0]
    stands = row(
        layer_snr_before_db=8.0, layer_snr_after_db=7.0, achieved_db=9.0, at_most_db=11.0, above=1, bounded=9
    )
    assert "8.0 dB before fine-tuning, 7.0 dB after; the run's best points reach 9.0 dB" in " ".join(
        representation_words([stands])
    )


def test_a_layer_without_a_value_counts_at_no_stage() -> None:
    def row(stage: str, layer: str, cka: float | None) -> dict[str, Any]:
        plain: dict[str, Any] = dict.fromkeys(FIELDS)
        return plain | {
            "method": "m", "camp": "prune", "budget": 2.0, "seed": 0, "stage": stage, "layer": layer,
            "cka_debiased": cka,
        }  # fmt: skip

    rows = [row("before", "a", 0.9), row("after", "a", 0.9), row("before", "b", None), row("after", "b", 0.1)]
    (found,) = summary_rows(rows)
    assert (found["cka_before"], found["cka_after"], found["layers"], found["nearer"]) == (0.9, 0.9, 1, 0)
    assert found["bounded"] is None


def test_nothing_before_fine_tuning_is_not_training_alone() -> None:
    row = dict.fromkeys(SUMMARY_FIELDS) | {"method": "m", "budget": 2.0, "seeds": 3, "cka_after": 0.7}
    assert representation_words([row]) == [
        "CKA with the original, m: at 2 bits 0.700 after fine-tuning; nothing is known of before."
    ]
    alone = row | {"budget": None}
    assert "training alone changes" in representation_words([alone])[0]


def test_a_changed_start_is_refused(folder: Path, tmp_path: Path) -> None:
    start = folder / "start" / "weights.safetensors"
    kept = start.read_bytes()
    state = load_file(start)
    save_file({name: value + 1 for name, value in state.items()}, start)
    try:
        with pytest.raises(PvqError, match=r"at 8 bits, seed 0: .*has changed since"):
            represent(RepresentRequest(folder / "comparison", 8), tmp_path)
    finally:
        start.write_bytes(kept)


def test_weights_that_are_not_finite_have_no_value(folder: Path) -> None:
    from pvq.empirical.represent import _weight_columns

    original = load_model(f"file:{folder / 'start' / 'weights.safetensors'}").weights()["conv1"]
    broken = original.with_stored(np.full(original.shape, np.inf, np.float32))
    cell = read_finished_comparison(folder / "comparison").cells[0]
    found = _weight_columns(None, cell, original, {"after": broken})["after"]
    assert (found["weight_snr_db"], found["note"]) == (None, "weights are NaN or infinite")


def test_what_was_measured_is_not_measured_again(
    folder: Path, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(look: Any) -> None:
        raise AssertionError(look)

    monkeypatch.setattr("pvq.empirical.represent._look", fail)
    request = RepresentRequest(folder / "comparison", 40, 0, folder / "bounds")
    assert represent(request, folder / "out").rows == rows


def test_an_interrupted_call_goes_on_in_two_processes(folder: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int, label: str = "", outlook: object = None) -> None:
        if done == 3:
            raise KeyboardInterrupt

    request = RepresentRequest(folder / "comparison", 8)
    with pytest.raises(KeyboardInterrupt):
        represent(request, tmp_path, progress=stop)
    assert len(list((tmp_path / "looks").iterdir())) == 3
    counts: list[int] = []
    again = represent(request, tmp_path, 2, lambda done, *rest: counts.append(done))
    assert counts == list(range(4, 11))
    assert again.rows == represent(request, tmp_path / "fresh").rows


def test_the_command_writes_tables_words_and_pictures(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(folder / "comparison"), "--run", str(folder / "bounds"), "--images", "40", "--json"]
    assert run(["represent", *words, "-o", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    shown = json.loads(printed.out)
    assert [tuple(row) for row in shown] == [SUMMARY_FIELDS] * 5
    assert "CKA with the original, pruning: at 8 bits" in printed.err
    content = json.loads((tmp_path / "representation.json").read_text())
    assert content["summary"] == shown
    assert len(content["layers"]) == len((tmp_path / "layers.csv").read_text().splitlines()) - 1
    assert "| 2 | pruning |" in (tmp_path / "representation.md").read_text()
    for name in ("representation", "bounds"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "certified" in (tmp_path / "bounds.svg").read_text() or name == "representation"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no comparison", "must be the folder of a pvq compare"),
        ("other weights", "do not belong together"),
        ("rows", "a run of all rows is needed"),
        ("images", "number of images must lie in"),
    ],
)
def test_what_does_not_fit_is_refused(
    change: str, message: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(folder / "comparison"), "-o", str(tmp_path / "out")]
    if change == "no comparison":
        words[0] = str(tmp_path)
    if change == "images":
        words += ["--images", "1000000"]
    if change == "rows":
        model = load_model(f"file:{folder / 'start' / 'weights.safetensors'}")
        some = BoundsRun(model, tmp_path / "some", bits=(2.0,), calibration="bundled:8", rows=1)
        run_bounds(some)
        words += ["--run", str(tmp_path / "some")]
    if change == "other weights":
        weights = next((folder / "comparison" / RUNS).iterdir()) / "weights.safetensors"
        kept = weights.read_bytes()
        weights.write_bytes(kept[:-1] + b"?")
    try:
        assert run(["represent", *words]) == 1
    finally:
        if change == "other weights":
            weights.write_bytes(kept)
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_networks_drawn_at_random_have_no_original(folder: Path, tmp_path: Path) -> None:
    settings = {"name": "drawn", "base": BASE, "methods": ["none"], "budgets": [8]}
    comparison = comparison_from(settings)
    write_comparison_files(compare(comparison, tmp_path), tmp_path)
    assert read_finished_comparison(tmp_path).missing == 0
    with pytest.raises(PvqError, match="must have one `start`, trained weights, got ''"):
        represent(RepresentRequest(tmp_path), tmp_path / "out")

"""Predictions from a run of a small network: what is measured, kept, refused and written."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_network as tiny
import torch
from torch.nn import functional

from pvq.empirical.compression import Planner, PlanRequest
from pvq.empirical.compression_apply import apply_plan
from pvq.empirical.layerwise import run_bounds
from pvq.empirical.model import Model, Source
from pvq.empirical.prediction import MEASURED, Prediction, PredictionRequest, Predictor
from pvq.empirical.prediction_files import write_prediction_files
from pvq.empirical.prediction_measure import Bench, Measured
from pvq.empirical.prediction_mixes import draw_mixes
from pvq.errors import PvqError

SOURCE = Source("memory", sha256="ab" * 32)
WIDTHS = (2.0, 4.0)


def model() -> Model:
    return replace(tiny.as_model(tiny.tiny_net()), source=SOURCE)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run")
    run_bounds(replace(tiny.run_of(path, bits=WIDTHS), model=model()))
    return path / "run"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return 200 images whose classes are what the network itself says, but for one in ten."""
    path = tmp_path_factory.mktemp("images") / "labelled.npz"
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 2, 8, 8)).astype(np.float32)
    labels = tiny.tiny_net()(torch.from_numpy(x)).argmax(dim=1).numpy()
    labels[::10] = (labels[::10] + 1) % 3
    np.savez(path, images=x, labels=labels)
    return f"npz:{path}"


@pytest.fixture(scope="module")
def predictor(run: Path, data: str) -> Predictor:
    return Predictor.of(PredictionRequest(run, data, mixes=6, model=model()))


@pytest.fixture(scope="module")
def found(predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Prediction:
    return predictor.measure(tmp_path_factory.mktemp("out"))


def test_choices_have_the_errors_of_the_table_rounded_outwards(predictor: Predictor, run: Path) -> None:
    rows = {(row["layer"], row["bits"]): row for row in json.loads((run / "bounds.json").read_text())}
    assert list(predictor.choices) == tiny.NAMES
    for name, offered in predictor.choices.items():
        assert {(c.camp, c.bits) for c in offered} == {(c, b) for c in ("quantize", "prune") for b in WIDTHS}
        for choice in offered:
            row = rows[name, choice.bits]
            short = {"quantize": "quant", "prune": "prune"}[choice.camp]
            exact = row[f"{short}_error_lower"] / row["signal_upper"]
            assert exact * (1 - 1e-14) < choice.relative.lower <= exact * (1 + 1e-15)
            assert choice.relative.upper >= choice.error.upper / row["signal_lower"] * (1 - 1e-15)
            assert choice.error.upper == pytest.approx(row[f"{short}_error_upper"], rel=0.01)
            assert choice.certified


def test_choices_store_what_plans_store(predictor: Predictor, run: Path) -> None:
    planner = Planner.of(PlanRequest(model(), run=run))
    plan = planner.plan(planner.budget(5.0, None))
    state = apply_plan(model(), plan).state_dict()
    for entry in plan.layers:
        width = float(entry.format.partition("bits=")[2].rstrip("]"))
        same = [c for c in predictor.choices[entry.name] if (c.camp, c.bits) == (entry.camp, width)]
        for choice in same:
            assert np.array_equal(choice.tensor, state[f"{entry.name}.weight"].numpy())
            assert choice.stored_bits == entry.cost.bits
    assert any(entry.camp != "keep" for entry in plan.layers)


def test_the_weights_own_error_is_theirs(predictor: Predictor) -> None:
    for name, offered in predictor.choices.items():
        w = model().weights()[name].tensor
        for choice in offered:
            distance = float(np.sum((choice.tensor.astype(float) - w) ** 2))
            assert choice.distance == pytest.approx(distance, rel=1e-5)
            assert choice.weight_error == pytest.approx(
                distance / float(np.sum(w.astype(float) ** 2)), rel=1e-5
            )


def test_one_layer_is_exchanged_and_the_others_are_not(predictor: Predictor, found: Prediction) -> None:
    """Against a network of its own that is given the weights by hand."""
    x, y = predictor.images.images, predictor.images.labels
    whole = tiny.tiny_net()
    with torch.no_grad():
        before = float(functional.cross_entropy(whole(x), y))
    rows = [row for row in found.rows if row["set"] == "layers"]
    choices = [choice for offered in predictor.choices.values() for choice in offered]
    assert len(rows) == len(choices) == 16
    for row, choice in zip(rows, choices, strict=True):
        net = tiny.tiny_net()
        with torch.no_grad():
            net.get_parameter(f"{choice.layer}.weight").copy_(torch.from_numpy(choice.tensor))
            outputs = net(x)
        loss = float(functional.cross_entropy(outputs, y))
        hits = float((outputs.argmax(dim=1) == y).double().mean())
        assert (row["layer"], row["camp"], row["bits"]) == (choice.layer, choice.camp, choice.bits)
        assert row["loss"] == pytest.approx(loss, rel=1e-5)
        assert row["loss_increase"] == pytest.approx(loss - before, abs=1e-6)
        assert row["accuracy"] == pytest.approx(hits, abs=1e-12)
        assert row["accuracy_drop"] == pytest.approx(0.9 - hits, abs=1e-12)


def test_mixes_add_up_and_are_networks(predictor: Predictor, found: Prediction) -> None:
    rows = [row for row in found.rows if row["set"] == "mixes"]
    assert [row["mix"] for row in rows] == list(range(6))
    for row, mix in zip(rows, found.mixes, strict=True):
        assert [choice.layer for choice in mix] == tiny.NAMES
        total = sum(choice.relative.lower for choice in mix)
        assert total * (1 - 1e-14) <= row["relative_lower"] <= total * (1 + 1e-14)
        assert row["relative_lower"] <= row["relative_upper"]
        weights = [choice.n_weights for choice in mix]
        assert row["bits"] == pytest.approx(np.average([choice.bits for choice in mix], weights=weights))
        assert row["stored_bits"] == pytest.approx(sum(c.stored_bits for c in mix) / sum(weights))
        net = tiny.tiny_net()
        with torch.no_grad():
            for choice in mix:
                net.get_parameter(f"{choice.layer}.weight").copy_(torch.from_numpy(choice.tensor))
            loss = float(functional.cross_entropy(net(predictor.images.images), predictor.images.labels))
        assert row["loss"] == pytest.approx(loss, rel=1e-5)


def test_the_standard_error_is_that_of_paired_differences() -> None:
    before, after = (
        Measured(np.array(x, np.float32), np.ones(4, bool)) for x in ([1, 2, 3, 4], [2, 2, 4, 6])
    )
    increase, error = after.increase(before)
    assert increase == 1.0
    assert error == pytest.approx(np.std([1, 0, 1, 2], ddof=1) / 2)


def test_mixes_spread_and_a_longer_list_begins_with_the_shorter(predictor: Predictor) -> None:
    few, many = (draw_mixes(predictor.choices, n, seed=3) for n in (5, 60))
    names = [[[choice.name for choice in mix] for mix in mixes] for mixes in (few, many)]
    assert names[1][:5] == names[0]
    pruned = [np.mean([choice.camp == "prune" for choice in mix]) for mix in many]
    narrow = [np.mean([choice.bits == 2 for choice in mix]) for mix in many]
    for shares in (
        pruned,
        narrow,
    ):  # a coin for each of four layers: variance 1/16; an even share first: 1/12 + 1/24
        assert np.var(shares) > 0.09
    other = draw_mixes(predictor.choices, 5, seed=4)
    assert [[choice.name for choice in mix] for mix in other] != names[0]
    with pytest.raises(ValueError, match="mixes must not be negative, got -1"):
        draw_mixes(predictor.choices, -1, 0)


def test_an_interrupted_prediction_goes_on(
    predictor: Predictor, found: Prediction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the eighth measurement; a ninth start makes the rest and one that was damaged."""
    measure, calls = Bench.measure, []

    def stopping(self: Bench, choices: Any) -> Measured:
        calls.append(choices)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return measure(self, choices)

    monkeypatch.setattr(Bench, "measure", stopping)
    with pytest.raises(KeyboardInterrupt):
        predictor.measure(tmp_path)
    kept = sorted((tmp_path / MEASURED).iterdir())
    assert len(kept) == 7
    kept[0].write_bytes(kept[0].read_bytes()[:-1])
    seen: list[tuple[int, int]] = []
    again = predictor.measure(tmp_path, lambda done, total, *_: seen.append((done, total)))
    assert len(calls) == 8 + 23 - 6
    assert (seen[0], seen[-1]) == ((6, 23), (23, 23))
    assert str(again.rows) == str(found.rows)
    assert again.correlations == found.correlations


def test_what_is_kept_is_keyed_by_weights_and_images(predictor: Predictor, tmp_path: Path, data: str) -> None:
    choices = [choice for offered in predictor.choices.values() for choice in offered]
    bench = Bench(predictor.model, predictor.images, tmp_path)
    keys = {bench.key([choice]) for choice in choices} | {bench.key([])}
    assert len(keys) == 17
    one, two = choices[0], choices[-1]
    assert bench.key([one, two]) == bench.key([two, one])
    net = tiny.tiny_net()
    with torch.no_grad():
        net.get_parameter("head.bias")[0] += 1.0
    biased = replace(tiny.as_model(net), source=SOURCE)
    images = replace(
        predictor.images, images=predictor.images.images[:100], labels=predictor.images.labels[:100]
    )
    for other in (Bench(biased, predictor.images, tmp_path), Bench(predictor.model, images, tmp_path)):
        assert other.key([one]) != bench.key([one])


def test_the_network_is_as_before_after_a_measurement(predictor: Predictor, tmp_path: Path) -> None:
    bench = Bench(predictor.model, predictor.images, tmp_path)
    before = bench.measure([])
    bench.measure([offered[0] for offered in predictor.choices.values()])
    assert np.array_equal(bench.measure([]).losses, before.losses)


def test_losses_that_are_not_finite_are_left_out_with_a_note(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = Bench.measure

    def broken(self: Bench, choices: Any) -> Measured:
        found = measure(self, choices)
        if len(choices) == 1 and choices[0].layer == "head":
            return Measured(np.full_like(found.losses, np.nan), found.hits)
        return found

    monkeypatch.setattr(Bench, "measure", broken)
    found = predictor.measure(tmp_path)
    rows = [row for row in found.correlations if (row["set"], row["target"]) == ("layers", "loss_increase")]
    assert (rows[0]["n"], rows[0]["note"]) == (12, "4 left out: not finite")
    assert rows[0]["spearman"] is not None
    assert any("no finite loss or error" in sentence for sentence in found.words)
    write_prediction_files(found, tmp_path)
    content = json.loads((tmp_path / "predict.json").read_text())
    assert [row["loss"] for row in content["rows"] if row["layer"] == "head"] == [None] * 4


def test_files_hold_the_rows_and_do_not_differ(found: Prediction, run: Path, tmp_path: Path) -> None:
    first, second = (write_prediction_files(found, tmp_path / name) for name in "ab")
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes() or one.name == "manifest.json"
    with (tmp_path / "a" / "predict.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["set"] for row in rows] == ["uncompressed"] + ["layers"] * 16 + ["mixes"] * 6
    assert float(rows[3]["relative_lower"]) == found.rows[3]["relative_lower"]
    with (tmp_path / "a" / "correlations.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(found.correlations)
    text = (tmp_path / "a" / "predict.md").read_text()
    assert all(sentence in text for sentence in found.words)
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
    assert manifest["data"]["images"] == 200
    assert len(manifest["run"]["manifest.json sha256"]) == 64


def test_errors_weighted_by_the_hessian(run: Path, data: str, tmp_path: Path) -> None:
    request = PredictionRequest(run, data, mixes=1, hessian=f"{data}:20", model=model())
    predictor = Predictor.of(request)
    assert predictor.traces is not None
    rows = predictor.measure(tmp_path).rows
    choices = [choice for offered in predictor.choices.values() for choice in offered]
    for row, choice in zip(rows[1:17], choices, strict=True):
        assert row["hessian_error"] == predictor.traces[choice.layer] * choice.distance
    assert rows[17]["hessian_error"] > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"run": Path("nowhere")}, "name the folder of a finished pvq bounds"),
        ({"model": "resnet20-cifar10"}, "is a run of tiny with other weights than resnet20-cifar10 has"),
        ({"model": None}, "unknown model 'tiny'"),
        ({"data": "cifra10"}, "did you mean cifar10"),
        ({"data": "bundled:8"}, "tiny does not say how images are prepared"),
        ({"model": replace(model(), build=None)}, "weights only: tiny has no network to run"),
    ],
)
def test_refusals(changes: dict[str, Any], message: str, run: Path, data: str) -> None:
    with pytest.raises(PvqError, match=message):
        Predictor.of(PredictionRequest(**({"run": run, "data": data, "model": model()} | changes)))


def test_labels_that_are_no_classes_are_refused(run: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "odd.npz", images=np.zeros((6, 2, 8, 8), np.float32), labels=np.arange(6))
    predictor = Predictor.of(PredictionRequest(run, f"npz:{tmp_path / 'odd.npz'}", model=model()))
    with pytest.raises(PvqError, match="labels must be classes of tiny, got 0 to 5"):
        predictor.measure(tmp_path / "out")


def test_a_run_of_some_rows_is_refused(data: str, tmp_path: Path) -> None:
    run_bounds(replace(tiny.run_of(tmp_path, bits=(4.0,), rows=2), model=model()))
    with pytest.raises(PvqError, match="solved only some rows of a layer: run pvq bounds without --rows"):
        Predictor.of(PredictionRequest(tmp_path / "run", data, model=model()))


def test_damaged_points_are_refused(run: Path, data: str, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    next((copy / "certificates").glob("head-*prune*.points.npz")).unlink()
    with pytest.raises(PvqError, match=r"points\.npz is missing or damaged"):
        Predictor.of(PredictionRequest(copy, data, model=model()))

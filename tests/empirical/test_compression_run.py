"""Plans from a finished bound run: its errors, its weights, its proofs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_network as tiny
import torch

from pvq.empirical.compression import Planner, PlanRequest
from pvq.empirical.compression_apply import apply_plan, measure, planned_weights
from pvq.empirical.compression_file import read_plan, write_plan
from pvq.empirical.compression_run import RUN_SCALE_BITS, read_stored_run
from pvq.empirical.layerwise import run_bounds
from pvq.empirical.model import Model, Source
from pvq.errors import PvqError

SOURCE = Source("memory", sha256="ab" * 32)


def model() -> Model:
    return replace(tiny.as_model(tiny.tiny_net()), source=SOURCE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run")
    run_bounds(replace(tiny.run_of(path, bits=(2.0, 4.0)), model=model()))
    return path / "run"


@pytest.fixture(scope="module")
def planner(folder: Path) -> Planner:
    return Planner.of(PlanRequest(model(), run=folder))


def test_errors_are_those_of_the_run(planner: Planner, folder: Path) -> None:
    rows = {(row["layer"], row["bits"]): row for row in json.loads((folder / "bounds.json").read_text())}
    for menu in planner.menus:
        assert [c.format for c in menu.candidates] == [
            "int[bits=2]", "sparse[bits=2]", "int[bits=4]", "sparse[bits=4]",
            "float[bits=16]", "float[bits=32]",
        ]  # fmt: skip
        for bits, quantized, pruned in ((2, *menu.candidates[:2]), (4, *menu.candidates[2:4])):
            row = rows[menu.name, bits]
            assert quantized.error.upper == row["quant_error_upper"]
            assert quantized.error.lower == row["quant_error_lower"]
            assert pruned.error.lower == row["prune_error_lower"]
            assert pruned.error.upper == pytest.approx(
                row["prune_error_upper"], rel=0.01
            )  # kept weights in FP16
        half, single = menu.candidates[-2:]
        assert single.error.upper == 0.0
        assert 0.0 == half.error.lower < half.error.upper < menu.candidates[2].error.upper


def test_the_bound_is_below_the_objective_and_not_trivial(planner: Planner) -> None:
    for bits in (3.0, 5.0, 9.0):
        plan = planner.plan(planner.budget(bits, None))
        assert plan.errors == "run"
        assert plan.totals.bound is not None
        assert 0.2 * plan.totals.objective < plan.totals.bound <= plan.totals.objective


def test_costs_count_scale_and_mask(planner: Planner) -> None:
    quantized, pruned = planner.menus[0].candidates[:2]
    assert (quantized.cost.payload, quantized.cost.scales) == (2 * 72, RUN_SCALE_BITS)
    assert pruned.cost.payload == 16 * 4 * 2  # round(18 / 8) = 2 of each row's 18 weights
    assert 0 < pruned.cost.mask <= 72


@pytest.mark.parametrize("bits", [3.0, 5.0])
def test_applying_takes_the_weights_of_the_run(planner: Planner, tmp_path: Path, bits: float) -> None:
    plan = planner.plan(planner.budget(bits, None))
    write_plan(plan, tmp_path / "plan.yaml")
    again = read_plan(tmp_path / "plan.yaml")
    assert again == plan
    weights, layers = planned_weights(model(), again), model().weights()
    run = read_stored_run(Path(plan.run), model())
    for entry in plan.layers:
        X = weights[entry.name].reshape(entry.shape)
        problems = [point.problem for point in run.points(run.of(entry.name)[0], "quantize")]
        error = sum(p.error(x) for p, x in zip(problems, X, strict=True))
        assert error == pytest.approx(entry.error.upper, rel=1e-9, abs=1e-15)
        assert np.array_equal([p.w for p in problems], layers[entry.name].matrix)
    module = apply_plan(model(), again)
    for entry, found in zip(plan.layers, measure(model(), plan, module), strict=True):
        assert found.bits <= entry.cost.bits


def test_a_run_of_other_weights_is_refused(folder: Path) -> None:
    other = replace(model(), source=Source("memory", sha256="cd" * 32))
    with pytest.raises(PvqError, match=r"is a run of tiny with other weights than tiny has .*abab.*cdcd"):
        Planner.of(PlanRequest(other, run=folder))


def test_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PvqError, match="name the folder of a finished pvq bounds"):
        Planner.of(PlanRequest(model(), run=tmp_path))


def test_a_run_of_some_rows_is_an_estimate_only(tmp_path: Path) -> None:
    run_bounds(replace(tiny.run_of(tmp_path, bits=(4.0,), rows=2), model=model()))
    folder = tmp_path / "run"
    with pytest.raises(PvqError, match="solved only some rows of a layer"):
        Planner.of(PlanRequest(model(), run=folder))
    planner = Planner.of(PlanRequest(model(), run=folder, estimate=True))
    row = json.loads((folder / "bounds.json").read_text())[0]
    assert planner.menus[0].candidates[0].error.upper == 2 * row["quant_error_upper"]
    plan = planner.plan(planner.budget(6.0, None))
    assert plan.errors == "sampled run"
    assert plan.totals.bound is None
    with pytest.raises(PvqError, match="solved only some rows; there are no weights to apply"):
        apply_plan(model(), plan)


def test_a_layer_that_the_run_lacks_is_named(tmp_path: Path) -> None:
    run_bounds(replace(tiny.run_of(tmp_path, bits=(4.0,), layers="head"), model=model()))
    with pytest.raises(PvqError, match="has no solved row of first; leave the layer out by --layers"):
        Planner.of(PlanRequest(model(), run=tmp_path / "run"))
    planner = Planner.of(PlanRequest(model(), run=tmp_path / "run", layers="head"))
    assert planner.weights == 18


def test_damaged_points_are_not_taken(tmp_path: Path) -> None:
    run_bounds(replace(tiny.run_of(tmp_path, bits=(4.0,), layers="head"), model=model()))
    path = next((tmp_path / "run" / "certificates").glob("head-*prune*.points.npz"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(PvqError, match=r"points\.npz is missing or damaged"):
        Planner.of(PlanRequest(model(), run=tmp_path / "run", layers="head"))


def test_the_hessian_takes_no_run(folder: Path) -> None:
    with pytest.raises(PvqError, match="it takes no run"):
        Planner.of(PlanRequest(model(), run=folder, objective="hessian"))


def test_the_network_runs(planner: Planner) -> None:
    module = apply_plan(model(), planner.plan(planner.budget(6.0, None)))
    assert torch.isfinite(module(torch.zeros(1, 2, 8, 8))).all()

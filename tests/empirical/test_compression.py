"""Plans from the weights alone: what they promise is what the network then has."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_network as tiny
import torch

from pvq.empirical.compression import Planner, PlanRequest, pareto
from pvq.empirical.compression_apply import apply_plan, measure, planned_weights
from pvq.empirical.compression_file import plan_text, read_plan, write_plan
from pvq.empirical.compression_objective import priced
from pvq.empirical.compression_plan import Plan
from pvq.empirical.compression_rows import FIELDS, plan_rows
from pvq.empirical.data.bundled import Bundled
from pvq.empirical.evaluate import accuracy
from pvq.empirical.model import Model
from pvq.empirical.models_zoo import load_model
from pvq.errors import PvqError, SpecError
from pvq.solvers.stored_format import Storage


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.as_model(tiny.tiny_net())


@pytest.fixture(scope="module")
def planner(model: Model) -> Planner:
    return Planner.of(PlanRequest(model))


def four_bits(planner: Planner) -> Plan:
    return planner.plan(planner.budget(8.0, None))


def test_the_plan_is_the_best_of_all(model: Model) -> None:
    planner = Planner.of(PlanRequest(model, bits=(2, 4), formats=("int", "sparse", "float[bits=16]")))
    for bits in (3.0, 6.0, 9.0):
        plan = planner.plan(planner.budget(bits, None))
        every = itertools.product(*planner.options)
        fitting = [p for p in every if sum(o.cost for o in p) <= plan.totals.budget_bits]
        best = min(sum(Fraction(o.upper) for o in p) for p in fitting)
        least = min(sum(Fraction(o.lower) for o in p) for p in fitting)
        assert plan.totals.objective == pytest.approx(float(best), rel=1e-15)
        assert plan.totals.bound is not None
        assert Fraction(plan.totals.bound) <= least <= best <= Fraction(plan.totals.objective)
        assert plan.totals.gap is not None
        assert plan.totals.gap < 1e-11
        assert plan.totals.optimal


@pytest.mark.parametrize(
    "formats",
    [
        ("int",),
        ("int[per=row]",),
        ("sign",),
        ("sign[per=row]",),
        ("sparse",),
        ("n_of_m[n=2,m=4]",),
        ("float",),
    ],
)
def test_the_network_has_what_the_plan_promises(model: Model, formats: tuple[str, ...]) -> None:
    bits = (16.0,) if formats == ("float",) else (3.0, 5.0)
    planner = Planner.of(PlanRequest(model, bits=bits, formats=formats))
    plan = planner.plan(planner.least_bits + 100)
    module = apply_plan(tiny.as_model(tiny.tiny_net()), plan)
    for entry, found in zip(plan.layers, measure(model, plan, module), strict=True):
        assert found.name == entry.name
        assert found.bits <= entry.cost.bits
        assert entry.error.lower * (1 - 1e-9) <= found.error <= entry.error.upper * (1 + 1e-9)
        if entry.camp == "prune":
            assert found.bits == entry.cost.bits


def test_other_tensors_are_left_alone(planner: Planner) -> None:
    plan = Planner.of(replace(planner.request, layers="head")).plan(10**4)
    net = apply_plan(tiny.as_model(tiny.tiny_net()), plan)
    before, after = tiny.tiny_net().state_dict(), net.state_dict()
    changed = [key for key in before if not torch.equal(before[key], after[key])]
    assert changed in ([], ["head.weight"])
    assert plan.totals.weights == 18


def test_eight_bits_classify_nearly_as_the_network_itself() -> None:
    """On the 512 bundled images; errors in the tensors are those of the plan."""
    model = load_model("resnet20-cifar10")
    planner = Planner.of(PlanRequest(model, bits=(8,), formats=("int", "int[per=row]")))
    plan = planner.plan(planner.budget(8.5, None))
    module = apply_plan(model, plan)
    for entry, found in zip(plan.layers, measure(model, plan, module), strict=True):
        assert found.error == pytest.approx(entry.error.upper, rel=1e-9)
        assert found.bits <= entry.cost.bits
    how = model.preprocessing
    assert how is not None
    images, labels = Bundled().images(), Bundled().labels()
    whole = accuracy(model.module(), images, labels, how.mean, how.std)
    assert accuracy(module, images, labels, how.mean, how.std) == pytest.approx(whole, abs=0.01)


def test_a_plan_comes_back_from_its_file(planner: Planner, tmp_path: Path) -> None:
    plan = four_bits(planner)
    write_plan(plan, tmp_path / "plan.yaml")
    assert read_plan(tmp_path / "plan.yaml") == plan


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema: pvq-plan", "schema: other", "schema must be pvq-plan 1, got other 1"),
        ("version: 1", "version: 2", "schema must be pvq-plan 1"),
        (
            "objective: relative\n",
            "objektive: relative\n",
            "unknown key 'objektive'; did you mean objective?",
        ),
        ("model: tiny\n", "", "model is missing"),
        ("model: tiny\n", "model: 3\n", "plan.model must be of type str, got 3"),
        ("errors: weights", "errors: guess", "must be one of weights, run, sampled run"),
        ("mask: cheapest", "mask: zip", "must be one of cheapest, bitmap, entropy"),
        ("weights: 150", "weights: 151", "totals must be those of the layers, 150 weights"),
        ("camp: quantize", "camp: prune", "must quantize and cost"),
        ("shape: [4, 18]", "shape: [4]", "must have 2 items, got 1"),
        ("shape: [4, 18]", "shape: 4", "must be a list, got 4"),
        ("name: head", "name: point", "layers must have different names"),
        ("payload: ", "payload: -", "payload must not be negative"),
        ("layers:\n", "layers: {}\nmore:\n", "unknown key 'more'"),
        ("storage: {", "storage: [{", "is no YAML"),
    ],
)
def test_an_altered_file_is_refused_in_one_line(
    planner: Planner, tmp_path: Path, old: str, new: str, message: str
) -> None:
    text = plan_text(four_bits(planner))
    assert old in text
    path = tmp_path / "plan.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(PvqError) as refusal:
        read_plan(path)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PvqError, match=r"cannot read the plan .*nowhere\.yaml"):
        read_plan(tmp_path / "nowhere.yaml")


def test_plans_of_other_weights_are_not_applied(planner: Planner, model: Model) -> None:
    plan = four_bits(planner)
    with pytest.raises(PvqError, match="the plan is for weights of tiny with SHA-256"):
        planned_weights(model, replace(plan, sha256="0" * 64))
    with pytest.raises(PvqError, match="the plan is for weights of huge"):
        planned_weights(model, replace(plan, model="huge"))
    other = tiny.as_model(torch.nn.Sequential(torch.nn.Linear(2, 2)))
    with pytest.raises(PvqError, match=r"first: the plan has shape \(4, 18\), the network None"):
        planned_weights(other, plan)


def test_budgets(planner: Planner) -> None:
    assert planner.weights == 150
    assert planner.budget(4.02, None) == 603  # in floating point 4.02 x 150 falls short of it
    assert planner.budget(4.029, None) == 604
    assert planner.budget(None, 100) == 800
    least = planner.least_bits
    refusal = (
        r"budget must be at least .* bits per weight \(\d+ bytes\), which the cheapest plan takes, got 1"
    )
    with pytest.raises(PvqError, match=refusal):
        planner.budget(1.0, None)
    assert planner.plan(least).totals.bits == least
    for both in ((None, None), (4.0, 100)):
        with pytest.raises(PvqError, match="exactly one budget"):
            planner.budget(*both)


def test_the_least_budget_that_a_message_names_is_enough(planner: Planner) -> None:
    with pytest.raises(PvqError) as refusal:
        planner.budget(0.5, None)
    named = float(str(refusal.value).split("at least ")[1].split()[0])
    assert planner.plan(planner.budget(named, None)).totals.bits <= named * planner.weights


def test_rows_have_all_fields_and_add_up(planner: Planner) -> None:
    rows = plan_rows(four_bits(planner))
    assert all(tuple(row) == FIELDS for row in rows)
    *layers, total = rows
    assert [row["layer"] for row in rows] == [*tiny.NAMES, "total"]
    for name in ("n_weights", "bits", "payload_bits", "scale_bits", "mask_bits"):
        assert sum(row[name] for row in layers) == total[name]
    assert sum(row["objective"] for row in layers) == pytest.approx(total["objective"], rel=1e-12)
    assert total["bound"] <= total["objective"]
    assert total["bits"] == total["payload_bits"] + total["scale_bits"] + total["mask_bits"]
    assert sum(row["share"] for row in layers) == pytest.approx(1.0)


def test_the_curve_falls_and_holds_the_plan(planner: Planner) -> None:
    plan = four_bits(planner)
    rows = pareto(planner, plan.totals.budget_bits, 9)
    values = [row["objective"] for row in rows]
    assert values == sorted(values, reverse=True)
    assert all(row["bits"] <= row["budget_bits"] and row["bound"] <= row["objective"] for row in rows)
    (mine,) = [row for row in rows if row["budget_bits"] == plan.totals.budget_bits]
    assert mine["objective"] == pytest.approx(plan.totals.objective, rel=1e-12)


def test_objectives_weigh_the_errors(model: Model) -> None:
    plain = Planner.of(PlanRequest(model, objective="absolute"))
    assert all(factor.lower == factor.upper == 1.0 for factor in plain.factors)
    relative = Planner.of(PlanRequest(model))
    for menu, factor in zip(relative.menus, relative.factors, strict=True):
        signal = float(np.square(model.weights()[menu.name].matrix).sum())
        assert factor.lower <= 1 / signal * (1 + 1e-15)
        assert factor.lower == pytest.approx(1 / signal, rel=1e-11)
        assert factor.upper == pytest.approx(1 / signal, rel=1e-11)
    heavier = Planner.of(PlanRequest(model, weights={"head": 3.0, "h*": 2.0}))
    assert heavier.factors[-1].upper == pytest.approx(6 * relative.factors[-1].upper, rel=1e-15)
    assert heavier.factors[0] == relative.factors[0]
    option = priced(heavier.menus[-1], heavier.factors[-1])[0]
    error = heavier.menus[-1].candidates[0].error
    assert Fraction(option.upper) >= Fraction(error.upper) * Fraction(heavier.factors[-1].upper)
    assert Fraction(option.lower) <= Fraction(error.lower) * Fraction(heavier.factors[-1].lower)


def test_a_layer_that_matters_more_gets_more_bits(model: Model) -> None:
    def bits(weights: dict[str, float]) -> float:
        planner = Planner.of(PlanRequest(model, weights=weights))
        return plan_rows(planner.plan(planner.budget(6.0, None)))[-2]["bits_per_weight"]

    assert bits({"head": 1000.0}) > bits({"head": 0.0})


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"weights": {"tail": 2.0}}, PvqError, "no layer matches the weight 'tail'"),
        ({"weights": {"head": -1.0}}, PvqError, r"the weight of 'head' must lie in \[0, 1e75\), got -1"),
        ({"weights": {"head": float("nan")}}, PvqError, "must lie in"),
        ({"layers": "tail*"}, PvqError, "no layer of tiny matches"),
        ({"formats": ("itn",)}, SpecError, "did you mean int"),
        ({"bits": (2.5,), "formats": ("int",)}, SpecError, "of type int"),
    ],
)
def test_bad_requests_are_refused(model: Model, changes: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        Planner.of(PlanRequest(model, **changes))


def broken(value: float) -> Model:
    net = tiny.tiny_net()
    with torch.no_grad():
        net.head.weight[0, 0] = value  # type: ignore[union-attr, operator, index]
    return tiny.as_model(net)


def test_weights_that_cannot_be_measured_are_refused_and_can_be_left_out() -> None:
    with pytest.raises(PvqError, match="head: 1 of 18 weights are NaN or infinite; leave it out by --layers"):
        Planner.of(PlanRequest(broken(float("nan"))))
    assert Planner.of(PlanRequest(broken(float("inf")), layers="point")).weights == 24


def test_weights_beyond_half_precision_are_not_pruned() -> None:
    planner = Planner.of(PlanRequest(broken(1e6)))
    assert {c.camp for c in planner.menus[-1].candidates} == {"quantize", "keep"}
    assert {c.camp for c in planner.menus[0].candidates} == {"quantize", "prune", "keep"}
    with pytest.raises(PvqError, match="head: none of the formats can hold its weights"):
        Planner.of(PlanRequest(broken(1e6), formats=("sparse",)))


def test_a_layer_of_zeros_costs_little_and_errs_nothing() -> None:
    net = tiny.tiny_net()
    with torch.no_grad():
        net.head.weight.zero_()  # type: ignore[union-attr, operator]
    planner = Planner.of(PlanRequest(tiny.as_model(net)))
    plan = planner.plan(planner.budget(6.0, None))
    assert plan.layers[-1].error.upper == 0.0
    assert plan.layers[-1].cost.bits <= 2 * 18 + 32


def test_scales_of_half_precision_cost_half(model: Model) -> None:
    single = Planner.of(PlanRequest(model, formats=("int[per=row]",)))
    half = Planner.of(PlanRequest(model, formats=("int[per=row]",), storage=Storage(16)))
    assert single.least_bits - half.least_bits == 16 * sum(menu.shape[0] for menu in single.menus)

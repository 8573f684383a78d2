"""Comparison recipes: what is read, what is refused, and the runs that they come down to."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from pvq.empirical.comparison import Comparison, bundled_comparisons, comparison_from, read_comparison
from pvq.empirical.comparison_plan import Cell, plan_comparison
from pvq.errors import PvqError, SpecError

BASE = {"model": "resnet-cifar[depth=8,width=4]", "dataset": "bundled", "epochs": 2}
LEAST: dict[str, Any] = {"name": "a", "base": BASE, "methods": ["ptq"], "budgets": [4]}
PRUNING = {
    "method": "magnitude",
    "label": "pruning",
    "camp": "prune",
    "settings": {"learning_rate": 0.01},
    "at": {2: {"learning_rate": 0.02, "epochs": 3}},
}


def read(**changes: Any) -> Comparison:
    return comparison_from(LEAST | changes)


@pytest.mark.parametrize("name", bundled_comparisons())
def test_bundled_comparisons_are_whole(name: str) -> None:
    comparison = read_comparison(name)
    assert comparison.name == name
    plan_comparison(comparison)


def test_the_bundled_comparison_is_that_of_the_paper() -> None:
    comparison = read_comparison("resnet20-cifar10")
    plan = plan_comparison(comparison)
    assert comparison.budgets == (8, 4, 3, 2)
    assert [1 - bits / 16 for bits in comparison.budgets] == [0.5, 0.75, 0.8125, 0.875]
    assert comparison.seeds == (0, 1, 2)
    assert {recipe.start for recipe in plan.runs()} == {"resnet20-cifar10"}
    assert {recipe.method.partition("[")[0] for recipe in plan.after.values()} == {"qat-lsq", "magnitude"}
    assert {recipe.epochs for recipe in plan.before.values()} == {0}


def test_a_file_is_read_with_its_base_beside_it(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(yaml.safe_dump({"name": "b", **BASE, "threads": 2, "momentum": 0.5}))
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(LEAST | {"base": "base.yaml", "settings": {"epochs": 7}}))
    base = read_comparison(path).base
    assert (base.name, base.momentum, base.epochs) == ("a", 0.5, 7)
    assert base.threads == 1  # one for each worker, unless the comparison itself says otherwise


def test_a_bundled_training_recipe_can_be_the_base() -> None:
    assert read(base="resnet20-cifar10").base.model == "resnet-cifar[depth=20]"
    assert read(base="resnet20-cifar10", settings={"threads": 2}).base.threads == 2


def test_what_is_stored_reads_back() -> None:
    for comparison in (read(methods=["ptq", PRUNING], budgets=[4, 2]), read_comparison("resnet20-cifar10")):
        assert comparison_from(comparison.mapping()) == comparison


def test_the_hash_sees_what_decides_numbers() -> None:
    one = read()
    assert one.hash == read(workers=7).hash
    others = [{"seeds": [1]}, {"budgets": [3]}, {"methods": ["magnitude"]}, {"before": True}]
    assert len({one.hash, *(read(**change).hash for change in others)}) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budgest": [4]}, "unknown key 'budgest'; did you mean budgets?"),
        ({"methods": []}, "methods must not be empty"),
        ({"methods": "ptq"}, "methods must be a list, got 'ptq'"),
        ({"methods": [{"label": "a"}]}, "methods: method is missing"),
        ({"methods": [{"method": "a", "sittings": {}}]}, "unknown key 'sittings'; did you mean settings?"),
        (
            {"methods": [{"method": "a", "settings": {"epoch": 1}}]},
            "unknown key 'epoch'; did you mean epochs?",
        ),
        ({"methods": [{"method": "a", "settings": {"seed": 1}}]}, "seed is decided by the comparison"),
        ({"methods": [{"method": "a", "at": {4: {"budget": 1}}}]}, "budget is decided by the comparison"),
        (
            {"methods": [{"method": "a", "at": {3: {}}}]},
            "at must name budgets of the comparison, got 3 beside 4",
        ),
        ({"methods": [{"method": "a", "at": [3]}]}, r"at must map budgets to settings, got \[3\]"),
        ({"methods": [{"method": "a", "camp": "left"}]}, "camp must be one of quantize, prune, both, none"),
        ({"methods": ["ptq", "ptq"]}, "labels of methods must differ, got 'ptq' twice"),
        ({"methods": [7]}, "there must be a mapping of names to values, got 7"),
        ({"methods": [{"method": 7}]}, "label must be text, got 7"),
        ({"budgets": [0]}, r"budgets must lie in \(0, 32\] bits per weight, got \[0.0\]"),
        ({"budgets": [float("nan")]}, "budgets must be finite numbers, got nan"),
        ({"budgets": ["many"]}, "budgets must be finite numbers, got 'many'"),
        ({"budgets": [True]}, "budgets must be finite numbers, got True"),
        ({"budgets": [4, 4.0]}, "budgets must differ, got 4.0 twice"),
        ({"budgets": 4}, "budgets must be a list, got 4"),
        ({"seeds": [1, 1]}, "seeds must differ, got 1 twice"),
        ({"seeds": [-1]}, "seeds must be whole numbers that are not negative"),
        ({"seeds": [0.5]}, "seeds must be whole numbers that are not negative"),
        ({"workers": 0}, "workers must be a whole number of at least 1, got 0"),
        ({"before": "yes"}, "before must be true or false, got 'yes'"),
        ({"name": ""}, "name must be text, got ''"),
        ({"base": "no-such-recipe"}, "cannot read recipe 'no-such-recipe'"),
        ({"base": {**BASE, "epoch": 1}}, "base: unknown key 'epoch'; did you mean epochs?"),
        ({"base": {"model": "m", "dataset": "d"}}, "base: epochs is missing"),
        ({"settings": {"learning_rate": -1}}, "learning_rate must be positive"),
    ],
)
def test_refusals_name_field_demand_and_value(change: dict[str, Any], message: str) -> None:
    with pytest.raises(PvqError, match=message):
        read(**change)


def test_files_that_are_no_comparison_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PvqError, match=r"cannot read comparison .*did you mean resnet20-cifar10\?"):
        read_comparison("resnet20-cifar")
    path = tmp_path / "bad.yaml"
    path.write_text("a: [1,\n")
    with pytest.raises(PvqError, match="is no YAML"):
        read_comparison(path)
    path.write_text("- 1\n")
    with pytest.raises(PvqError, match="must be a mapping"):
        read_comparison(path)
    with pytest.raises(PvqError, match="methods is missing"):
        comparison_from({"name": "a", "base": BASE, "budgets": [4]})


def test_each_cell_gets_its_own_settings() -> None:
    plan = plan_comparison(read(methods=["ptq", PRUNING], budgets=[4, 2], seeds=[0, 5]))
    assert len(plan.after) == 8
    assert not plan.before
    at4, at2 = (plan.after[Cell("pruning", bits, 5)] for bits in (4.0, 2.0))
    assert (at4.method, at4.budget, at4.seed, at4.learning_rate, at4.epochs) == ("magnitude", 4, 5, 0.01, 2)
    assert (at2.learning_rate, at2.epochs) == (0.02, 3)
    assert plan.after[Cell("ptq", 2.0, 5)].learning_rate == 0.1


def test_the_first_seed_comes_first_and_short_runs_before_long_ones() -> None:
    runs = plan_comparison(read(before=True, budgets=[4, 2], seeds=[3, 1])).runs()
    assert [(recipe.seed, recipe.epochs) for recipe in runs] == [(1, 0)] * 2 + [(1, 2)] * 2 + [(3, 0)] * 2 + [
        (3, 2)
    ] * 2


def test_equal_runs_are_shared() -> None:
    twins = [{"method": "ptq", "label": "one"}, {"method": "ptq", "label": "other"}]
    assert len(plan_comparison(read(methods=twins)).runs()) == 1
    plan = plan_comparison(read(methods=["none"], budgets=[8, 4, 2], before=True))
    (run,) = plan.runs()  # without compression the budget plays no part
    assert (run.method, run.budget, len(plan.after), plan.before) == ("", 0.0, 3, {})


def test_before_fine_tuning_another_method_may_stand_in() -> None:
    with pytest.raises(PvqError, match=r"magnitude: epochs must be at least 1 .* give its entry a `before`"):
        plan_comparison(read(methods=["magnitude"], before=True))
    entry = {"method": "magnitude", "before": "ptq", "at": {2: {"learning_rate": 0.5}}}
    plan = plan_comparison(read(methods=[entry, "ptq"], budgets=[2], before=True))
    (before,) = {recipe.hash: recipe for recipe in plan.before.values()}.values()  # the rate plays no part
    assert (before.method, before.epochs, before.budget) == ("ptq", 0, 2)


def test_mistyped_names_are_refused_before_anything_runs() -> None:
    with pytest.raises(SpecError, match=r"did you mean magnitude\?"):
        plan_comparison(read(methods=["ptq", "magnitud"]))
    with pytest.raises(SpecError, match=r"did you mean bundled\?"):
        plan_comparison(read(settings={"dataset": "bundle"}))
    with pytest.raises(PvqError, match="a: b at 4 bits: learning_rate must be a number, got 'fast'"):
        plan_comparison(
            read(methods=[{"method": "ptq", "label": "b", "settings": {"learning_rate": "fast"}}])
        )


def test_a_name_is_no_part_of_what_is_shared() -> None:
    recipe = next(iter(plan_comparison(read()).after.values()))
    assert recipe.name == "a"
    assert dataclasses.replace(recipe, name="b").hash != recipe.hash

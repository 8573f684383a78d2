"""The runs that a comparison comes down to: one recipe for each method, budget and seed, equal ones once."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple

from pvq.empirical.comparison import UNCOMPRESSED, Comparison, Contender
from pvq.empirical.recipe import Recipe, recipe_from
from pvq.errors import PvqError

__all__ = ["Cell", "ComparisonPlan", "plan_comparison"]


class Cell(NamedTuple):
    """One method at one budget under one seed."""

    label: str
    budget: float
    seed: int


@dataclass(frozen=True)
class ComparisonPlan:
    """Which run answers which question.

    Parameters
    ----------
    after : the fine-tuning run of each cell
    before : the run of no epoch that judges the cell before fine-tuning, where one was asked for and there
        is a method
    """

    after: dict[Cell, Recipe]
    before: dict[Cell, Recipe]

    def runs(self) -> list[Recipe]:
        """Return every different run once: all methods and budgets of the first seed, then of the next."""
        both = (*self.before.items(), *self.after.items())
        ordered = sorted(both, key=lambda entry: entry[1].seed)  # stable: short runs stay first
        return list({recipe.hash: recipe for _, recipe in ordered}.values())


def plan_comparison(comparison: Comparison) -> ComparisonPlan:
    """Return the runs of a comparison.

    Raises
    ------
    PvqError : settings of a method that make no recipe, an unknown method, architecture or data set, a method
        that has nothing to show before fine-tuning
    """
    after, before = {}, {}
    for contender in comparison.methods:
        for budget in comparison.budgets:
            for seed in comparison.seeds:
                cell = Cell(contender.label, budget, seed)
                after[cell] = _recipe(comparison, contender, budget, seed)
                if comparison.before and after[cell].method:
                    before[cell] = _untrained(after[cell], contender, comparison)
    plan = ComparisonPlan(after, before)
    for recipe in {(r.model, r.dataset, r.method, r.epochs): r for r in plan.runs()}.values():
        _demand_possible(recipe)
    return plan


def _recipe(comparison: Comparison, contender: Contender, budget: float, seed: int) -> Recipe:
    chosen = _method(contender.method, budget)
    settings = {**dataclasses.asdict(comparison.base), **contender.changes(budget), **chosen, "seed": seed}
    return recipe_from(settings, f"{comparison.name}: {contender.label} at {budget:g} bits")


def _untrained(recipe: Recipe, contender: Contender, comparison: Comparison) -> Recipe:
    """Return the run of no epoch; its learning rate cannot matter, so equal runs are shared."""
    chosen = _method(contender.before or contender.method, recipe.budget)
    return dataclasses.replace(recipe, epochs=0, learning_rate=comparison.base.learning_rate, **chosen)


def _method(spec: str, budget: float) -> dict[str, Any]:
    """Return the fields that name a method; without one all budgets share a run."""
    return {"method": "", "budget": 0.0} if spec == UNCOMPRESSED else {"method": spec, "budget": budget}


def _demand_possible(recipe: Recipe) -> None:
    """Refuse now what would otherwise fail after hours of other runs."""
    from pvq.empirical.architecture import ARCHITECTURES
    from pvq.empirical.dataset import DATASETS
    from pvq.empirical.method import TRAINING_METHODS, Paced

    ARCHITECTURES.build(recipe.model)
    DATASETS.build(recipe.dataset)
    method: object = TRAINING_METHODS.build(recipe.method) if recipe.method else None
    if isinstance(method, Paced):
        try:
            method.epochs(recipe.epochs)
        except ValueError as error:
            hint = (
                "" if recipe.epochs else "; give its entry a `before`, the method to judge before fine-tuning"
            )
            raise PvqError(f"{recipe.method}: {error}{hint}") from error
